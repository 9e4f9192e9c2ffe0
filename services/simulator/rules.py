"""What ends an episode of a time trial, as DeepRacer's simulator has it."""

from typing import get_args

import numba
import numpy as np

from libs.common.events import EpisodeStatus
from services.simulator.vehicle import Cars

STILL_M = 0.0003  # moved in a step: no more than this is standing still
PATIENCE_STEPS = 15  # in a row, of standing still or of losing progress

IN_PROGRESS, LAP_COMPLETE, OFF_TRACK, IMMOBILIZED, REVERSED, TIME_UP = range(6)

STATUSES: tuple[EpisodeStatus, ...] = (
    "in_progress",
    "lap_complete",
    "off_track",
    "immobilized",
    "reversed",
    "time_up",
)
"""Names of the codes above."""

assert set(STATUSES) < set(get_args(EpisodeStatus))


@numba.njit(cache=True, nogil=True)
def judge_cars(cars: Cars, lap_m: float, max_steps: int) -> None:
    """Count the step that each car has just driven and write down what it led to."""
    for index in range(len(cars)):
        judge_car(cars[index], lap_m, max_steps)


@numba.njit(cache=True, nogil=True)
def judge_car(car: np.void, lap_m: float, max_steps: int) -> None:
    """The first rule that applies; an episode may take `max_steps` steps."""
    car["steps"] += 1
    car["still_steps"] = car["still_steps"] + 1 if car["moved_m"] <= STILL_M else 0
    car["backward_steps"] = car["backward_steps"] + 1 if car["gained_m"] < 0 else 0
    if car["travelled_m"] >= lap_m:
        car["status"] = LAP_COMPLETE
    elif car["wheels_on"] == 0:
        car["status"] = OFF_TRACK
    elif car["still_steps"] >= PATIENCE_STEPS:
        car["status"] = IMMOBILIZED
    elif car["backward_steps"] >= PATIENCE_STEPS:
        car["status"] = REVERSED
    elif car["steps"] >= max_steps:
        car["status"] = TIME_UP
