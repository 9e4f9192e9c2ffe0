"""What a car sees, for people: as large as DeepRacer's own camera."""

import numpy as np
from numpy.typing import NDArray

from services.simulator.race import Race

WIDTH_PX, HEIGHT_PX = 640, 480


def photograph(race: Race, car: int) -> NDArray[np.uint8]:
    """(480, 640, 3) what one car of a race sees now."""
    return race.frame(car, WIDTH_PX, HEIGHT_PX)
