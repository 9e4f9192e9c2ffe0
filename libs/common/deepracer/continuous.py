"""Continuous actions: what a network's -1 to 1 means to the car."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.metadata import ContinuousActionSpace

COMMANDS = 2  # steering and speed


def command_bounds(space: ContinuousActionSpace) -> NDArray[np.float64]:
    """The lowest and the highest command: (2, 2) of steering (rad, + = left) and speed (m/s)."""
    steering, speed = space.steering_angle, space.speed
    ends = [(steering.low, speed.low), (steering.high, speed.high)]
    return np.array([(np.radians(angle), speed_mps) for angle, speed_mps in ends])


def scale_actions(bounds: NDArray[np.float64], actions: NDArray[Any]) -> NDArray[np.float64]:
    """
    The command that each action means.

    As in DeepRacer's simulation and on its car: the network's first output steers, the second
    drives, both are cut to -1 to 1 and laid linearly between the bounds.

    Args:
        bounds: of `command_bounds`.
        actions: (n, 2) as a network gives them.

    Returns:
        (n, 2) steering (rad) and speed (m/s).
    """
    low, high = bounds
    scaled: NDArray[np.float64] = low + (np.clip(actions, -1.0, 1.0) + 1.0) / 2.0 * (high - low)
    return scaled
