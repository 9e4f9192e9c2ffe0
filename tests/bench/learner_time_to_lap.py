"""
How soon a camera policy laps: learner and simulator in one process, without the bus.

    python -m tests.bench.learner_time_to_lap --track loop --seeds 5
    python -m tests.bench.learner_time_to_lap --track some_track.npy --set lr=0.0003

Prints for each seed when the first lap was driven, when the greedy policy first completed five of
five laps, and when it did so twice in a row; times are seconds of the clock, evaluations included.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RaceSpec, RunSpec
from libs.common.events import CarStep
from libs.common.tracks import Track
from services.simulator.action_space import ActionSpace, Orders
from services.simulator.race import Race, StepResult
from services.simulator.rollout import as_steps
from services.simulator.track_choice import choose_track
from services.trainer.architecture import Observations
from services.trainer.learner import Learner
from services.trainer.network import configure_threads

TRIALS = 5
BANDS = ((0.1, 1.0), (0.25, 0.5), (0.5, 0.1))
"""Fraction of the track's width from the centre line, and what it earns inside."""


@dataclass
class Milestone:
    """When something first happened."""

    seconds: float
    env_steps: int

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s / {self.env_steps}"


@dataclass
class Outcome:
    """What one seed reached."""

    seed: int
    steps_per_s: float = 0.0
    milestones: dict[str, Milestone] = field(default_factory=dict)
    evaluations: list[int] = field(default_factory=list)

    def note(self, what: str, seconds: float, env_steps: int) -> None:
        """Keep the first time only."""
        self.milestones.setdefault(what, Milestone(seconds, env_steps))


class Course:
    """A track, the cars' action space and a centre-line reward."""

    def __init__(self, track: Track, metadata: ModelMetadata, max_steps: int) -> None:
        self.track, self.metadata, self.space = track, metadata, ActionSpace(metadata)
        self.race = RaceSpec(max_steps=max_steps)

    def start(self, seeds: Sequence[int]) -> Race:
        """Cars on the track, one for each seed."""
        return Race(self.track, self.race, self.metadata.version, seeds)

    def drive(self, race: Race, orders: Orders) -> StepResult:
        """One camera step."""
        race.step(*orders)
        return race.finish_step([centre_line_reward(params) for params in race.measured_params()])


def seen(images: NDArray[np.uint8]) -> Observations:
    """Images (cars, height, width) as the learner takes them."""
    return {"FRONT_FACING_CAMERA": images[..., np.newaxis]}


def centre_line_reward(params: dict[str, float]) -> float:
    """The steps of DeepRacer's first example."""
    for fraction, reward in BANDS:
        if params["distance_from_center"] <= fraction * params["track_width"]:
            return reward
    return 1e-3


def evaluate(learner: Learner, course: Course, seed: int) -> int:
    """How many of five cars lap with the most probable actions."""
    race = course.start(range(seed, seed + TRIALS))
    laps: dict[int, bool] = {}
    while len(laps) < TRIALS:
        orders = course.space.most_probable(learner.exported_policy(seen(race.observations)))
        result = course.drive(race, orders)
        for episode in result.ended:
            laps.setdefault(episode.car, not np.isnan(result.lap_s[episode.car]))
    return sum(laps.values())


def rollouts(learner: Learner, course: Course, spec: RunSpec) -> Iterator[bool]:
    """Drive and learn; yields whether an iteration ended, at every camera step."""
    cars = spec.hyperparameters.cars
    race = course.start(range(spec.seed, spec.seed + cars))
    steps: Sequence[CarStep] = ()
    while True:
        decision = learner.act(seen(race.observations), steps)
        yield decision.ended is not None
        orders = course.space.take(decision.actions, decision.commands, cars)
        result = course.drive(race, orders)
        steps = as_steps(result, result.episode.tolist())


