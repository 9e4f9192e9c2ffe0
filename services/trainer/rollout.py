"""What the cars went through since the last update, step by step, in buffers made once."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class StepEnd(IntEnum):
    """What followed a step."""

    RUNNING = 0  # the next row of the same car
    TERMINAL = 1  # nothing: the episode is over and the future is worth nothing
    TRUNCATED = 2  # more of the same, which nobody saw: the episode was cut short
    VOID = 3  # unknown: the simulator died before it told; the row teaches nothing


class Rollout:
    """
    Rows of `cars` transitions, oldest first, in the order in which they were lived.

    A row opens with what the cars saw and did (`record_choice`) and closes with what became of it
    (`record_outcome`). Every car has a transition in every row, an unknown one is VOID.

    Args:
        rows: capacity; memory is used only as far as rows are filled.
        cars, actions: sizes of the other axes.
        height_px, width_px: of an observation.
    """

    def __init__(self, rows: int, cars: int, actions: int, height_px: int, width_px: int) -> None:
        self.capacity, self.cars = rows, cars
        # One more row of observations: what the cars see after the last step.
        self._observations = np.empty((rows + 1, cars, height_px, width_px), np.uint8)
        self._actions = np.zeros((rows, cars), np.int32)
        self._log_probs = np.zeros((rows, cars, actions), np.float32)
        self._rewards = np.zeros((rows, cars), np.float32)
        self._ends = np.zeros((rows, cars), np.uint8)
        self.rows = 0
        self.is_open = False

    @property
    def is_full(self) -> bool:
        """No further row fits."""
        return self.rows == self.capacity

    @property
    def observations(self) -> NDArray[np.uint8]:
        """All that was seen: (rows + 1, cars, height, width), the last row after the last step."""
        return self._observations[: self.rows + 1]

    @property
    def actions(self) -> NDArray[np.int32]:
        """Indices of the actions taken: (rows, cars)."""
        return self._actions[: self.rows]

    @property
    def log_probs(self) -> NDArray[np.float32]:
        """Log-probabilities that the policy gave to all actions then: (rows, cars, actions)."""
        return self._log_probs[: self.rows]

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

    def see(self, observations: NDArray[np.uint8]) -> None:
        """Keep what the cars see now, (cars, height, width): the state of the next row."""
        self._observations[self.rows] = observations

    def record_choice(self, actions: NDArray[np.int32], log_probs: NDArray[np.float32]) -> None:
        """Open a row with the actions (cars,) chosen and the log-probabilities (cars, actions)."""
        self._actions[self.rows] = actions
        self._log_probs[self.rows] = log_probs
        self.is_open = True

    def record_outcome(self, rewards: NDArray[np.float32], ends: NDArray[np.uint8]) -> None:
        """Close the open row with rewards (cars,) and `StepEnd`s (cars,)."""
        self._rewards[self.rows] = rewards
        self._ends[self.rows] = ends
        self.rows += 1
        self.is_open = False

    def restart(self) -> None:
        """Forget all rows, and begin where they ended: the cars drive on."""
        self._observations[0] = self._observations[self.rows]
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        self.rows = 0
        self.is_open = False
