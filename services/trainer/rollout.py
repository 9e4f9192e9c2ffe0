"""What the cars went through since the last update, step by step, in buffers made once."""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.trainer.architecture import Blueprint, Observations
from services.trainer.distributions import Distribution


class StepEnd(IntEnum):
    """What followed a step."""

    RUNNING = 0  # the next row of the same car
    TERMINAL = 1  # nothing: the episode is over and the future is worth nothing
    TRUNCATED = 2  # more of the same, which nobody saw: the episode was cut short
    VOID = 3  # unknown: the simulator died before it told; the row teaches nothing


def pooled(images: NDArray[Any], side: int) -> NDArray[np.float32]:
    """
    Means of the squares of pixels of images (n, height, width, channels).

    A network that begins with them is given them: they are computed once, and not in each epoch.
    """
    height, width = (size // side * side for size in images.shape[1:3])
    rows = images[:, 0:height:side].astype(np.uint16)
    for first in range(1, side):
        rows += images[:, first:height:side]
    sums = rows[:, :, 0:width:side].astype(np.float32)
    for first in range(1, side):
        sums += rows[:, :, first:width:side]
    return sums / np.float32(side**2)


class Rollout:
    """
    Rows of `cars` transitions, oldest first, in the order in which they were lived.

    A row opens with what the cars saw and did (`record_choice`) and closes with what became of it
    (`record_outcome`). Every car has a transition in every row, an unknown one is VOID.

    Args:
        rows: capacity; memory is used only as far as rows are filled.
        cars: size of the other axis.
        blueprint: which sensors there are.
        distribution: which actions there are.
    """

    def __init__(
        self, rows: int, cars: int, blueprint: Blueprint, distribution: Distribution
    ) -> None:
        self.capacity, self.cars = rows, cars
        # One more row of observations: what the cars see after the last step.
        self._observations = {
            sensor: np.empty((rows + 1, cars, *shape), blueprint.pooled_dtype(sensor))
            for sensor, shape in blueprint.pooled.items()
        }
        self._pooling = {each: blueprint.trunk.embedder(each).pooling for each in blueprint.inputs}
        shape, kind = distribution.action_shape, distribution.action_type
        self._actions = np.zeros((rows, cars, *shape), kind)
        self._policies = np.zeros((rows, cars, distribution.width), np.float32)
        self._rewards = np.zeros((rows, cars), np.float32)
        self._ends = np.zeros((rows, cars), np.uint8)
        self.rows = 0
        self.is_open = False

    @property
    def is_full(self) -> bool:
        """No further row fits."""
        return self.rows == self.capacity

    @property
    def observations(self) -> Observations:
        """All that was seen: (rows + 1, cars, *shape), the last row after the last step."""
        return {sensor: seen[: self.rows + 1] for sensor, seen in self._observations.items()}

    def latest(self) -> Observations:
        """What the cars see now: (cars, *shape) each."""
        return {sensor: seen[self.rows] for sensor, seen in self._observations.items()}

    @property
    def actions(self) -> NDArray[Any]:
        """The actions taken: (rows, cars) indices, or (rows, cars, 2) of about -1 to 1."""
        return self._actions[: self.rows]

    @property
    def policies(self) -> NDArray[np.float32]:
        """The distributions that the actions were drawn from, settled: (rows, cars, width)."""
        return self._policies[: self.rows]

    @property
    def rewards(self) -> NDArray[np.float32]:
        """Rewards: (rows, cars)."""
        return self._rewards[: self.rows]

    @property
    def ends(self) -> NDArray[np.uint8]:
        """`StepEnd` of each transition: (rows, cars)."""
        return self._ends[: self.rows]

    @property
    def known(self) -> NDArray[np.intp]:
        """Flat indices, row by row, of the transitions that are not void."""
        return np.flatnonzero(self.ends != StepEnd.VOID)

    def see(self, observations: Observations) -> None:
        """Keep what the cars see now, (cars, *shape) each: the state of the next row."""
        for sensor, seen in self._observations.items():
            side = self._pooling[sensor]
            seen[self.rows] = (
                pooled(observations[sensor], side) if side > 1 else observations[sensor]
            )

    def record_choice(self, actions: NDArray[Any], policies: NDArray[np.float32]) -> None:
        """Open a row with the actions (cars, ...) chosen and their distributions (cars, width)."""
        self._actions[self.rows] = actions
        self._policies[self.rows] = policies
        self.is_open = True

    def record_outcome(self, rewards: NDArray[np.float32], ends: NDArray[np.uint8]) -> None:
        """Close the open row with rewards (cars,) and `StepEnd`s (cars,)."""
        self._rewards[self.rows] = rewards
        self._ends[self.rows] = ends
        self.rows += 1
        self.is_open = False

    def restart(self) -> None:
        """Forget all rows, and begin where they ended: the cars drive on."""
        for seen in self._observations.values():
            seen[0] = seen[self.rows]
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        self.rows = 0
        self.is_open = False
