"""
How soon a camera policy laps: learner and simulator in one process, without the bus.

    python -m tests.bench.learner_time_to_lap --track loop --seeds 5
    python -m tests.bench.learner_time_to_lap --track loop oval a_track.npy --directions both \
        --network FAST --version 4 --randomise '{"noise": [0, 8]}' --set lr=0.0003 --json out.jsonl

A seed is done when its greedy policy has completed five of five laps in two evaluations in a row;
then it drives from twenty other starts. An iteration's policy is evaluated if a lap was completed
in it, if the evaluation before was complete, or if all evaluations together stay below a tenth of
the time: as the service does it, but instead of learning, not beside it. Times are seconds of the
clock from the first camera step on, evaluations included, compilation not.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from libs.common.deepracer.hyperparameters import Hyperparameters, fit_preset
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.run_spec import RaceSpec, RunSpec
from libs.common.events import CarStep, IterationEnded
from services.simulator.rollout import as_steps
from services.simulator.track_choice import choose_track
from services.trainer.architecture import Observations
from services.trainer.learner import Learner
from services.trainer.network import configure_threads
from tests.bench.lap_course import Course, Stopwatch, Trials

TRIALS, UNSEEN = 5, 20
UNSEEN_SEEDS = range(900_000, 900_000 + UNSEEN)
EVALUATION_SHARE = 0.1
WAYS = {"both": ("counterclockwise", "clockwise")}
MILESTONES = ("first lap", "5 of 5", "twice")
USUAL_RANGES: dict[str, Any] = {
    "noise": (0, 8),
    "brightness": (0.8, 1.2),
    "contrast": (0.85, 1.15),
    "camera_pitch_rad": (-0.02, 0.02),
    "camera_height_m": (-0.005, 0.005),
    "friction": (0.85, 1.1),
    "lag": (0.85, 1.15),
}
"""What `--randomise usual` stands for: a camera's noise, light, mounting, and the car's answer."""


@dataclass
class Milestone:
    """When something first happened."""

    seconds: float
    env_steps: int

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s / {self.env_steps}"


@dataclass
class Outcome:
    """What one seed reached on one track."""

    track: str
    direction: str
    seed: int
    compile_s: float = 0.0
    env_steps: int = 0
    seconds: float = 0.0
    processor_s: float = 0.0  # of all threads
    updates: int = 0
    milestones: dict[str, Milestone] = field(default_factory=dict)
    evaluations: list[int] = field(default_factory=list)  # laps of five
    spent_s: dict[str, float] = field(default_factory=dict)
    unseen: int | None = None  # of twenty
    speed_mps: float | None = None  # average of those laps
    curve: list[tuple[float, int, float]] = field(default_factory=list)
    """Of each iteration that episodes ended in: seconds, steps, mean progress in per cent."""

    def note(self, what: str) -> None:
        """Keep the first time only."""
        self.milestones.setdefault(what, Milestone(self.seconds, self.env_steps))

    def add_evaluation(self, trials: Trials) -> None:
        """Keep what an evaluation reached."""
        self.evaluations.append(trials.completed)
        if trials.completed:
            self.note("first lap")
        if trials.all_completed:
            self.note("5 of 5")
        if self.evaluations[-2:] == [TRIALS, TRIALS]:
            self.note("twice")

    @property
    def is_reliable(self) -> bool:
        """Five of five twice, and at most one of twenty other starts failed."""
        return "twice" in self.milestones and (self.unseen or 0) >= UNSEEN - 1


class Attempt:
    """One seed on one course."""

    def __init__(self, course: Course) -> None:
        spec = course.spec
        self._course, self._hyper = course, spec.hyperparameters
        self._watch = Stopwatch()
        self.outcome = Outcome(course.track.name, spec.race.direction, spec.seed)
        began = time.perf_counter()
        self._learner = Learner(spec)
        self._learner.compile()
        self._race = course.start(range(spec.seed * 1000, spec.seed * 1000 + self._hyper.cars))
        self.outcome.compile_s = time.perf_counter() - began

    def run(self, max_seconds: float, max_env_steps: int) -> Outcome:
        """Learn until the policy laps reliably, or time or steps are up."""
        outcome, began, processor = self.outcome, time.perf_counter(), time.process_time()
        for ended in self._iterations():
            outcome.env_steps, outcome.updates = ended.env_steps, self._learner.state.updates
            if self._is_worth_evaluating(ended):
                with self._watch.running("evaluate"):
                    first = 10_000 + TRIALS * len(outcome.evaluations)
                    trials = self._course.evaluate(self._policy, range(first, first + TRIALS))
            else:
                trials = None
            outcome.seconds = time.perf_counter() - began
            outcome.processor_s = time.process_time() - processor
            if ended.mean_progress_pct is not None:
                progress_pct = round(ended.mean_progress_pct, 2)
                outcome.curve.append((round(outcome.seconds, 2), outcome.env_steps, progress_pct))
            if trials:
                outcome.add_evaluation(trials)
            if "twice" in outcome.milestones or outcome.seconds > max_seconds:
                break
            if outcome.env_steps >= max_env_steps:
                break
        self._drive_unseen()
        outcome.spent_s = {key: round(value, 3) for key, value in self._watch.spent_s.items()}
        return outcome

    def _iterations(self) -> Iterator[IterationEnded]:
        """Drive and learn; yields at the end of every iteration."""
        cars, race = self._hyper.cars, self._race
        steps: Sequence[CarStep] = ()
        while True:
            decision = self._learner.act(_seen(race.observations), steps)
            if decision.ended is not None:
                self._watch.add("infer", decision.ended.infer_s)
                self._watch.add("learn", decision.ended.learn_s)
                yield decision.ended
            with self._watch.running("simulate"):
                orders = self._course.space.take(decision.actions, decision.commands, cars)
                result = self._course.drive(race, orders)
                steps = as_steps(result, result.episode.tolist())

    def _is_worth_evaluating(self, ended: IterationEnded) -> bool:
        outcome, spent_s = self.outcome, self._watch.spent_s
        affordable = spent_s.get("evaluate", 0.0) <= EVALUATION_SHARE * outcome.seconds
        was_complete = outcome.evaluations[-1:] == [TRIALS]
        return bool(ended.completion_ratio) or was_complete or affordable

    def _drive_unseen(self) -> None:
        trials = self._course.evaluate(self._policy, UNSEEN_SEEDS)
        self.outcome.unseen = trials.completed
        if trials.speeds_mps:
            self.outcome.speed_mps = sum(trials.speeds_mps) / len(trials.speeds_mps)

    def _policy(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._learner.exported_policy(_seen(images))


def _seen(images: NDArray[np.uint8]) -> Observations:
    """Images (cars, height, width) as the learner takes them."""
    return {"FRONT_FACING_CAMERA": images[..., np.newaxis]}


def steering_actions(speeds_mps: Sequence[float]) -> dict[str, Any]:
    """Five steering angles at each of the speeds."""
    pairs = [(angle, speed) for speed in speeds_mps for angle in (-30.0, -15.0, 0.0, 15.0, 30.0)]
    actions = [
        {"steering_angle": angle, "speed": speed, "index": index}
        for index, (angle, speed) in enumerate(pairs)
    ]
    return {"action_space": actions}


def continuous_actions(low_mps: float, high_mps: float) -> dict[str, Any]:
    """Any steering angle and any speed between the two."""
    ranges = {
        "steering_angle": {"low": -30.0, "high": 30.0},
        "speed": {"low": low_mps, "high": high_mps},
    }
    return {"action_space": ranges, "action_space_type": "continuous"}


def describe_runs(arguments: argparse.Namespace) -> Iterator[RunSpec]:
    """One run for each track, direction and seed, in this order."""
    act = continuous_actions if arguments.continuous else None
    actions = act(*arguments.speeds) if act else steering_actions(arguments.speeds)
    metadata = ModelMetadata.model_validate(
        {
            **actions,
            "neural_network": arguments.network,
            "training_algorithm": arguments.algorithm,
            "version": arguments.version,
        }
    )
    changes = dict(setting.split("=", 1) for setting in arguments.settings)
    given = {"preset": arguments.preset, **changes}
    hyperparameters = Hyperparameters.model_validate(fit_preset(given, metadata))
    for track in arguments.track:
        for direction in WAYS.get(arguments.directions, (arguments.directions,)):
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                yield RunSpec(
                    name=f"sprint-{seed}",
                    track=Path(track).stem,
                    race=RaceSpec(max_steps=arguments.max_steps, direction=direction),
                    randomisation=_ranges(arguments.randomise),
                    seed=seed,
                    metadata=metadata,
                    hyperparameters=hyperparameters,
                    reward_function="",
                )


def _ranges(named: str) -> RandomisationSpec:
    ranges = USUAL_RANGES if named == "usual" else json.loads(named)
    return RandomisationSpec.model_validate(ranges)


def report(outcomes: Sequence[Outcome]) -> Table:
    """A row for each outcome."""
    table = Table("track", "way", "seed", *MILESTONES, "unseen", "m/s", "steps/s", "split", "laps")
    for outcome in outcomes:
        reached = [str(outcome.milestones.get(name, "-")) for name in MILESTONES]
        split = " ".join(f"{key[:2]} {value:.1f}" for key, value in outcome.spent_s.items())
        table.add_row(
            outcome.track,
            outcome.direction[:3],
            str(outcome.seed),
            *reached,
            f"{outcome.unseen}",
            f"{outcome.speed_mps:.2f}" if outcome.speed_mps else "-",
            f"{outcome.env_steps / outcome.seconds:.0f}",
            f"{split} cpu {outcome.processor_s:.1f} co {outcome.compile_s:.1f}",
            " ".join(str(count) for count in outcome.evaluations[-12:]),
        )
    return table


def summary(outcomes: Sequence[Outcome]) -> str:
    """Medians and extremes over all outcomes; one that did not get there is infinitely late."""
    lines = []
    for name in MILESTONES:
        reached = [outcome.milestones.get(name) for outcome in outcomes]
        seconds = [each.seconds if each else float("inf") for each in reached]
        steps = [each.env_steps if each else float("inf") for each in reached]
        lines.append(
            f"{name}: median {median(seconds):.1f} s, {min(seconds):.1f} to {max(seconds):.1f} s; "
            f"{median(steps):.0f} steps, {min(steps):.0f} to {max(steps):.0f}"
        )
    reliable = sum(outcome.is_reliable for outcome in outcomes)
    unseen = sorted(outcome.unseen or 0 for outcome in outcomes)
    lines.append(f"reliable: {reliable} of {len(outcomes)}; of {UNSEEN} unseen starts: {unseen}")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--track", nargs="+", default=["loop"])
    parser.add_argument("--directions", default="counterclockwise", help="or clockwise, or both")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--preset", default="sprint")
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.5])
    parser.add_argument("--continuous", action="store_true", help="between two --speeds")
    parser.add_argument("--algorithm", default="clipped_ppo", choices=("clipped_ppo", "sac"))
    parser.add_argument("--network", default="DEEP_CONVOLUTIONAL_NETWORK_SHALLOW")
    parser.add_argument("--version", default="5", help="of the metadata: 4 answers as in 2022")
    parser.add_argument("--randomise", default="{}", help="ranges in JSON, or 'usual'")
    parser.add_argument("--max-seconds", type=float, default=120)
    parser.add_argument("--max-env-steps", type=int, default=2**31)
    parser.add_argument("--max-steps", type=int, default=1000)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--json", type=Path, help="append a line for each outcome to this file")
    return parser.parse_args()


def main() -> None:
    """Train every seed on every track and print the table."""
    arguments, console = parse_arguments(), Console(width=170)
    configure_threads()
    files = {Path(track).stem: track for track in arguments.track}
    outcomes: list[Outcome] = []
    for spec in describe_runs(arguments):
        course = Course(choose_track(files[spec.track]), spec)
        outcomes.append(Attempt(course).run(arguments.max_seconds, arguments.max_env_steps))
        console.print(report(outcomes[-1:]))
        if arguments.json:
            settings = {key: str(value) for key, value in vars(arguments).items()}
            line = {**asdict(outcomes[-1]), "settings": settings}
            with arguments.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    console.print(report(outcomes))
    console.print(summary(outcomes))


if __name__ == "__main__":
    main()
