"""Actions of Gymnasium's spaces as commands to the cars."""

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from libs.common.deepracer.metadata import ContinuousActionSpace, ContinuousRange, ModelMetadata
from libs.common.errors import InvalidInput
from services.simulator.rollout import discrete_commands

FloatArray = NDArray[np.float64]


class Commands(NamedTuple):
    """What all cars are told to do, each (cars,)."""

    steering_rad: FloatArray  # + = left
    speed_mps: FloatArray
    actions: NDArray[np.int64] | None  # indices, where the space is discrete


class Actions(Protocol):
    """An action space and what its elements mean."""

    @property
    def space(self) -> spaces.Space[Any]:
        """Of one car."""

    def commands(self, actions: object, cars: int) -> Commands:
        """The commands of `cars` actions. Raises `InvalidInput` where one is not in the space."""


def read_actions(metadata: ModelMetadata) -> Actions:
    """The action space of a `model_metadata.json`."""
    if isinstance(metadata.action_space, ContinuousActionSpace):
        return ContinuousActions(metadata.action_space)
    return DiscreteActions(metadata)


class DiscreteActions:
    """Indices of the rows of a discrete action space."""

    def __init__(self, metadata: ModelMetadata) -> None:
        self._steering_rad, self._speed_mps = discrete_commands(metadata)
        self.space: spaces.Space[Any] = spaces.Discrete(len(self._speed_mps))

    def commands(self, actions: object, cars: int) -> Commands:
        """See `Actions`."""
        chosen = np.asarray(actions)
        last = len(self._speed_mps) - 1
        if chosen.dtype.kind not in "iu" or chosen.size != cars:
            raise InvalidInput(
                f"actions: got {actions!r}; accepted: {cars} whole number(s) from 0 to {last}"
            )
        chosen = chosen.reshape(cars).astype(np.int64)
        if chosen.min() < 0 or chosen.max() > last:
            wrong = next(int(action) for action in chosen if not 0 <= action <= last)
            raise InvalidInput(f"action: got {wrong}; accepted: a whole number from 0 to {last}")
        return Commands(self._steering_rad[chosen], self._speed_mps[chosen], chosen)


class ContinuousActions:
    """Steering and speed from -1 to 1 each, scaled to the space's bounds, as DeepRacer does it."""

    def __init__(self, bounds: ContinuousActionSpace) -> None:
        steering, speed = bounds.steering_angle, bounds.speed
        self._steering_rad = (math.radians(steering.low), math.radians(steering.high))
        self._speed_mps = _pair(speed)
        self.space: spaces.Space[Any] = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def commands(self, actions: object, cars: int) -> Commands:
        """See `Actions`."""
        chosen = np.asarray(actions)
        if chosen.dtype.kind not in "fiu" or chosen.size != 2 * cars:
            raise InvalidInput(
                f"actions: got {actions!r}; accepted: {cars} pair(s) of steering and speed, "
                "each from -1 to 1"
            )
        shares = chosen.reshape(cars, 2).astype(np.float64)
        if not (np.abs(shares) <= 1.0).all():  # a nan is not
            car = int(np.argmin((np.abs(shares) <= 1.0).all(axis=1)))
            raise InvalidInput(
                f"action: got {shares[car].tolist()}; accepted: steering and speed, "
                "each from -1 to 1"
            )
        steering_rad = _scale(shares[:, 0], self._steering_rad)
        return Commands(steering_rad, _scale(shares[:, 1], self._speed_mps), None)


def _pair(bounds: ContinuousRange) -> tuple[float, float]:
    return bounds.low, bounds.high


def _scale(shares: FloatArray, bounds: tuple[float, float]) -> FloatArray:
    """-1 is the lower bound, 1 the upper one."""
    low, high = bounds
    return low + (shares + 1.0) / 2.0 * (high - low)
