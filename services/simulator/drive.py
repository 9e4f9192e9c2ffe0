"""Driving for people to look at: every step of some cars, kept, and what became of them."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.events import EpisodeStatus
from services.simulator.drivers import Driver
from services.simulator.race import Race
from services.simulator.rules import IN_PROGRESS, LAP_COMPLETE, STATUSES
from services.simulator.vehicle import CONTROL_HZ

KEPT = [
    "x_m",
    "y_m",
    "front_x_m",
    "front_y_m",
    "heading_rad",
    "speed_mps",
    "travelled_m",
    "progress_pct",
    "episode",
    "steps",
    "status",
]
"""Fields of `CAR`."""

CREEP_M = 0.005  # moved in a step: below it a direction of motion means nothing


class Episode(NamedTuple):
    """One episode of one car; arrays have a row for its start and one for each step."""

    car: int
    number: int
    path: NDArray[np.void]  # (steps + 1,) of the fields `KEPT`

    @property
    def status(self) -> EpisodeStatus:
        """How it ended; `in_progress` where the drive was over before it."""
        return STATUSES[int(self.path["status"][-1])]

    @property
    def steps(self) -> int:
        """Camera steps."""
        return int(self.path["steps"][-1])

    @property
    def lap_s(self) -> float | None:
        """The lap's time, if there was one."""
        return self.steps / CONTROL_HZ if self.status == STATUSES[LAP_COMPLETE] else None

    @property
    def slip_rad(self) -> NDArray[np.float64]:
        """(steps,) angle from where the car points, midway through a step, to where it moves."""
        step_x, step_y = np.diff(self.path["x_m"]), np.diff(self.path["y_m"])
        turned_rad = wrap(np.diff(self.path["heading_rad"]))
        heading_rad = self.path["heading_rad"][:-1] + turned_rad / 2
        slip_rad = wrap(np.arctan2(step_y, step_x) - heading_rad)
        moves: NDArray[np.bool_] = np.hypot(step_x, step_y) >= CREEP_M
        return np.where(moves, slip_rad, 0.0)

    def as_json(self) -> dict[str, object]:
        """Its result, in DeepRacer's units."""
        speed_mps = self.path["speed_mps"][1:]
        return {
            "car": self.car,
            "episode": self.number,
            "status": self.status,
            "progress_pct": round(float(self.path["progress_pct"][-1]), 2),
            "steps": self.steps,
            "seconds": round(self.steps / CONTROL_HZ, 3),
            "lap_s": None if self.lap_s is None else round(self.lap_s, 3),
            "mean_speed_mps": round(float(speed_mps.mean()), 3),
            "top_speed_mps": round(float(speed_mps.max()), 3),
            "max_slip_deg": round(math.degrees(float(np.abs(self.slip_rad).max())), 2),
        }


def drive(
    race: Race, driver: Driver, laps: int, seconds: float, watch: Callable[[Race], None]
) -> list[Episode]:
    """
    Drive until every car has completed its laps or has failed, or the time is over.

    Args:
        race: cars at their starts.
        driver: tells them what to do.
        laps: of each car, each one from a standing start.
        seconds: of the simulated clock.
        watch: called after every step, before cars whose episode ended go to their next start.

    Returns the episodes that count, by car; a car that is done drives on, but not into these.
    """
    rows = [race.states[KEPT].copy()]
    left = np.full(race.cars, laps)
    for _ in range(max(1, round(seconds * CONTROL_HZ))):
        race.step(*driver.decide(race))
        rows.append(race.states[KEPT].copy())
        watch(race)
        status = race.finish_step(np.zeros(race.cars)).status
        left -= status == LAP_COMPLETE
        left[(status != LAP_COMPLETE) & (status != IN_PROGRESS)] = 0
        if not (left > 0).any():
            break
        if (status != IN_PROGRESS).any():
            rows.append(race.states[KEPT].copy())  # where the next episodes begin
    return _sort_out(np.stack(rows), laps)


def _sort_out(rows: NDArray[np.void], laps: int) -> list[Episode]:
    """Episodes from (rows, cars) states: each car's up to its last lap or first failure."""
    episodes: list[Episode] = []
    for car in range(rows.shape[1]):
        for number in range(laps):
            path = rows[rows["episode"][:, car] == number, car]
            if len(path) < 2:
                break
            # A row is there twice where another car began anew.
            episodes.append(
                Episode(car, number, path[np.unique(path["steps"], return_index=True)[1]])
            )
            if episodes[-1].status != STATUSES[LAP_COMPLETE]:
                break
    return episodes


def wrap(angle_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same directions between -pi and pi."""
    wrapped: NDArray[np.float64] = (angle_rad + math.pi) % (2 * math.pi) - math.pi
    return wrapped
