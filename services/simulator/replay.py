"""
Real traces against this simulator: its reward parameters on their poses, its car on their actions.

What a row of the real simulator's log says (found in the logs, docs/dynamics.md): its action was
given at its pose, so it acts towards the next row. Poses are 1/15 s apart whatever the time stamps
say in logs of version 1-4; in those of version 5 and later they go with the time stamp before, and
with the wall clock.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.simtrace import TraceRow
from services.simulator.kernels import kernel
from services.simulator.vehicle import (
    CAR,
    CONTROL_HZ,
    FRONT_AXLE_M,
    REAR_AXLE_M,
    REFERENCE_POINT_M,
    Cars,
    drive_car,
    wrap_angle,
)

FloatArray = NDArray[np.float64]

HORIZONS = (5, 15, 30)
"""Steps after which the car is compared with the log."""

X, Y, HEADING, STEERING, SPEED, TIME, WALL = range(7)
LONGEST_STEP_S = 0.5  # more is a pause, in which the car was put back
LONGEST_MOVE_M = 0.5  # in a step; the fastest car moves 0.3 m
SHORTEST_STEP_S = 0.02
MOST_HURRY_S = 0.05  # more is a pause of the machine, not of the car
SLOWEST_MPS = 0.3  # below it a yaw rate says little about the wheels


class Tracking(NamedTuple):
    """
    How a log is followed up to the row where a replay starts.

    The first three say how far a row's own time step departs from 1/15 s: by which shares of the
    departures of the two time stamps before it, and of what the wall clock's step is shorter than
    the one before. The rest are the shares of a surprise, the logged pose less the expected one,
    that correct the car.
    """

    stamp: float
    earlier_stamp: float
    wall: float
    heading: float
    along: float
    speed: float
    wheels: float
    wheels_lead: float


EFFORT_TRACKING = Tracking(0.0, 0.0, 0.0, 0.98, 0.6709, 0.2612, 0.5213, 1.351)
KINEMATIC_TRACKING = Tracking(0.4156, -0.0887, 0.4675, 1.0, 0.4701, 0.1326, 0.3098, 0.0512)


def tracking_for(version: str) -> Tracking:
    """How logs of a `version` of `model_metadata.json` are followed."""
    return KINEMATIC_TRACKING if float(version) >= 5 else EFFORT_TRACKING


class Drift(NamedTuple):
    """
    Where the car is, seen from the logged pose, for every start and each of `HORIZONS`.

    All (starts, 3); NaN where the log ends before.
    """

    ahead_m: FloatArray
    left_m: FloatArray
    turned_rad: FloatArray

    @property
    def position_m(self) -> FloatArray:
        """Distance between the reference points."""
        distance: FloatArray = np.hypot(self.ahead_m, self.left_m)
        return distance


def motion_of(episode: Sequence[TraceRow]) -> FloatArray:
    """(n, 7) x, y, heading, commanded steering and speed, both clocks: metres, radians, seconds."""
    return np.array(
        [
            (
                row.x_m,
                row.y_m,
                math.radians(row.yaw_deg),
                math.radians(row.steering_deg),
                row.speed_mps,
                row.sim_time_s,
                row.wall_clock_s,
            )
            for row in episode
        ]
    )


def split_at_gaps(motion: FloatArray) -> list[FloatArray]:
    """An episode's rows without the jumps: where it paused, or where the car was put back."""
    steps_s = np.diff(motion[:, TIME])
    moves_m = np.hypot(np.diff(motion[:, X]), np.diff(motion[:, Y]))
    gaps = (steps_s > LONGEST_STEP_S) | (steps_s <= 0) | (moves_m > LONGEST_MOVE_M)
    return np.split(motion, np.flatnonzero(gaps) + 1)


def replay(
    stretches: Sequence[FloatArray], dynamics: np.void, tracking: Tracking, every: int = 1
) -> Drift:
    """
    Drive the logged actions from every logged state but the first of each stretch.

    A start knows the rows up to and including its own: the commands since the stretch began, and
    what the poses said about speed and steering. From there the car gets commands alone. The first
    row is none: there the real simulator is still putting the car down. `every` is the distance in
    rows from one start to the next.
    """
    drifts = [_replay_stretch(stretch, dynamics, tracking, every) for stretch in stretches]
    return Drift(*(np.concatenate(parts) for parts in zip(*drifts, strict=True)))


def _replay_stretch(motion: FloatArray, dynamics: np.void, tracking: Tracking, every: int) -> Drift:
    starts = len(range(1, len(motion) - HORIZONS[0], every))
    drift = Drift(*(np.full((starts, len(HORIZONS)), np.nan) for _ in Drift._fields))
    _replay(motion, np.zeros(2, CAR), dynamics, tracking, every, drift)
    return drift


