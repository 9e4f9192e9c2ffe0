"""What the cars went through lately, to learn from many times: a ring of bounded memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.trainer.architecture import Blueprint, Observations
from services.trainer.distributions import Distribution
from services.trainer.rollout import StepEnd


@dataclass(frozen=True)
class Transitions:
    """Some steps, in no order: arrays of `n` rows each."""

    observations: Observations
    actions: NDArray[np.float32]  # (n, 2)
    rewards: NDArray[np.float32]
    following: Observations  # what was seen after the step
    lasting: NDArray[np.float32]  # 0 where the episode is over and the future is worth nothing


class Replay:
    """
    The last steps of `cars` cars, of which each observation is kept once.

    A row holds what the cars saw, did and got; what they saw afterwards is in the row that follows.
    One row is always open: the one that `see` writes. So a picture of 120 x 160 pixels takes
    19,200 bytes, and 20,000 steps take 0.39 GB, of which the system gives what has been filled.

    Args:
        steps: of all cars that are kept at most.
        cars: size of the other axis.
        blueprint: which sensors there are.
        distribution: which actions there are.
    """

    def __init__(
        self, steps: int, cars: int, blueprint: Blueprint, distribution: Distribution
    ) -> None:
        self.cars = cars
        rows = max(1, steps // cars) + 1
        self._observations = {
            sensor: np.empty((rows, cars, *shape), blueprint.dtype(sensor))
            for sensor, shape in blueprint.inputs.items()
        }
        shape, kind = distribution.action_shape, distribution.action_type
        self._actions = np.zeros((rows, cars, *shape), kind)
        self._rewards = np.zeros((rows, cars), np.float32)
        self._ends = np.full((rows, cars), StepEnd.VOID, np.uint8)
        self._row = 0  # the open one
        self.is_open = False  # the cars have acted in it

    @property
    def capacity(self) -> int:
        """How many steps fit."""
        return (len(self._ends) - 1) * self.cars

    @property
    def known(self) -> NDArray[np.intp]:
        """Flat indices of the steps that can be learned from."""
        return np.flatnonzero(self._ends != StepEnd.VOID)

    def see(self, observations: Observations) -> None:
        """Keep what the cars see now, (cars, *shape) each, in place of the oldest row."""
        for sensor, seen in self._observations.items():
            seen[self._row] = observations[sensor]
        self._ends[self._row] = StepEnd.VOID

    def latest(self) -> Observations:
        """What the cars see now: (cars, *shape) each."""
        return {sensor: seen[self._row] for sensor, seen in self._observations.items()}

    def record_choice(self, actions: NDArray[Any]) -> None:
        """Note what the cars do, (cars, 2)."""
        self._actions[self._row] = actions
        self.is_open = True

    def record_outcome(self, rewards: NDArray[np.float32], ends: NDArray[np.uint8]) -> None:
        """Close the open row with rewards (cars,) and `StepEnd`s (cars,)."""
        self._rewards[self._row] = rewards
        self._ends[self._row] = ends
        self._row = (self._row + 1) % len(self._ends)
        self.is_open = False

    def sample(self, count: int, rng: np.random.Generator) -> Transitions:
        """
        Draw steps with replacement, each with the same chance.

        After a truncated step the next row shows another episode: what was seen before the step
        stands for what would have been seen after it.
        """
        known = self.known
        return self._gather(known[rng.integers(len(known), size=count)])

    def clear(self) -> None:
        """Forget all."""
        self._ends[:] = StepEnd.VOID
        self.is_open = False

    def _gather(self, chosen: NDArray[np.intp]) -> Transitions:
        rows, cars = np.divmod(chosen, self.cars)
        ends = self._ends[rows, cars]
        after = np.where(ends == StepEnd.TRUNCATED, rows, (rows + 1) % len(self._ends))
        return Transitions(
            observations={name: seen[rows, cars] for name, seen in self._observations.items()},
            actions=self._actions[rows, cars],
            rewards=self._rewards[rows, cars],
            following={name: seen[after, cars] for name, seen in self._observations.items()},
            lasting=(ends != StepEnd.TERMINAL).astype(np.float32),
        )
