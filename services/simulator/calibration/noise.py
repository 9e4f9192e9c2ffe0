"""
How well a log could be foretold at all: the floor that its own noise sets.

Real cars are kicked about: from one row to the next a log departs from what the model expects by
surprises that have no memory. A log that the model itself makes, with the same surprises in another
order, is foretold by that model as well as anything could; its replay errors are the floor.
"""

from collections.abc import Sequence

import numpy as np

from services.simulator.calibration.fit import Fitted
from services.simulator.replay import (
    HEADING,
    Drift,
    FloatArray,
    X,
    Y,
    drive_row,
    follow,
    put_on_pose,
    replay,
)
from services.simulator.vehicle import CAR, REFERENCE_POINT_M, wrap_angle


def surprises(stretches: Sequence[FloatArray], fitted: Fitted) -> FloatArray:
    """(rows, 2) metres ahead and radians turned of each row's pose beyond the expected one."""
    return np.concatenate([_surprises(motion, fitted) for motion in stretches])


def _surprises(motion: FloatArray, fitted: Fitted) -> FloatArray:
    car, found = np.zeros(1, CAR)[0], []
    put_on_pose(car, motion[0], 1.0, 1.0)
    for row in range(1, len(motion)):
        expected = car.copy()
        drive_row(expected, motion, row, *fitted)
        turned = wrap_angle(motion[row, HEADING] - expected["heading_rad"])
        found.append((put_on_pose(expected, motion[row], 1.0, 1.0), turned))
        follow(car, motion, row, *fitted)
    # The car is still being put down in the first two steps.
    return np.array(found)[2:]


def floor(stretches: Sequence[FloatArray], fitted: Fitted, seed: int = 0) -> Drift:
    """Replay of logs that the model makes from the same actions and shuffled surprises."""
    random = np.random.default_rng(seed)
    kicks = surprises(stretches, fitted)
    made = [_make_log(m, fitted, kicks[random.integers(0, len(kicks), len(m))]) for m in stretches]
    return replay(made, *fitted)


def _make_log(motion: FloatArray, fitted: Fitted, kicks: FloatArray) -> FloatArray:
    car, made = np.zeros(1, CAR)[0], motion.copy()
    put_on_pose(car, motion[0], 1.0, 1.0)
    for row in range(1, len(motion)):
        moved = car.copy()
        drive_row(moved, made, row, *fitted)
        ahead_m, turned_rad = kicks[row]
        heading = moved["heading_rad"] + turned_rad
        forward = np.array([np.cos(heading), np.sin(heading)])
        made[row, HEADING] = heading
        made[row, [X, Y]] = np.array([moved["x_m"], moved["y_m"]]) + forward * (
            ahead_m + REFERENCE_POINT_M
        )
        follow(car, made, row, *fitted)
    return made
