"""Driving exported policies, greedily, to see what one of them is worth."""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.race_spec import RaceSpec
from libs.common.errors import InvalidInput
from libs.common.events import EpisodeEnded, EvaluatePolicy, TrialResult
from libs.common.observations import sensors_of
from libs.common.reward.process import RewardProcess
from libs.common.tracks import Track
from services.simulator.action_space import ActionSpace, Orders
from services.simulator.episode_log import NO_ACTION
from services.simulator.policy import ExportedPolicy
from services.simulator.race import EndedEpisode, Race, StepResult
from services.simulator.rules import STATUSES
from services.simulator.views import Look

MOST_OPPONENTS = 7


class Driver:
    """An exported policy with its action space, and the cars that it drives."""

    def __init__(
        self, file: Path, checkpoint: str, metadata: ModelMetadata, cars: slice, threads: int
    ) -> None:
        """Raises `InvalidInput` where the file can't be run, or has other sensors or actions."""
        self.cars, self._metadata = cars, metadata
        self._policy = ExportedPolicy(file, sensors_of(metadata), threads)
        self._space = ActionSpace(metadata)
        if self._policy.actions != self._space.outputs:
            raise InvalidInput(
                f"{checkpoint} has {self._policy.actions} actions, its metadata "
                f"{self._space.outputs}"
            )

    def decide(self, race: Race) -> Orders:
        """What its cars do next."""
        observed = race.observed_by(self._metadata)
        own = {sensor: array[self.cars] for sensor, array in observed.items()}
        return self._space.most_probable(self._policy.probabilities(own))


def drive_trials(
    command: EvaluatePolicy, track: Track, policy_files: Sequence[Path], threads: int
) -> Iterator[EpisodeEnded]:
    """
    Drive all trials at once; yields each trial's episode as it ends.

    The trials start evenly spread around the track, in head-to-model with their opponents ahead.
    `policy_files` are the policy's and then each opponent's. Raises `InvalidInput` where one can't
    be run or the race takes no opponents, `RewardError` where the reward function breaks.
    """
    spec = _seat_opponents(command)
    together = spec.cars_in_arena
    seeds = [command.seed + trial for trial in range(command.trials) for _ in range(together)]
    drivers = _hire_drivers(command, policy_files, together, threads)
    resets = command.rules == "race"
    race = Race(
        track,
        spec,
        command.metadata,
        seeds,
        look=Look(command.world, command.randomisation.in_phase(evaluation=True)),
        others=[opponent.metadata for opponent in command.opponents],
        evaluating=True,
        resets=resets,
    )
    started_at_s, driving = time.time(), set(range(command.trials))
    with RewardProcess(command.reward_function, race.fixed_params(0)) as reward:
        while driving:
            race.step(*_gather_orders(race, drivers))
            result = race.finish_step(reward.rewards(race.measured_columns()))
            for ended in result.ended:
                trial, seat = divmod(ended.car, together)
                if seat == 0 and trial in driving:  # it drives on, but that counts no more
                    driving.discard(trial)
                    yield _episode(command, track, trial, ended, result, started_at_s)


def _seat_opponents(command: EvaluatePolicy) -> RaceSpec:
    """The race with as many cars on the track as there are policies."""
    race, opponents = command.race, len(command.opponents)
    if not opponents:
        return race
    if race.type != "head_to_model" or opponents > MOST_OPPONENTS:
        raise InvalidInput(
            f"got {opponents} opponents in {race.type}; accepted: up to {MOST_OPPONENTS} in "
            "head_to_model, none elsewhere"
        )
    return race.model_copy(update={"cars_on_track": opponents + 1})


def _hire_drivers(
    command: EvaluatePolicy, files: Sequence[Path], together: int, threads: int
) -> list[Driver]:
    """The policy first. Without opponents it drives all cars."""
    if not command.opponents:
        everyone = slice(None)
        return [Driver(files[0], command.checkpoint, command.metadata, everyone, threads)]
    entries = [(command.checkpoint, command.metadata)]
    entries += [(opponent.checkpoint, opponent.metadata) for opponent in command.opponents]
    return [
        Driver(file, checkpoint, metadata, slice(seat, None, together), threads)
        for seat, (file, (checkpoint, metadata)) in enumerate(zip(files, entries, strict=True))
    ]


def _gather_orders(race: Race, drivers: Sequence[Driver]) -> Orders:
    """Each driver's decisions at the places of its cars."""
    if len(drivers) == 1:
        return drivers[0].decide(race)
    steering_rad, speed_mps = np.zeros(race.cars), np.zeros(race.cars)
    actions = np.full(race.cars, NO_ACTION)
    for driver in drivers:
        orders = driver.decide(race)
        steering_rad[driver.cars], speed_mps[driver.cars] = orders[:2]
        if orders.actions is not None:
            actions[driver.cars] = orders.actions
    return Orders(steering_rad, speed_mps, actions)


def result_of(episode: EpisodeEnded) -> TrialResult:
    """A trial without its steps."""
    shared = TrialResult.model_fields.keys() & EpisodeEnded.model_fields.keys()
    return TrialResult(trial=episode.episode, **{name: getattr(episode, name) for name in shared})


def _episode(
    command: EvaluatePolicy,
    track: Track,
    trial: int,
    ended: EndedEpisode,
    result: StepResult,
    started_at_s: float,
) -> EpisodeEnded:
    car = ended.car
    lap_s = float(result.lap_s[car])
    return EpisodeEnded(
        id=EpisodeEnded.trial_id(command.evaluation_id, trial),
        run_id=command.run_id,
        cause=command.id,
        phase="evaluation",
        episode=trial,
        iteration=0,
        rollout_id=command.evaluation_id,
        car=trial,
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
        lap_times_s=ended.lap_times_s,
        **ended.incidents._asdict(),
    )
