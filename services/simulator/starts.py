"""Where the episodes of cars begin."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import Track
from services.simulator.course import Course, measure_car
from services.simulator.vehicle import CAR, Cars

SHIFT = 0.05  # of a lap with every episode
GOLDEN_RATIO_32 = 2654435769  # times 2**32: consecutive seeds spread evenly over the lap


class Starts(NamedTuple):
    """Which way each car drives and where its first episode begins, for compiled code."""

    fractions: NDArray[np.float64]  # (cars,) of a lap
    shift: float  # of a lap, with every episode
    clockwise: bool
    alternate: bool  # turn round after every episode
    blank: NDArray[np.void]  # (1,) a car of which nothing is known yet


def plan_starts(track: Track, race: RaceSpec, seeds: Sequence[int]) -> Starts:
    """
    Starts of cars with these seeds.

    Episode `e` of a car begins at `race.start_position`, moved on by 5 % of a lap for every
    episode and by a share of the lap that its seed stands for (none for seed 0), unless
    `race.change_start_position` is off; on an open track always at its beginning.
    """
    moves = track.closed and race.change_start_position
    spread = [seed * GOLDEN_RATIO_32 % 2**32 / 2**32 if moves else 0.0 for seed in seeds]
    first = race.start_position if track.closed else 0.0
    return Starts(
        fractions=(first + np.array(spread)) % 1.0,
        shift=SHIFT if moves else 0.0,
        clockwise=race.direction == "clockwise",
        alternate=race.alternate_direction,
        blank=np.zeros(1, CAR),
    )


@numba.njit(cache=True, nogil=True)
def begin_episodes(cars: Cars, indices: NDArray[np.int64], starts: Starts, course: Course) -> None:
    """Put some cars at the start of their present episodes, standing still."""
    for index in indices:
        begin_episode(cars, index, starts, course)


@numba.njit(cache=True, nogil=True)
def begin_episode(cars: Cars, index: int, starts: Starts, course: Course) -> None:
    """Put a car at the start of its present episode, standing still."""
    episode = cars[index]["episode"]
    cars[index] = starts.blank[0]
    car = cars[index]
    car["episode"] = episode
    row = 1 if starts.clockwise else 0
    if starts.alternate and episode % 2 == 1:
        row = 1 - row
    car["course"] = row
    start_m = ((starts.fractions[index] + starts.shift * episode) % 1.0) * course.distances_m[0, -1]
    stand_at(car, start_m, 0.0, course)
    # The reference point is already ahead of the start: progress begins above 0.
    measure_car(car, course)


@numba.njit(cache=True, nogil=True)
def stand_at(car: np.void, distance_m: float, offset_m: float, course: Course) -> None:
    """Stand a car along the course at `distance_m`, `offset_m` to the left of the centre line."""
    row = car["course"]
    segment = segment_at(distance_m, row, course)
    x_m, y_m, heading_rad = pose_at(distance_m, offset_m, row, segment, course)
    car["x_m"], car["y_m"], car["heading_rad"] = x_m, y_m, heading_rad
    car["segment"], car["distance_m"] = segment, distance_m


@numba.njit(cache=True, nogil=True)
def segment_at(distance_m: float, row: int, course: Course) -> int:
    """The last segment that begins at or before a distance, by bisection."""
    low, high = 0, course.distances_m.shape[1] - 2
    while low < high:
        middle = (low + high + 1) // 2
        if course.distances_m[row, middle] <= distance_m:
            low = middle
        else:
            high = middle - 1
    return low


@numba.njit(cache=True, nogil=True)
def pose_at(
    distance_m: float, offset_m: float, row: int, segment: int, course: Course
) -> tuple[float, float, float]:
    """x, y and heading of a place beside the centre line, in a known segment."""
    begin_m, end_m = course.distances_m[row, segment], course.distances_m[row, segment + 1]
    along = (distance_m - begin_m) / (end_m - begin_m) if end_m > begin_m else 0.0
    start, end = course.waypoints[row, segment], course.waypoints[row, segment + 1]
    heading_rad = course.headings_rad[row, segment]
    x_m = start[0] + along * (end[0] - start[0]) - offset_m * math.sin(heading_rad)
    y_m = start[1] + along * (end[1] - start[1]) + offset_m * math.cos(heading_rad)
    return x_m, y_m, heading_rad
