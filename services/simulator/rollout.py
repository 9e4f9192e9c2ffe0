"""The cars of one training rollout: what they see, what they do and what they get for it."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from libs.common.events import ActionReply, CarPose, CarStep, CollectRollout, EpisodeEnded
from libs.common.observations import Observations, sensors_of
from libs.common.reward.process import RewardProcess
from libs.common.tracks import Track
from services.simulator.action_space import ActionSpace
from services.simulator.race import EndedEpisode, Race, StepResult
from services.simulator.rules import STATUSES
from services.simulator.views import Look


def as_steps(result: StepResult, episodes: Sequence[int]) -> tuple[CarStep, ...]:
    """A step as the learner hears of it; `episodes` are the numbers it gave them, (cars,)."""
    result = result._replace(episode=np.asarray(episodes))
    return tuple(
        CarStep(
            reward=reward,
            done=done,
            truncated=truncated,
            status=STATUSES[status],
            episode=episode,
            steps=steps,
            progress_pct=progress_pct,
            episode_reward=episode_reward,
            lap_s=None if math.isnan(lap_s) else lap_s,
        )
        for (
            reward,
            done,
            truncated,
            status,
            episode,
            steps,
            progress_pct,
            episode_reward,
            lap_s,
        ) in zip(*(values.tolist() for values in result.arrays), strict=True)
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
        self._space = ActionSpace(command.metadata)
        look = Look(command.world, command.randomisation.in_phase(evaluation=False))
        self._race = Race(track, command.race, command.metadata, command.seeds, look=look)
        self._open = [OpenEpisode() for _ in command.cars]
        self._reward = RewardProcess(command.reward_function, self._race.fixed_params(0))
        self.sensors = sensors_of(command.metadata)
        self.steps = tuple(CarStep() for _ in command.cars)

    def __enter__(self) -> "Rollout":
        return self

    def __exit__(self, *_: object) -> None:
        self._reward.close()

    def observations(self) -> Observations:
        """What the cars observe now, (cars, *shape) by sensor; it changes with the next step."""
        return self._race.observed_by(self._command.metadata)

    def step(self, reply: ActionReply) -> list[EpisodeEnded]:
        """
        Drive one camera step; `steps` and `observations` then tell what became of it.

        Returns the episodes that ended. Raises `InvalidInput` for actions out of the action space,
        `RewardError` for a reward function that breaks.
        """
        orders = self._space.take(reply.actions, reply.commands, self._race.cars)
        self.number_episodes(reply)
        self._race.step(*orders)
        rewards = self._reward.rewards(self._race.measured_columns())
        result = self._race.finish_step(rewards)
        self.steps = as_steps(result, [episode.number for episode in self._open])
        ended = [self._episode(episode, self.steps[episode.car]) for episode in result.ended]
        if self._command.race.alternate_direction:
            for car in {episode.car for episode in result.ended}:
                self._reward.set_constants(self._race.fixed_params(car), [car])
        return ended

    def number_episodes(self, reply: ActionReply) -> None:
        """Call the cars' episodes what the learner calls them; `step` does it, too."""
        for open_episode, number in zip(self._open, reply.episodes, strict=True):
            if open_episode.number != number:
                open_episode.number, open_episode.started_at_s = number, time.time()
            open_episode.iteration = reply.iteration

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
                self._command.cars, self._open, self._race.poses(), strict=True
            )
        )

    def picture(self, width: int, height: int) -> NDArray[np.uint8]:
        """The first car's camera, (height, width, 3)."""
        return self._race.frame(0, width, height)

    def episode_of(self, place: int | None) -> int:
        """The number of the episode that the car at a place of the batch drives, -1 for none."""
        return -1 if place is None else self._open[place].number

    def _episode(self, ended: EndedEpisode, last: CarStep) -> EpisodeEnded:
        command, open_episode = self._command, self._open[ended.car]
        return EpisodeEnded(
            id=EpisodeEnded.training_id(command.run_id, open_episode.number),
            run_id=command.run_id,
            cause=command.id,
            phase="training",
            episode=open_episode.number,
            iteration=open_episode.iteration,
            rollout_id=command.rollout_id,
            car=command.cars[ended.car],
            track=command.track.name,
            track_length_m=self._track.length_m,
            status=last.status,
            reward=last.episode_reward,
            progress_pct=last.progress_pct,
            steps=last.steps,
            lap_s=last.lap_s,
            started_at_s=open_episode.started_at_s,
            columns=ended.columns,
            lap_times_s=ended.lap_times_s,
            **ended.incidents._asdict(),
        )
