"""Actions of Gymnasium's spaces as orders to the cars."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from libs.common.deepracer.continuous import COMMANDS
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.errors import InvalidInput
from services.simulator.action_space import ActionSpace, Orders


class Actions:
    """
    A model's action space as Gymnasium has it.

    Discrete: the indices of its rows. Continuous: steering and speed from -1 to 1, scaled to their
    bounds, as DeepRacer does it with what its networks give.
    """

    def __init__(self, metadata: ModelMetadata) -> None:
        self._meaning = ActionSpace(metadata)
        self.space: spaces.Space[Any] = spaces.Box(-1.0, 1.0, (COMMANDS,), np.float32)
        if self._meaning.discrete:
            self.space = spaces.Discrete(self._meaning.outputs)

    def orders(self, actions: object, cars: int) -> Orders:
        """What `cars` actions tell the cars. Raises `InvalidInput` for one out of the space."""
        given = np.asarray(actions)
        shape = (cars,) if self._meaning.discrete else (cars, COMMANDS)
        kinds = "iu" if self._meaning.discrete else "fiu"
        if given.dtype.kind not in kinds or given.size != np.prod(shape):
            raise InvalidInput(f"actions: got {actions!r}; accepted: {self._accepted(cars)}")
        given = given.reshape(shape)
        if self._meaning.discrete:
            return self._meaning.take(given, (), cars)
        self._refuse_beyond(given, cars)
        return self._meaning.most_probable(given.astype(np.float32))

    def _refuse_beyond(self, pairs: NDArray[Any], cars: int) -> None:
        inside = (np.abs(pairs) <= 1.0).all(axis=1)  # nan is not
        if not inside.all():
            car = int(np.argmin(inside))
            raise InvalidInput(
                f"car {car}: got action {pairs[car].tolist()}; accepted: {self._accepted(1)}"
            )

    def _accepted(self, cars: int) -> str:
        if self._meaning.discrete:
            return f"{cars} whole number(s) from 0 to {self._meaning.outputs - 1}"
        return f"{cars} pair(s) of steering and speed, each from -1 to 1"