@kernel
def _replay(
    motion: FloatArray,
    cars: Cars,
    dynamics: np.void,
    tracking: Tracking,
    every: int,
    drift: Drift,
) -> None:
    """Follow the log with the first car; where a replay starts the second one goes on alone."""
    put_on_pose(cars[0], motion[0], 1.0, 1.0)
    for start in range(1, len(motion) - HORIZONS[0]):
        follow(cars[0], motion, start, dynamics, tracking)
        if (start - 1) % every:
            continue
        cars[1] = cars[0]
        for ahead in range(1, HORIZONS[-1] + 1):
            row = start + ahead
            if row == len(motion):
                break
            drive_row(cars[1], motion, row, dynamics, tracking)
            for column, horizon in enumerate(HORIZONS):
                if ahead == horizon:
                    _compare(cars[1], motion[row], drift, (start - 1) // every, column)


@kernel
def drive_row(
    car: np.void, motion: FloatArray, row: int, dynamics: np.void, tracking: Tracking
) -> None:
    """Drive from the row before to this one; the first row's action was never carried out."""
    angle, speed = motion[row - 1, STEERING], motion[row - 1, SPEED]
    if row == 1:
        angle, speed = 0.0, 0.0
    duration_s = 1.0 / CONTROL_HZ
    duration_s += tracking.stamp * _departure_s(motion, row - 1)
    duration_s += tracking.earlier_stamp * _departure_s(motion, row - 2)
    duration_s += tracking.wall * _hurry_s(motion, row)
    drive_car(car, angle, speed, dynamics, max(duration_s, SHORTEST_STEP_S))


@kernel
def _departure_s(motion: FloatArray, row: int) -> float:
    """How much longer than whole control periods the step to a row took by its time stamps."""
    if row < 1:
        return 0.0
    step_s = float(motion[row, TIME] - motion[row - 1, TIME])
    return step_s - max(math.floor(step_s * CONTROL_HZ + 0.5), 1.0) / CONTROL_HZ


@kernel
def _hurry_s(motion: FloatArray, row: int) -> float:
    """By how much the step to a row took less time on the wall clock than the one before."""
    if row < 2:
        return 0.0
    hurry_s = 2 * motion[row - 1, WALL] - motion[row - 2, WALL] - motion[row, WALL]
    return float(hurry_s) if abs(hurry_s) < MOST_HURRY_S else 0.0


@kernel
def follow(
    car: np.void, motion: FloatArray, row: int, dynamics: np.void, tracking: Tracking
) -> None:
    """Drive to a row and learn from where the car really was."""
    drive_row(car, motion, row, dynamics, tracking)
    turned_rad = wrap_angle(motion[row, HEADING] - car["heading_rad"])
    moved_m = put_on_pose(car, motion[row], tracking.heading, tracking.along)
    faster_mps = moved_m * CONTROL_HZ
    speed = max(car["speed_mps"], SLOWEST_MPS)
    curvature = turned_rad * CONTROL_HZ / speed * min(1.0, speed)
    wheels_rad = curvature * (FRONT_AXLE_M - REAR_AXLE_M) / dynamics["steering_gain"]
    car["speed_mps"] += tracking.speed * faster_mps
    car["steering_rad"] += tracking.wheels * wheels_rad
    car["steering_lead_rad"] += tracking.wheels_lead * wheels_rad


@kernel
def put_on_pose(car: np.void, row: FloatArray, heading_share: float, along_share: float) -> float:
    """Move the car towards a logged pose; how far ahead of it that was, in metres."""
    cosine, sine = math.cos(row[HEADING]), math.sin(row[HEADING])
    gap_x = row[X] - REFERENCE_POINT_M * cosine - car["x_m"]
    gap_y = row[Y] - REFERENCE_POINT_M * sine - car["y_m"]
    ahead = gap_x * cosine + gap_y * sine
    car["x_m"] += gap_x - (1.0 - along_share) * ahead * cosine
    car["y_m"] += gap_y - (1.0 - along_share) * ahead * sine
    turned_rad = wrap_angle(row[HEADING] - car["heading_rad"])
    car["heading_rad"] = wrap_angle(car["heading_rad"] + heading_share * turned_rad)
    return float(ahead)


@kernel
def _compare(car: np.void, row: FloatArray, drift: Drift, start: int, column: int) -> None:
    cosine, sine = math.cos(row[HEADING]), math.sin(row[HEADING])
    gap_x = car["x_m"] + REFERENCE_POINT_M * math.cos(car["heading_rad"]) - row[X]
    gap_y = car["y_m"] + REFERENCE_POINT_M * math.sin(car["heading_rad"]) - row[Y]
    drift.ahead_m[start, column] = gap_x * cosine + gap_y * sine
    drift.left_m[start, column] = gap_y * cosine - gap_x * sine
    drift.turned_rad[start, column] = wrap_angle(car["heading_rad"] - row[HEADING])
