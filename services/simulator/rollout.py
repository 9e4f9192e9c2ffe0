"""The cars of one training rollout: what they see, what they do and what they get for it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.events import CarPose, CarStep, CollectRollout, EpisodeEnded
from libs.common.reward.process import RewardProcess
from libs.common.tracks import Track
from services.simulator.reward_params import fixed_params
from services.simulator.time_trial import CarOutcome, TimeTrial


def discrete_commands(
    metadata: ModelMetadata,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Steering (rad, + = left) and speed (m/s) for each index of a discrete action space."""
    actions = metadata.action_space
    assert isinstance(actions, tuple)  # the border refuses other spaces
    ordered = sorted(actions, key=lambda action: action.index)
    return (
        np.array([action.steering_rad for action in ordered], np.float32),
        np.array([action.speed for action in ordered], np.float32),
    )


@dataclass
class OpenEpisode:
    """What the learner called the episode that a car drives now."""

    number: int = -1
    iteration: int = 0
    started_at_s: float = field(default_factory=time.time)


class Rollout:
    """
    Physics, reward function and records of one rollout command. Blocking: runs in a thread.

    Use as a context manager: the reward function lives in a child process.
    """

    def __init__(self, command: CollectRollout, track: Track) -> None:
        self._command, self._track = command, track
        self._steering_rad, self._speed_mps = discrete_commands(command.metadata)
        self._trial = TimeTrial(track, command.race, command.metadata.version, command.seeds)
        self._open = [OpenEpisode() for _ in command.cars]
        clockwise = command.race.direction == "clockwise"
        self._reward = RewardProcess(command.reward_function, fixed_params(track, clockwise))
        # What is the same for all steps is with the child already, unless directions alternate.
        alternate = command.race.alternate_direction
        self._params = self._trial.reward_params if alternate else self._trial.measured_params
        self.steps = tuple(CarStep() for _ in command.cars)

    def __enter__(self) -> "Rollout":
        return self

    def __exit__(self, *_: object) -> None:
        self._reward.close()

    def observations(self) -> NDArray[np.uint8]:
        """What the cars see now, (cars, height, width); a copy."""
        return self._trial.observations.copy()

    def step(
        self, actions: Sequence[int], episodes: Sequence[int], iteration: int
    ) -> list[EpisodeEnded]:
        """
        Drive one camera step; `steps` and `observations` then tell what became of it.

        Returns the episodes that ended. Raises `RewardError`.
        """
        self._number_episodes(episodes, iteration)
        chosen = np.asarray(actions, np.intp)
        self._trial.step(self._steering_rad[chosen], self._speed_mps[chosen], chosen)
        rewards = self._reward.rewards(self._params())
        outcomes = self._trial.finish_step(rewards)
        ended = [self._episode(car, o) for car, o in enumerate(outcomes) if o.done]
        self.steps = tuple(self._car_step(car, o) for car, o in enumerate(outcomes))
        return ended

    def poses(self) -> tuple[CarPose, ...]:
        """Where the cars are now."""
        return tuple(
            CarPose(
                car=number,
                episode=open_episode.number,
                x_m=pose.x_m,
                y_m=pose.y_m,
                heading_rad=pose.heading_rad,
                speed_mps=pose.speed_mps,
                progress_pct=pose.progress_pct,
            )
            for number, open_episode, pose in zip(
                self._command.cars, self._open, self._trial.poses(), strict=True
            )
        )

    def picture(self, width: int, height: int) -> NDArray[np.uint8]:
        """The first car's camera, (height, width) grey."""
        return self._trial.frame(0, width, height)

    def _number_episodes(self, episodes: Sequence[int], iteration: int) -> None:
        for open_episode, number in zip(self._open, episodes, strict=True):
            if open_episode.number != number:
                open_episode.number, open_episode.started_at_s = number, time.time()
            open_episode.iteration = iteration

    def _car_step(self, car: int, outcome: CarOutcome) -> CarStep:
        return CarStep(
            reward=outcome.reward,
            done=outcome.done,
            truncated=outcome.truncated,
            status=outcome.status,
            episode=self._open[car].number,
            progress_pct=outcome.progress_pct,
            steps=outcome.steps,
            episode_reward=outcome.episode_reward,
            lap_s=outcome.lap_s,
        )

    def _episode(self, car: int, outcome: CarOutcome) -> EpisodeEnded:
        command, open_episode = self._command, self._open[car]
        assert outcome.columns is not None  # set where done
        return EpisodeEnded(
            id=EpisodeEnded.training_id(command.run_id, open_episode.number),
            run_id=command.run_id,
            cause=command.id,
            phase="training",
            episode=open_episode.number,
            iteration=open_episode.iteration,
            rollout_id=command.rollout_id,
            car=command.cars[car],
            track=command.track.name,
            track_length_m=self._track.length_m,
            status=outcome.status,
            reward=outcome.episode_reward,
            progress_pct=outcome.progress_pct,
            steps=outcome.steps,
            lap_s=outcome.lap_s,
            started_at_s=open_episode.started_at_s,
            columns=outcome.columns,
        )