def learn_to_lap(spec: RunSpec, course: Course, max_seconds: float) -> Outcome:
    """Train one seed until it lapped five of five twice in a row, or time is up."""
    outcome = Outcome(spec.seed)
    learner = Learner(spec)
    learner.compile()
    began = time.perf_counter()
    for iteration_ended in rollouts(learner, course, spec):
        seconds, env_steps = time.perf_counter() - began, learner.state.env_steps
        if not iteration_ended:
            continue
        outcome.evaluations.append(evaluate(learner, course, 10_000 + 7 * len(outcome.evaluations)))
        seconds = time.perf_counter() - began
        outcome.steps_per_s = env_steps / seconds
        if outcome.evaluations[-1]:
            outcome.note("first lap", seconds, env_steps)
        if outcome.evaluations[-1] == TRIALS:
            outcome.note("5 of 5", seconds, env_steps)
        if outcome.evaluations[-2:] == [TRIALS, TRIALS]:
            outcome.note("twice", seconds, env_steps)
            break
        if seconds > max_seconds:
            break
    return outcome


def steering_actions(speeds_mps: Sequence[float], network: str) -> ModelMetadata:
    """Five steering angles at each of the speeds."""
    pairs = [(angle, speed) for speed in speeds_mps for angle in (-30.0, -15.0, 0.0, 15.0, 30.0)]
    actions = [
        {"steering_angle": angle, "speed": speed, "index": index}
        for index, (angle, speed) in enumerate(pairs)
    ]
    return ModelMetadata.model_validate({"action_space": actions, "neural_network": network})


def continuous_actions(
    low_mps: float, high_mps: float, network: str, algorithm: str = "clipped_ppo"
) -> ModelMetadata:
    """Any steering angle and any speed between the two."""
    ranges = {
        "steering_angle": {"low": -30.0, "high": 30.0},
        "speed": {"low": low_mps, "high": high_mps},
    }
    return ModelMetadata.model_validate(
        {
            "action_space": ranges,
            "neural_network": network,
            "training_algorithm": algorithm,
            "action_space_type": "continuous",
        }
    )


def with_settings(settings: Sequence[str]) -> Hyperparameters:
    """The sprint preset with some values replaced, each written as `key=value`."""
    changes = dict(setting.split("=", 1) for setting in settings)
    return Hyperparameters.model_validate({"preset": "sprint", **changes})


def report(outcomes: Sequence[Outcome], console: Console) -> None:
    """A row for each seed."""
    columns = ("first lap", "5 of 5", "twice")
    table = Table("seed", *columns, "steps/s", "laps of 5 in each evaluation")
    for outcome in outcomes:
        reached = [str(outcome.milestones.get(name, "-")) for name in columns]
        laps = " ".join(str(count) for count in outcome.evaluations)
        table.add_row(str(outcome.seed), *reached, f"{outcome.steps_per_s:.0f}", laps)
    console.print(table)


def main() -> None:
    """Parse the arguments, train every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--track", default="loop")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.5])
    parser.add_argument("--continuous", action="store_true", help="between two --speeds")
    parser.add_argument("--algorithm", default="clipped_ppo", choices=("clipped_ppo", "sac"))
    parser.add_argument("--network", default="DEEP_CONVOLUTIONAL_NETWORK_SHALLOW")
    parser.add_argument("--max-seconds", type=float, default=120)
    parser.add_argument("--max-steps", type=int, default=400)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    configure_threads()
    if arguments.continuous:
        metadata = continuous_actions(*arguments.speeds, arguments.network, arguments.algorithm)
    else:
        metadata = steering_actions(arguments.speeds, arguments.network)
    course = Course(choose_track(arguments.track), metadata, arguments.max_steps)
    outcomes = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        spec = RunSpec(
            name=f"sprint-{seed}",
            track=course.track.name,
            race=course.race,
            seed=seed,
            metadata=metadata,
            hyperparameters=with_settings(arguments.settings),
            reward_function="",
        )
        outcomes.append(learn_to_lap(spec, course, arguments.max_seconds))
        report(outcomes[-1:], Console(width=140))
    report(outcomes, Console(width=140))


if __name__ == "__main__":
    main()
