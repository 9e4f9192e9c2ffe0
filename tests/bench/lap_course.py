"""A course for `learner_time_to_lap`: a track, the cars on it, a reward, and evaluations."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.run_spec import RunSpec
from libs.common.tracks import Track
from services.simulator.action_space import ActionSpace, Orders
from services.simulator.race import Race, StepResult
from services.simulator.views import Look
from services.simulator.world import draw_world

BANDS = ((0.1, 1.0), (0.25, 0.5), (0.5, 0.1))
"""Fraction of the track's width from the centre line, and what it earns inside."""
OFF_BANDS = 1e-3

GreedyPolicy = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Outputs (n, outputs) of the exported policy for images (n, height, width)."""


@dataclass
class Stopwatch:
    """Seconds of the clock by what they went into."""

    spent_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def running(self, activity: str) -> Iterator[None]:
        """Book what happens inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(activity, time.perf_counter() - began)

    def add(self, activity: str, seconds: float) -> None:
        """Book seconds that were measured elsewhere."""
        self.spent_s[activity] = self.spent_s.get(activity, 0.0) + seconds


@dataclass
class Trials:
    """What greedy trials from several starts came to."""

    completed: int
    trials: int
    speeds_mps: list[float]  # average over each lap that was completed
    progress_pct: list[float]  # of each trial

    @property
    def all_completed(self) -> bool:
        """Whether none failed."""
        return self.completed == self.trials


class Course:
    """A run's track, world and action space, and a centre-line reward."""

    def __init__(self, track: Track, spec: RunSpec) -> None:
        self.track, self.spec, self.space = track, spec, ActionSpace(spec.metadata)
        self._world = None
        if not spec.randomisation.varies_picture:
            self._world = draw_world(track, spec.world)

    def start(self, seeds: Sequence[int]) -> Race:
        """Cars on the track, one for each seed."""
        spec = self.spec
        look = Look(spec.world, spec.randomisation)
        return Race(self.track, spec.race, spec.metadata, seeds, look=look, world=self._world)

    def drive(self, race: Race, orders: Orders) -> StepResult:
        """One camera step."""
        race.step(*orders)
        columns = race.measured_columns()
        return race.finish_step(
            centre_line_rewards(columns["distance_from_center"], columns["track_width"])
        )

    def evaluate(self, policy: GreedyPolicy, seeds: Sequence[int]) -> Trials:
        """One lap for each seed, with the most probable actions or the means."""
        race = self.start(seeds)
        laps_s: dict[int, float] = {}
        progress_pct: dict[int, float] = {}
        while len(laps_s) < len(seeds):
            result = self.drive(race, self.space.most_probable(policy(race.observations)))
            for car in np.flatnonzero(result.done).tolist():
                laps_s.setdefault(car, float(result.lap_s[car]))
                progress_pct.setdefault(car, float(result.progress_pct[car]))
        done_s = [lap_s for lap_s in laps_s.values() if not np.isnan(lap_s)]
        speeds_mps = [self.track.length_m / lap_s for lap_s in done_s]
        return Trials(len(done_s), len(seeds), speeds_mps, list(progress_pct.values()))


def centre_line_rewards(
    distance_m: NDArray[np.float64], width_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The steps of DeepRacer's first example, for each car."""
    rewards = np.full(len(distance_m), OFF_BANDS)
    for fraction, reward in reversed(BANDS):
        rewards[distance_m <= fraction * width_m] = reward
    return rewards
