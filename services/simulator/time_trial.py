"""
A batch of cars, each alone on its own copy of the track, driving time trials against the clock.

The rules are DeepRacer's: an episode ends with a lap, with all four wheels off the road, standing
still, going backwards or at the step limit. One camera step is always

    trial.step(steering_rad, speed_mps, actions)
    params = trial.reward_params()
    outcomes = trial.finish_step(rewards)

after which `trial.observations` shows the new state; cars whose episode ended are at their next
start by then. What a car does depends on its seed and its commands alone, never on the others.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.events import EpisodeStatus, StepColumns
from libs.common.tracks import Track
from services.simulator import rules
from services.simulator.camera import NETWORK_CAMERA, make_camera, render_car, render_cars
from services.simulator.course import measure_car, measure_cars, survey
from services.simulator.episode_log import NO_ACTION, EpisodeLog
from services.simulator.reward_params import Params, fixed_params, measured_params
from services.simulator.vehicle import CAR, CONTROL_HZ, drive_cars, dynamics_for
from services.simulator.world import World, draw_world

START_SHIFT = 0.05  # of a lap with every episode
GOLDEN_RATIO_32 = 2654435769  # times 2**32: consecutive seeds spread evenly over the lap


class CarOutcome(NamedTuple):
    """What one step led to for one car."""

    reward: float
    done: bool
    truncated: bool  # done by the step limit, not by what the car did
    status: EpisodeStatus
    episode: int  # this car's own count, from 0
    steps: int
    progress_pct: float
    episode_reward: float
    lap_s: float | None = None
    columns: StepColumns | None = None  # of the whole episode, once it is done


class CarState(NamedTuple):
    """Where a car is, for viewers."""

    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    progress_pct: float
    episode: int


class TimeTrial:
    """
    One car for each seed on a track.

    Episode `e` of a car begins at `race.start_position`, moved on by 5 % of a lap for every
    episode and by a share of the lap that the car's seed stands for (none for seed 0), unless
    `race.change_start_position` is off; on an open track always at its beginning.
    """

    def __init__(
        self,
        track: Track,
        race: RaceSpec,
        version: str,
        seeds: Sequence[int],
        world: World | None = None,
    ) -> None:
        self.track = track
        self._race = race
        self._seeds = tuple(seeds)
        self._dynamics = np.repeat(dynamics_for(version), len(self._seeds))
        self._course = survey(track)
        self._world = draw_world(track) if world is None else world
        self._ways = (track, track.reversed())
        self._fixed = tuple(fixed_params(way, bool(row)) for row, way in enumerate(self._ways))
        count = len(self._seeds)
        self._cars = np.zeros(count, CAR)
        self._episodes = np.zeros(count, np.int64)
        self._returns = np.zeros(count)
        self._steering_rad, self._speed_mps = np.zeros(count), np.zeros(count)
        self._actions: NDArray[np.int64] | None = None
        self._log = EpisodeLog(count)
        shape = (count, NETWORK_CAMERA.height, NETWORK_CAMERA.width)
        self.observations: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        for index in range(count):
            self._place_at_start(index)
        self._render()

    @property
    def cars(self) -> int:
        """Number of cars."""
        return len(self._seeds)

    def step(
        self, steering_rad: ArrayLike, speed_mps: ArrayLike, actions: ArrayLike | None = None
    ) -> None:
        """
        Drive all cars for one camera period.

        Args:
            steering_rad: (cars,) commanded angles, + = left.
            speed_mps: (cars,) commanded speeds.
            actions: (cars,) indices in a discrete action space; None for continuous actions.
        """
        self._steering_rad = np.array(steering_rad, dtype=np.float64).reshape(self.cars)
        self._speed_mps = np.array(speed_mps, dtype=np.float64).reshape(self.cars)
        self._actions = None
        if actions is not None:
            self._actions = np.array(actions, dtype=np.int64).reshape(self.cars)
        drive_cars(self._cars, self._steering_rad, self._speed_mps, self._dynamics)
        measure_cars(self._cars, self._course)
        rules.judge_cars(self._cars, self.track.length_m, self._race.max_steps)

    def reward_params(self) -> list[Params]:
        """The whole `params` of each car's reward function after `step`."""
        measured = self.measured_params()
        return [{**self.fixed_params(car), **values} for car, values in enumerate(measured)]

    def fixed_params(self, car: int) -> Params:
        """The part of a car's `params` that holds while it drives one way round."""
        return self._fixed[int(self._cars["course"][car])]

    def measured_params(self) -> list[Params]:
        """The part of each car's `params` that changes with every step."""
        commands = self._steering_rad.tolist(), self._speed_mps.tolist()
        params = measured_params(self._cars, *commands)
        if self._actions is not None:
            for values, action in zip(params, self._actions.tolist(), strict=True):
                values["action"] = action
        return params

    def finish_step(self, rewards: Sequence[float]) -> tuple[CarOutcome, ...]:
        """Record the step with its rewards (cars,), restart cars that ended, take pictures."""
        values = np.array(rewards, dtype=np.float64).reshape(self.cars)
        self._returns += values
        actions = np.full(self.cars, NO_ACTION) if self._actions is None else self._actions
        self._log.record(self._cars, self._steering_rad, self._speed_mps, actions, values)
        progress_pct = self._cars["progress_pct"].tolist()
        outcomes = tuple(map(self._conclude, range(self.cars), values.tolist(), progress_pct))
        for index in np.flatnonzero(self._cars["status"]):
            self._episodes[index] += 1
            self._place_at_start(int(index))
        self._render()
        return outcomes

    def poses(self) -> list[CarState]:
        """Where all cars are; `x_m`, `y_m` is the point that logs record."""
        return [self._describe(index) for index in range(self.cars)]

    def frame(self, car: int, width: int = 320, height: int = 240) -> NDArray[np.uint8]:
        """(height, width) grey picture of what a car sees, for people."""
        image = np.empty((height, width), np.uint8)
        render_car(self._cars[car], self._world, make_camera(width, height), image)
        return image

    def _describe(self, index: int) -> CarState:
        car = self._cars[index]
        return CarState(
            x_m=float(car["front_x_m"]),
            y_m=float(car["front_y_m"]),
            heading_rad=float(car["heading_rad"]),
            speed_mps=float(car["speed_mps"]),
            progress_pct=float(car["progress_pct"]),
            episode=int(self._episodes[index]),
        )

    def _conclude(self, index: int, reward: float, progress_pct: float) -> CarOutcome:
        status, steps = int(self._cars["status"][index]), int(self._cars["steps"][index])
        done = status != rules.IN_PROGRESS
        return CarOutcome(
            reward=reward,
            done=done,
            truncated=status == rules.TIME_UP,
            status=rules.STATUSES[status],
            episode=int(self._episodes[index]),
            steps=steps,
            progress_pct=progress_pct,
            episode_reward=float(self._returns[index]),
            lap_s=steps / CONTROL_HZ if status == rules.LAP_COMPLETE else None,
            columns=self._log.columns(index, steps) if done else None,
        )

    def _place_at_start(self, index: int) -> None:
        """Put a car at the start of its present episode, standing still."""
        row = self._course_row(index)
        way = self._ways[row]
        start_m = self._start_fraction(index) * way.length_m
        car = self._cars[index]
        self._cars[index] = np.zeros((), CAR)
        car["course"] = row
        car["x_m"], car["y_m"] = way.points_at(start_m)[0]
        car["heading_rad"] = way.headings_at(start_m)[0]
        car["distance_m"] = start_m
        before = np.searchsorted(way.distances_m[:-1], start_m, side="right")
        car["segment"] = before - 1
        # The reference point is already ahead of the start: progress begins above 0.
        measure_car(car, self._course)
        self._returns[index] = 0.0
        self._log.begin(index, self._cars)

    def _course_row(self, index: int) -> int:
        clockwise = self._race.direction == "clockwise"
        if self._race.alternate_direction:
            clockwise ^= bool(self._episodes[index] % 2)
        return int(clockwise)

    def _start_fraction(self, index: int) -> float:
        if not self.track.closed:
            return 0.0
        if not self._race.change_start_position:
            return self._race.start_position
        spread = self._seeds[index] * GOLDEN_RATIO_32 % 2**32 / 2**32
        moved = self._race.start_position + spread + START_SHIFT * float(self._episodes[index])
        return moved % 1.0

    def _render(self) -> None:
        render_cars(self._cars, self._world, NETWORK_CAMERA, self.observations)
