"""Events of runs that nobody drove, the same for the same arguments."""

import math
from datetime import UTC, datetime

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import (
    EpisodeEnded,
    EvaluationEnded,
    IterationEnded,
    Phase,
    RunEnded,
    RunQueued,
    StepColumns,
    TrackRef,
    TrialResult,
)

MIDDAY = datetime(2026, 1, 1, 12, tzinfo=UTC)
CARS = 4


def episode(
    number: int,
    run_id: str = "r1",
    *,
    iteration: int = 0,
    phase: Phase = "training",
    rollout_id: str = "rollout-1",
    steps: int = 0,
) -> EpisodeEnded:
    """An episode along a line, longer with its number where no steps are given."""
    steps = steps or 20 + number
    identity = EpisodeEnded.training_id(run_id, number)
    if phase == "evaluation":
        identity = EpisodeEnded.trial_id(rollout_id, number)
    return EpisodeEnded(
        id=identity,
        at=MIDDAY,
        run_id=run_id,
        phase=phase,
        episode=number,
        iteration=iteration,
        rollout_id=rollout_id,
        car=number % CARS,
        track="loop",
        track_length_m=17.7,
        status="off_track",
        reward=0.5 * steps,
        progress_pct=min(0.5 * steps, 99.0),
        steps=steps,
        started_at_s=MIDDAY.timestamp(),
        columns=_columns(steps),
    )


def _columns(steps: int) -> StepColumns:
    rows = range(steps + 1)
    return StepColumns(
        x_m=tuple(0.1 * row for row in rows),
        y_m=tuple(math.sin(0.1 * row) for row in rows),
        heading_rad=tuple(0.01 * row for row in rows),
        steering_rad=(0.0,) * len(rows),
        speed_mps=(1.5,) * len(rows),
        action=(-1, *(row % 3 for row in rows[1:])),
        reward=(0.0, *(0.5,) * steps),
        progress_pct=tuple(0.5 * row for row in rows),
        closest_waypoint=tuple(row // 3 for row in rows),
        all_wheels_on_track=(True,) * len(rows),
        sim_time_s=tuple(row / 15 for row in rows),
    )


def run_queued(
    run_id: str = "r1", *, between_training: int = CARS, simulators: int = 1
) -> RunQueued:
    """A run of four cars whose files have so many episodes in each iteration."""
    hyperparameters = Hyperparameters(cars=CARS, num_episodes_between_training=between_training)
    actions = [{"steering_angle": way, "speed": 1.5, "index": way} for way in range(3)]
    spec = RunSpec(
        name=run_id,
        track="loop",
        simulators=simulators,
        metadata=ModelMetadata.model_validate({"action_space": actions}),
        hyperparameters=hyperparameters,
        reward_function="",
    )
    return RunQueued(
        id=f"{run_id}.queued", at=MIDDAY, run_id=run_id, spec=spec, track=TrackRef(name="loop")
    )


def iteration_ended(
    number: int, episodes: list[EpisodeEnded], run_id: str = "r1"
) -> IterationEnded:
    """What the learner says after these episodes."""
    return IterationEnded(
        id=f"{run_id}.iteration.{number}",
        run_id=run_id,
        iteration=number,
        episodes=tuple(one.episode for one in episodes),
    )


def evaluation_ended(trials: list[EpisodeEnded], run_id: str = "r1") -> EvaluationEnded:
    """What the simulator says after these trials."""
    results = [
        TrialResult(
            trial=one.episode, status=one.status, progress_pct=one.progress_pct, steps=one.steps
        )
        for one in trials
    ]
    return EvaluationEnded(
        id=f"{trials[0].rollout_id}.ended",
        at=MIDDAY,
        run_id=run_id,
        evaluation_id=trials[0].rollout_id,
        checkpoint="1_Step-80.ckpt",
        track="loop",
        trials=tuple(results),
    )


def run_ended(run_id: str = "r1", number: int = 1) -> RunEnded:
    """The end of a run."""
    return RunEnded(
        id=f"{run_id}.ended.{number}", run_id=run_id, outcome="finished", reason="all driven"
    )
