"""Driving an exported policy, greedily, to see what it is worth."""

import time
from collections.abc import Iterator
from pathlib import Path

from libs.common.errors import InvalidInput
from libs.common.events import EpisodeEnded, EvaluatePolicy, TrialResult
from libs.common.reward.process import RewardProcess
from libs.common.tracks import Track
from services.simulator.policy import ExportedPolicy
from services.simulator.reward_params import fixed_params
from services.simulator.rollout import discrete_commands
from services.simulator.time_trial import CarOutcome, TimeTrial


def drive_trials(
    command: EvaluatePolicy, track: Track, policy_file: Path, threads: int
) -> Iterator[EpisodeEnded]:
    """
    Drive one car for each trial, all at once; yields each trial's episode as it ends.

    The trials start evenly spread around the track. Raises `InvalidInput` where the policy can't
    be run or has another number of actions than the metadata, `RewardError` where the reward
    function breaks.
    """
    policy = ExportedPolicy(policy_file, threads)
    steering_rad, speed_mps = discrete_commands(command.metadata)
    if policy.actions != len(steering_rad):
        raise InvalidInput(
            f"{command.checkpoint} has {policy.actions} actions, its metadata {len(steering_rad)}"
        )
    seeds = range(command.seed, command.seed + command.trials)
    trial = TimeTrial(track, command.race, command.metadata.version, seeds)
    constants = fixed_params(track, command.race.direction == "clockwise")
    started_at_s, driving = time.time(), set(range(command.trials))
    with RewardProcess(command.reward_function, constants) as reward:
        while driving:
            actions = policy.probabilities(trial.observations).argmax(axis=1)
            trial.step(steering_rad[actions], speed_mps[actions], actions)
            outcomes = trial.finish_step(reward.rewards(trial.measured_params()))
            for car in sorted(driving):
                if outcomes[car].done:  # the car drives on, but what it does counts no more
                    driving.discard(car)
                    yield _episode(command, track, car, outcomes[car], started_at_s)


def result_of(episode: EpisodeEnded) -> TrialResult:
    """A trial without its steps."""
    return TrialResult(
        trial=episode.episode,
        status=episode.status,
        progress_pct=episode.progress_pct,
        steps=episode.steps,
        lap_s=episode.lap_s,
        reward=episode.reward,
        off_track_count=int(episode.status == "off_track"),
    )


def _episode(
    command: EvaluatePolicy, track: Track, car: int, outcome: CarOutcome, started_at_s: float
) -> EpisodeEnded:
    assert outcome.columns is not None  # set where done
    return EpisodeEnded(
        id=EpisodeEnded.trial_id(command.evaluation_id, car),
        run_id=command.run_id,
        cause=command.id,
        phase="evaluation",
        episode=car,
        iteration=0,
        rollout_id=command.evaluation_id,
        car=car,
        checkpoint=command.checkpoint,
        track=command.track.name,
        track_length_m=track.length_m,
        status=outcome.status,
        reward=outcome.episode_reward,
        progress_pct=outcome.progress_pct,
        steps=outcome.steps,
        lap_s=outcome.lap_s,
        started_at_s=started_at_s,
        columns=outcome.columns,
    )
