"""From a policy's actions to what the car is told: steering in radians, speed in m/s."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.continuous import COMMANDS, command_bounds, scale_actions
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.errors import InvalidInput

TOLERANCE = 1e-4  # of commands that took the way over float32 and degrees


class Orders(NamedTuple):
    """What all cars are told in one step; arrays are (cars,)."""

    steering_rad: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    actions: NDArray[np.int64] | None  # indices; None where the action space is continuous


class ActionSpace:
    """The action space of a model's metadata, discrete or continuous."""

    def __init__(self, metadata: ModelMetadata) -> None:
        space = metadata.action_space
        self.discrete = isinstance(space, tuple)
        if isinstance(space, tuple):
            rows = sorted(space, key=lambda action: action.index)
            self._table = np.array([(row.steering_rad, row.speed) for row in rows])
        else:
            self._table = command_bounds(space)

    @property
    def outputs(self) -> int:
        """How many numbers a policy gives for each image."""
        return len(self._table) if self.discrete else COMMANDS

    def take(
        self,
        actions: Sequence[int] | NDArray[np.int64],
        commands: Sequence[tuple[float, float]],
        cars: int,
    ) -> Orders:
        """
        What a learner has sent for `cars` cars: indices, or (steering_rad, speed_mps) pairs.

        Raises:
            InvalidInput: too few or too many, of the wrong kind, or out of the action space.
        """
        given, kind = (actions, "indices") if self.discrete else (commands, "commands")
        if len(given) != cars or len(commands if self.discrete else actions):
            raise InvalidInput(
                f"got {len(actions)} indices and {len(commands)} commands for {cars} cars; "
                f"accepted: {cars} {kind}, as the action space is "
                f"{'discrete' if self.discrete else 'continuous'}"
            )
        return self._look_up(actions) if self.discrete else self._check(commands)

    def most_probable(self, outputs: NDArray[np.float32]) -> Orders:
        """Of a policy's outputs (n, outputs): the likeliest action, or the means as they are."""
        if self.discrete:
            return self._look_up(outputs.argmax(axis=1))
        chosen = scale_actions(self._table, outputs)
        return Orders(chosen[:, 0], chosen[:, 1], None)

    def _look_up(self, actions: Sequence[int] | NDArray[np.intp]) -> Orders:
        chosen = np.asarray(actions, np.int64)
        bad = np.flatnonzero((chosen < 0) | (chosen >= len(self._table)))
        if len(bad):
            raise InvalidInput(
                f"car {bad[0]}: got action {chosen[bad[0]]}; accepted: 0 to {len(self._table) - 1}"
            )
        return Orders(self._table[chosen, 0], self._table[chosen, 1], chosen)

    def _check(self, commands: Sequence[tuple[float, float]]) -> Orders:
        chosen = np.asarray(commands, np.float64).reshape(-1, COMMANDS)
        low, high = self._table
        inside = (chosen >= low - TOLERANCE) & (chosen <= high + TOLERANCE)
        bad = np.flatnonzero(~inside.all(axis=1))
        if len(bad):
            steering_rad, speed_mps = chosen[bad[0]]
            raise InvalidInput(
                f"car {bad[0]}: got steering {steering_rad:g} rad and speed {speed_mps:g} m/s; "
                f"accepted: {low[0]:.4f} to {high[0]:.4f} rad and {low[1]:g} to {high[1]:g} m/s"
            )
        return Orders(chosen[:, 0], chosen[:, 1], None)
