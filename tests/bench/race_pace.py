"""
How fast a camera policy races: learner and simulator in one process, without the bus.

    python -m tests.bench.race_pace models/racer --track some_track.npy --minutes 60
    python -m tests.bench.race_pace models/racer --track loop --network FAST --set lr=0.0003

Trains a run folder with its own reward function. Every so often the exported policy drives the laps
of the folder's race by race rules, greedily, from evenly spread starts; the checkpoint with the
best mean time of those that finished is kept. Seconds are of the clock, evaluations included; a
time on the track is the simulated clock's, penalties included.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.folder import read_run_folder
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import CarStep, IterationEnded
from libs.common.tracks import Track
from services.simulator.action_space import ActionSpace, Orders
from services.simulator.race import Race
from services.simulator.rollout import as_steps
from services.simulator.track_choice import choose_track
from services.simulator.trials import Trial, drive_trials
from services.simulator.views import Look
from services.trainer.architecture import Observations
from services.trainer.learner import Learner
from services.trainer.network import configure_threads


class Standing(NamedTuple):
    """An evaluation: trials from evenly spread starts, the first from the start line."""

    trials: tuple[Trial, ...]

    @property
    def mean_s(self) -> float:
        """Of all trials; infinite where one did not finish."""
        return float(np.mean([trial.seconds or np.inf for trial in self.trials]))

    @property
    def off_tracks(self) -> int:
        """Of all trials."""
        return sum(trial.off_tracks for trial in self.trials)

    def __str__(self) -> str:
        first, times = self.trials[0], [trial.seconds for trial in self.trials if trial.seconds]
        from_line = f"{first.seconds:.2f} s" if first.seconds else "did not finish"
        best = f"{min(times):.2f}" if times else "-"
        return (
            f"from the line {from_line} ({first.off_tracks} off), mean {self.mean_s:.2f} s, "
            f"best {best}, {self.off_tracks} off in {len(self.trials)} trials"
        )


def seen(images: NDArray[np.uint8]) -> Observations:
    """Images (cars, height, width) as the learner takes them."""
    return {"FRONT_FACING_CAMERA": images[..., np.newaxis]}


def race_greedily(learner: Learner, spec: RunSpec, track: Track, trials: int) -> Standing:
    """Drive the race's laps with the exported policy, by race rules."""
    space, looks = ActionSpace(spec.metadata), Look(spec.world)
    race = Race(
        track, spec.race, spec.metadata.version, range(trials), look=looks, evaluating=True,
        resets=True,
    )  # fmt: skip

    def decide(race: Race) -> Orders:
        return space.most_probable(learner.exported_policy(seen(race.observations)))

    return Standing(tuple(drive_trials(race, decide, spec.race.laps)))


def load_reward(source: str) -> Callable[[dict[str, Any]], float]:
    """
    A reward function with globals of its own, in this process: the folder is one's own.

    A child process would be asked at every step; on a busy machine waiting for it takes longest.
    """
    scope: dict[str, Any] = {}
    exec(source, scope)
    function: Callable[[dict[str, Any]], float] = scope["reward_function"]
    return function


def train(spec: RunSpec, track: Track, arguments: argparse.Namespace) -> None:
    """Learn until time is up; prints a line for each evaluation, and keeps the best checkpoint."""
    learner = Learner(spec)
    learner.compile()
    if arguments.start is not None:
        source = ModelMetadata.model_validate_json(arguments.start_metadata.read_bytes())
        learner.adopt_checkpoint(arguments.start, source)
    cars, space = spec.hyperparameters.cars, ActionSpace(spec.metadata)
    seeds = range(spec.seed, spec.seed + cars)
    looks = Look(spec.world, spec.randomisation.in_phase(evaluation=False))
    race = Race(track, spec.race, spec.metadata.version, seeds, look=looks)
    steps: Sequence[CarStep] = ()
    began, due_steps, best_s = time.perf_counter(), arguments.every, np.inf
    functions = [load_reward(spec.reward_function) for _ in range(cars)]
    while time.perf_counter() - began < arguments.minutes * 60:
        decision = learner.act(seen(race.observations), steps)
        if decision.ended is not None and learner.state.env_steps >= due_steps:
            due_steps += arguments.every
            standing = race_greedily(learner, spec, track, arguments.trials)
            better = standing.mean_s < best_s
            tell(learner, decision.ended, standing, time.perf_counter() - began, better)
            if better:
                best_s = standing.mean_s
                keep(learner, standing, arguments.out)
        race.step(*space.take(decision.actions, decision.commands, cars))
        earned = [
            reward(params) for reward, params in zip(functions, race.reward_params(), strict=True)
        ]
        result = race.finish_step(earned)
        steps = as_steps(result, result.episode.tolist())


def tell(
    learner: Learner, ended: IterationEnded, standing: Standing, seconds: float, better: bool
) -> None:
    """A line of what was reached."""
    steps = learner.state.env_steps
    print(  # noqa: T201
        f"{seconds / 60:6.1f} min {time.process_time():6.0f} cpu-s {steps:9,} steps; iteration: "
        f"{len(ended.episodes)} episodes, {ended.completion_ratio or 0:.0%} laps, "
        f"progress {ended.mean_progress_pct or 0:.0f} %, ev {ended.explained_variance or 0:.2f} "
        f"entropy {ended.losses[-1].entropy:.2f} kl {ended.losses[-1].kl_divergence:.3f}; "
        f"{standing}{' *' if better else ''}",
        flush=True,
    )


def keep(learner: Learner, standing: Standing, out: Path | None) -> None:
    """Write the checkpoint in place of the one before."""
    if out is None:
        return
    for pattern in ("*_Step-*", "model_*.pb", "state_*.json"):
        for file in out.glob(pattern):
            file.unlink()
    learner.save(out)
    (out / "standing.txt").write_text(
        f"{standing}\n" + "\n".join(str(trial) for trial in standing.trials) + "\n", "utf-8"
    )


def read_folder(arguments: argparse.Namespace) -> RunSpec:
    """The run folder, with the network and the hyperparameters of the command line."""
    files = {file.name: file.read_bytes() for file in arguments.folder.iterdir() if file.is_file()}
    changes = dict(setting.split("=", 1) for setting in arguments.settings)
    hyperparameters = {**json.loads(files["hyperparameters.json"]), **changes}
    metadata = json.loads(files["model_metadata.json"])
    if arguments.network:
        metadata["neural_network"] = arguments.network
    files["hyperparameters.json"] = json.dumps(hyperparameters).encode()
    files["model_metadata.json"] = json.dumps(metadata).encode()
    spec = read_run_folder(files, name="race-pace", track=Path(arguments.track).stem).value
    return spec.model_copy(update={"seed": arguments.seed})


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--track", default="loop")
    parser.add_argument("--network")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=int, default=100_000, help="steps between evaluations")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for the best checkpoint")
    parser.add_argument("--start", type=Path, help="prefix of a checkpoint to begin with")
    parser.add_argument("--start-metadata", type=Path, help="its model_metadata.json")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    configure_threads(intra_op=arguments.threads)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    train(read_folder(arguments), choose_track(arguments.track), arguments)


if __name__ == "__main__":
    main()
