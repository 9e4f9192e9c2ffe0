"""Trials by race rules: laps in total, and what leaving the road costs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from services.simulator.action_space import Orders
from services.simulator.race import Race
from services.simulator.vehicle import CONTROL_HZ


class Trial(NamedTuple):
    """What a car did by race rules."""

    seconds: float | None  # all laps, penalties included; None where it did not finish
    off_tracks: int
    laps_s: tuple[float, ...]


def drive_trials(race: Race, decide: Callable[[Race], Orders], laps: int) -> list[Trial]:
    """
    Drive until every car's first trial has ended; one that is done drives on unnoticed.

    Args:
        race: cars at their starts, with `resets`.
        decide: tells all cars what to do next.
        laps: that a trial is complete with.

    Returns a trial for each car.
    """
    found: dict[int, Trial] = {}
    while len(found) < race.cars:
        race.step(*decide(race))
        result = race.finish_step(np.zeros(race.cars))
        for ended in result.ended:
            finished = len(ended.lap_times_s) == laps
            seconds = int(result.steps[ended.car]) / CONTROL_HZ if finished else None
            trial = Trial(seconds, ended.incidents.off_track_count, ended.lap_times_s)
            found.setdefault(ended.car, trial)
    return [found[car] for car in range(race.cars)]
