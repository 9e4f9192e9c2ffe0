"""Continuous actions: what a network's -1 to 1 means to the car."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.metadata import ContinuousActionSpace


def scale_actions(space: ContinuousActionSpace, actions: NDArray[Any]) -> NDArray[np.float64]:
    """
    Steering (rad, + = left) and speed (m/s) of each action.

    As in DeepRacer's simulation and on its car: the network's first output steers, the second
    drives, both are cut to -1 to 1 and laid linearly on the ranges of the action space.

    Args:
        actions: (n, 2) as a network gives them.

    Returns:
        (n, 2) commands.
    """
    steering, speed = space.steering_angle, space.speed
    low = np.array([np.radians(steering.low), speed.low])
    high = np.array([np.radians(steering.high), speed.high])
    scaled: NDArray[np.float64] = low + (np.clip(actions, -1, 1) + 1) / 2 * (high - low)
    return scaled
