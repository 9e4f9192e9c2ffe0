"""What a step leads to, as DeepRacer's simulator has it; reference, section 2."""

from typing import NamedTuple, get_args

import numpy as np

from libs.common.deepracer.race_spec import RaceSpec
from libs.common.events import EpisodeStatus
from services.simulator.course import Course
from services.simulator.kernels import kernel
from services.simulator.traffic import LEARNERS, Traffic, hit_body, move_traffic
from services.simulator.vehicle import CONTROL_HZ, Cars

STILL_M = 0.0003  # moved in a step: no more than this is standing still
PATIENCE_STEPS = 15  # in a row, of standing still or of losing progress

IN_PROGRESS, LAP_COMPLETE, OFF_TRACK, IMMOBILIZED, REVERSED, TIME_UP, CRASHED = range(7)

STATUSES: tuple[EpisodeStatus, ...] = (
    "in_progress",
    "lap_complete",
    "off_track",
    "immobilized",
    "reversed",
    "time_up",
    "crashed",
)
"""Names of the codes above."""

assert set(STATUSES) == set(get_args(EpisodeStatus))


class Rulebook(NamedTuple):
    """What ends an episode, for compiled code."""

    lap_m: float
    laps: int
    max_steps: int
    max_resets: int  # breaches after which the car is put back on the road; 0: the first ends it
    off_track_pause: int  # steps that a car stands after a breach
    crash_pause: int


def write_rulebook(lap_m: float, race: RaceSpec, resets: bool) -> Rulebook:
    """The rules of training and of clean laps, or with `resets` those of DeepRacer's races."""
    laps = race.laps if resets else 1
    return Rulebook(
        lap_m=lap_m,
        laps=laps,
        max_steps=race.max_steps * laps,
        max_resets=race.max_resets if resets else 0,
        off_track_pause=round(race.off_track_penalty_s * CONTROL_HZ),
        crash_pause=round(race.crash_penalty_s * CONTROL_HZ),
    )


@kernel
def run_arenas(
    cars: Cars, begin: int, end: int, traffic: Traffic, course: Course, rulebook: Rulebook
) -> None:
    """Move what else is on the road in arenas `begin` to `end`, then judge their cars."""
    together = traffic.cars_in_arena
    for arena in range(begin, end):
        move_traffic(cars, traffic, arena, course)
        for seat in range(together):
            car = cars[arena * together + seat]
            own = seat if traffic.kind == LEARNERS else -1
            car["hit"] = hit_body(car, own, arena, traffic, course)
            judge_car(car, rulebook)


@kernel
def judge_car(car: np.void, rulebook: Rulebook) -> None:
    """Count the step that a car has just driven and write down what it led to."""
    car["steps"] += 1
    car["breach"], car["lap_ended"] = IN_PROGRESS, 0
    if car["pause_steps"] > 0:
        car["pause_steps"] -= 1
        car["paused_steps"] += 1
    elif car["travelled_m"] >= rulebook.lap_m:
        _finish_lap(car, rulebook)
    else:
        car["breach"] = find_breach(car)
        _count_breach(car)
        if car["breach"] != IN_PROGRESS and car["resets"] >= rulebook.max_resets:
            car["status"] = car["breach"]
    if car["status"] == IN_PROGRESS and car["steps"] >= rulebook.max_steps:
        car["status"] = TIME_UP


@kernel
def _finish_lap(car: np.void, rulebook: Rulebook) -> None:
    car["laps"] += 1
    car["lap_ended"] = 1
    if car["laps"] >= rulebook.laps:
        car["status"] = LAP_COMPLETE
    else:
        car["travelled_m"] -= rulebook.lap_m


@kernel
def find_breach(car: np.void) -> int:
    """The first rule that a car has broken with its last step, `IN_PROGRESS` for none."""
    car["still_steps"] = car["still_steps"] + 1 if car["moved_m"] <= STILL_M else 0
    car["backward_steps"] = car["backward_steps"] + 1 if car["gained_m"] < 0 else 0
    if car["hit"] >= 0:
        return CRASHED
    if car["wheels_on"] == 0:
        return OFF_TRACK
    if car["still_steps"] >= PATIENCE_STEPS:
        return IMMOBILIZED
    return REVERSED if car["backward_steps"] >= PATIENCE_STEPS else IN_PROGRESS


@kernel
def _count_breach(car: np.void) -> None:
    breach = car["breach"]
    car["crash_count"] += breach == CRASHED
    car["off_track_count"] += breach == OFF_TRACK
    car["immobilized_count"] += breach == IMMOBILIZED
    car["reversed_count"] += breach == REVERSED
