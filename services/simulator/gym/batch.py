"""A race as Gymnasium steps one: cars stay where their episodes ended until their next step."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.simulator.camera_picture import photograph
from services.simulator.gym.actions import Actions
from services.simulator.gym.observations import Observation, Observations
from services.simulator.gym.rewards import RewardFunction, read_rewards
from services.simulator.gym.setting import Setting
from services.simulator.race import Race, StepResult
from services.simulator.rules import IN_PROGRESS, LAP_COMPLETE, STATUSES
from services.simulator.vehicle import CONTROL_HZ

STATUS_NAMES = np.array(STATUSES)


class Outcome(NamedTuple):
    """What a step led to; arrays are (cars,)."""

    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: dict[str, NDArray[Any]]


class Batch:
    """The cars of an environment, with actions in and rewards out."""

    def __init__(
        self,
        setting: Setting,
        reward: str | Path | RewardFunction,
        seeds: list[int],
        threads: int = 1,
    ) -> None:
        """Raises `InvalidInput` for no car or too many, and as `read_rewards` does."""
        self._setting, self._threads = setting, threads
        self.actions = Actions(setting.metadata)
        self.observations = Observations(setting.metadata)
        self.race: Race = setting.make_race(seeds, threads)
        self._rewards = read_rewards(reward, self.race)

    def begin(self, seeds: list[int]) -> None:
        """Put all cars at the starts of their first episodes."""
        self.race = self._setting.make_race(seeds, self._threads)

    def observe(self, cars: int | slice = slice(None), *, copy: bool = True) -> Observation:
        """What one car or several measure now, see `Observations`."""
        return self.observations.read(self.race.sensed, cars, copy=copy)

    def step(self, actions: object) -> Outcome:
        """
        Drive all cars but those whose episode has ended: these go to their next start.

        Raises:
            InvalidInput: an action is not in the space; no car has moved then.
            RewardError: a sandboxed reward function broke its contract.
        """
        race = self.race
        orders = self.actions.orders(actions, race.cars)
        over = race.states["status"] != IN_PROGRESS
        race.step(*orders)
        rewards = np.zeros(race.cars)
        driven = np.flatnonzero(~over)
        rewards[driven] = self._rewards.values(race, driven)
        if over.any():
            race.restart(np.flatnonzero(over))
        return self._conclude(race.finish_step(rewards, restart=False))

    def restart(self) -> None:
        """Put all cars at the starts of their next episodes."""
        self.race.restart(range(self.race.cars))
        self.race.look()

    def infos(self) -> dict[str, NDArray[Any]]:
        """What else there is to know of each car, as arrays (cars,)."""
        states = self.race.states
        lap_complete = states["status"] == LAP_COMPLETE
        return {
            "progress_pct": states["progress_pct"].copy(),
            "status": STATUS_NAMES[states["status"]],
            "steps": states["steps"].copy(),
            "episode_index": states["episode"].copy(),
            "x_m": states["front_x_m"].copy(),
            "y_m": states["front_y_m"].copy(),
            "heading_rad": states["heading_rad"].copy(),
            "speed_mps": states["speed_mps"].copy(),
            "lap_s": np.where(lap_complete, states["steps"] / CONTROL_HZ, 0.0),
            "_lap_s": lap_complete,
        }

    def picture(self, car: int) -> NDArray[np.uint8]:
        """(480, 640, 3) what a car sees, for people."""
        return photograph(self.race, car)

    def close(self) -> None:
        """End the reward function's process, if there is one."""
        self._rewards.close()

    def _conclude(self, result: StepResult) -> Outcome:
        terminated = result.done & ~result.truncated
        return Outcome(result.reward, terminated, result.truncated, self.infos())
