"""Where the episodes of cars begin."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.race_spec import RaceSpec
from libs.common.tracks import Track
from services.simulator.bodies import NOTHING
from services.simulator.course import Course, gap_m, measure_car, pose_at, segment_at
from services.simulator.kernels import kernel
from services.simulator.traffic import BOTS, BOXES, LEARNERS, Traffic, follow_car, set_out
from services.simulator.vehicle import CAR, Cars

SHIFT = 0.05  # of a lap with every episode
GOLDEN_RATIO_32 = 2654435769  # times 2**32: consecutive seeds spread evenly over the lap
GRID_M = 1.0  # between cars that start a race together
CLEAR_BEHIND_M, CLEAR_AHEAD_M = 0.75, 1.5  # of a car's start: no body may be there already


class Starts(NamedTuple):
    """Which way each car drives and where its first episode begins, for compiled code."""

    fractions: NDArray[np.float64]  # (cars,) of a lap
    shift: float  # of a lap, with every episode
    clockwise: bool
    alternate: bool  # turn round after every episode
    blank: NDArray[np.void]  # (1,) a car of which nothing is known yet


def plan_starts(track: Track, race: RaceSpec, seeds: Sequence[int], together: bool) -> Starts:
    """
    Starts of cars with these seeds.

    Episode `e` of a car begins at `race.start_position`, moved on by 5 % of a lap for every
    episode and by a share of the lap that its seed stands for (none for seed 0), unless
    `race.change_start_position` is off; on an open track always at its beginning. Where the cars
    of an arena start `together` they go by the seed of the first, each a metre ahead of the one
    before.
    """
    moves = track.closed and race.change_start_position
    first = race.start_position if track.closed else 0.0
    fractions = np.full(len(seeds), first)
    for car, seed in enumerate(seeds if moves else ()):
        fractions[car] += seed * GOLDEN_RATIO_32 % 2**32 / 2**32
    if together:
        grid = fractions.reshape(-1, race.cars_in_arena)
        grid[:] = grid[:, :1] + np.arange(race.cars_in_arena) * (GRID_M / track.length_m)
    return Starts(
        fractions=fractions % 1.0,
        shift=SHIFT if moves else 0.0,
        clockwise=race.direction == "clockwise",
        alternate=race.alternate_direction,
        blank=np.zeros(1, CAR),
    )


@kernel
def begin_episodes(
    cars: Cars, indices: NDArray[np.int64], starts: Starts, traffic: Traffic, course: Course
) -> None:
    """Put some cars at the start of their present episodes, standing still."""
    for index in indices:
        begin_episode(cars, index, starts, traffic, course)


@kernel
def begin_episode(cars: Cars, index: int, starts: Starts, traffic: Traffic, course: Course) -> None:
    """Put a car at the start of its present episode, and anew what is on its road."""
    episode = cars[index]["episode"]
    cars[index] = starts.blank[0]
    car = cars[index]
    car["episode"], car["hit"] = episode, -1
    row = 1 if starts.clockwise else 0
    if starts.alternate and episode % 2 == 1:
        row = 1 - row
    car["course"] = row
    start_m = ((starts.fractions[index] + starts.shift * episode) % 1.0) * course.distances_m[0, -1]
    arena = index // traffic.cars_in_arena
    if traffic.kind in (BOXES, BOTS):
        set_out(traffic, arena, episode, start_m, row, course)
    seat = index % traffic.cars_in_arena if traffic.kind == LEARNERS else -1
    if seat >= 0 or len(traffic.fixed) > 0:  # what is drawn keeps its distance from the start
        start_m = clear_start_m(start_m, seat, arena, traffic, course)
    stand_at(car, start_m, 0.0, course)
    if not course.closed:
        car["travelled_m"] = start_m  # the end is where it is, wherever the car begins
    # The reference point is already ahead of the start: progress begins above 0.
    measure_car(car, course)
    if traffic.kind == LEARNERS:
        follow_car(car, traffic, arena, seat)


@kernel
def clear_start_m(start_m: float, own: int, arena: int, traffic: Traffic, course: Course) -> float:
    """The first place from `start_m` on that has no body close by, if there is one."""
    count = traffic.bodies.shape[1]
    for _ in range(count + 1):
        moved = False
        for index in range(count):
            if index == own or traffic.bodies[arena, index]["kind"] == NOTHING:
                continue
            body_m = traffic.places[arena, index]["distance_m"]
            if -CLEAR_BEHIND_M < gap_m(start_m, body_m, course) < CLEAR_AHEAD_M:
                ahead_m = body_m + CLEAR_BEHIND_M
                start_m = ahead_m % course.distances_m[0, -1] if course.closed else ahead_m
                moved = True
        if not moved:
            break
    return start_m


@kernel
def stand_at(car: np.void, distance_m: float, offset_m: float, course: Course) -> None:
    """Stand a car along the course at `distance_m`, `offset_m` to the left of the centre line."""
    row = car["course"]
    segment = segment_at(distance_m, row, course)
    x_m, y_m, heading_rad = pose_at(distance_m, offset_m, row, segment, course)
    car["x_m"], car["y_m"], car["heading_rad"] = x_m, y_m, heading_rad
    car["segment"], car["distance_m"] = segment, distance_m
