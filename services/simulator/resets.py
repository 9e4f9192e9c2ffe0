"""Back on the road after a breach: what DeepRacer's races do instead of ending the trial."""

import numpy as np
from numpy.typing import NDArray

from services.simulator.course import Course, gap_m, measure_car, segment_at
from services.simulator.kernels import kernel
from services.simulator.rules import CRASHED, IN_PROGRESS, Rulebook
from services.simulator.starts import stand_at
from services.simulator.traffic import (
    LEARNERS,
    NO_TRAFFIC,
    Traffic,
    follow_car,
    lane_offset_m,
)
from services.simulator.vehicle import CAR, REFERENCE_POINT_M, Cars

BEHIND_M = 1.0  # a car that crashed is put so far behind what it hit


def make_room() -> NDArray[np.void]:
    """Room for `put_back_cars`: a car of which nothing is known, and one to remember."""
    return np.zeros(2, CAR)


@kernel
def hold_paused_cars(
    cars: Cars, steering_rad: NDArray[np.float64], speed_mps: NDArray[np.float64]
) -> None:
    """Cars that wait for the end of a penalty are told to stand, whatever the policy says."""
    for index in range(len(cars)):
        if cars[index]["pause_steps"] > 0:
            steering_rad[index], speed_mps[index] = 0.0, 0.0


@kernel
def put_back_cars(
    cars: Cars, traffic: Traffic, course: Course, rulebook: Rulebook, room: NDArray[np.void]
) -> None:
    """Every car that broke a rule, and whose trial goes on, stands on the road again."""
    for index in range(len(cars)):
        car = cars[index]
        if car["breach"] != IN_PROGRESS and car["status"] == IN_PROGRESS:
            arena = index // traffic.cars_in_arena
            distance_m = _reset_distance_m(car, arena, traffic)
            room[1] = car
            cars[index] = room[0]
            _keep_record(car, room[1])
            _stand_again(car, room[1], distance_m, traffic, course)
            crashed = room[1]["breach"] == CRASHED
            car["pause_steps"] = rulebook.crash_pause if crashed else rulebook.off_track_pause
            if traffic.kind == LEARNERS:
                follow_car(car, traffic, arena, index % traffic.cars_in_arena)


@kernel
def _reset_distance_m(car: np.void, arena: int, traffic: Traffic) -> float:
    """Along the course: behind what the car hit, else where it left the road."""
    distance_m: float = car["distance_m"] - REFERENCE_POINT_M
    if car["breach"] == CRASHED:
        distance_m = traffic.places[arena, car["hit"]]["distance_m"] - BEHIND_M
    return distance_m


@kernel
def _keep_record(car: np.void, before: np.void) -> None:
    """What a reset does not wipe out."""
    car["course"], car["travelled_m"] = before["course"], before["travelled_m"]
    car["episode"], car["episode_reward"] = before["episode"], before["episode_reward"]
    car["steps"], car["laps"] = before["steps"], before["laps"]
    car["resets"], car["paused_steps"] = before["resets"] + 1, before["paused_steps"]
    car["crash_count"], car["off_track_count"] = before["crash_count"], before["off_track_count"]
    car["immobilized_count"] = before["immobilized_count"]
    car["reversed_count"] = before["reversed_count"]
    car["hit"] = -1


@kernel
def _stand_again(
    car: np.void, before: np.void, distance_m: float, traffic: Traffic, course: Course
) -> None:
    """In the nearest lane where lanes count, else on the centre line."""
    lap_m, row = course.distances_m[0, -1], car["course"]
    distance_m = distance_m % lap_m if course.closed else max(distance_m, 0.0)
    offset_m = 0.0
    if traffic.kind != NO_TRAFFIC:
        segment = segment_at(distance_m, row, course)
        offset_m = abs(lane_offset_m(1.0, row, segment, traffic, course))
        offset_m = offset_m if before["offset_m"] > 0 else -offset_m
    stand_at(car, distance_m, offset_m, course)
    # What it gains or loses by being put back is part of its progress.
    car["travelled_m"] += gap_m(before["distance_m"], distance_m, course)
    measure_car(car, course)
