"""What stands or drives on the road beside the car: boxes, bot cars, other learners' cars."""

import numpy as np
from numpy.typing import NDArray

NOTHING, BOX, CAR_BODY = range(3)
"""Kinds of bodies; `NOTHING` is an empty place in an array of bodies."""

BODY = np.dtype(
    [
        ("kind", np.int64),
        ("x_m", np.float64),  # the middle of its rectangle on the ground
        ("y_m", np.float64),
        ("heading_rad", np.float64),
        ("length_m", np.float64),  # along its heading
        ("width_m", np.float64),
        ("height_m", np.float64),
        ("speed_mps", np.float64),
        ("paint", np.int64),  # which of the world's body colours it has
    ]
)
"""One body; each arena has a row of them: (arenas, bodies)."""

Bodies = NDArray[np.void]
