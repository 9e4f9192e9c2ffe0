"""Driving an exported policy, greedily, to see what it is worth."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

from libs.common.errors import InvalidInput
from libs.common.events import EpisodeEnded, EvaluatePolicy, TrialResult
from libs.common.reward.process import RewardProcess
from libs.common.tracks import Track
from services.simulator.policy import ExportedPolicy
from services.simulator.race import EndedEpisode, Race, StepResult
from services.simulator.rollout import discrete_commands
from services.simulator.rules import STATUSES


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
    race = Race(track, command.race, command.metadata.version, seeds)
    started_at_s, driving = time.time(), set(range(command.trials))
    with RewardProcess(command.reward_function, race.fixed_params(0)) as reward:
        while driving:
            actions = policy.probabilities(race.observations).argmax(axis=1)
            race.step(steering_rad[actions], speed_mps[actions], actions)
            result = race.finish_step(reward.rewards(race.measured_params()))
            for ended in result.ended:
                if ended.car in driving:  # it drives on, but what it does counts no more
                    driving.discard(ended.car)
                    yield _episode(command, track, ended, result, started_at_s)


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
    command: EvaluatePolicy,
    track: Track,
    ended: EndedEpisode,
    result: StepResult,
    started_at_s: float,
) -> EpisodeEnded:
    car = ended.car
    lap_s = float(result.lap_s[car])
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
        status=STATUSES[result.status[car]],
        reward=float(result.episode_reward[car]),
        progress_pct=float(result.progress_pct[car]),
        steps=int(result.steps[car]),
        lap_s=None if math.isnan(lap_s) else lap_s,
        started_at_s=started_at_s,
        columns=ended.columns,
    )
