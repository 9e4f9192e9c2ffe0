"""What a step is worth: a built-in reward, a Python callable, or a `reward_function.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from libs.common.errors import InvalidInput
from libs.common.reward.limits import MAX_REWARD
from libs.common.reward.process import RewardProcess
from services.simulator.race import Race
from services.simulator.reward_params import Params

FloatArray = NDArray[np.float64]
RewardFunction = Callable[[dict[str, Any]], float]

CENTRE_LINE = "centre_line"
BANDS = (0.1, 0.25, 0.5)  # off the centre line, as shares of the road's width
BAND_REWARDS = np.array([1.0, 0.5, 0.1, 1e-3])  # in each band, and beyond the last


class Rewards(Protocol):
    """The rewards of a race's cars."""

    def values(self, race: Race, cars: NDArray[np.int64]) -> FloatArray:
        """(cars,) rewards of these cars for the step that they have just driven."""

    def close(self) -> None:
        """Let go of what it holds."""


def read_rewards(reward: str | Path | RewardFunction, race: Race) -> Rewards:
    """
    The rewards that `reward` stands for.

    Raises:
        InvalidInput: it is neither "centre_line", nor a callable, nor a Python file that exists.
        RewardError: the file does not load.
    """
    if callable(reward):
        return CallableRewards(reward)
    if reward == CENTRE_LINE:
        return CentreLineRewards()
    file = Path(reward)
    if file.suffix != ".py" or not file.is_file():
        raise InvalidInput(
            f"reward: got {str(reward)!r}; accepted: {CENTRE_LINE!r}, a function of `params`, "
            "or the path of a reward_function.py"
        )
    return SandboxedRewards(file.read_text("utf-8"), race)


class CentreLineRewards:
    """The starter's reward function on arrays: three bands, the closer the better."""

    def values(self, race: Race, cars: NDArray[np.int64]) -> FloatArray:
        """See `Rewards`."""
        states = race.states
        band = np.searchsorted(BANDS, np.abs(states["offset_m"]) / states["width_m"])
        band[states["wheels_on"] == 0] = len(BANDS)
        rewards: FloatArray = BAND_REWARDS[band[cars]]
        return rewards

    def close(self) -> None:
        """See `Rewards`."""


class CallableRewards:
    """A function of DeepRacer's `params`, called in this process with a copy of its own."""

    def __init__(self, function: RewardFunction) -> None:
        self._function = function

    def values(self, race: Race, cars: NDArray[np.int64]) -> FloatArray:
        """See `Rewards`. Raises `InvalidInput` where the function returns no such number."""
        params = race.reward_params()
        return np.array([self._call(params[car]) for car in cars.tolist()], np.float64)

    def close(self) -> None:
        """See `Rewards`."""

    def _call(self, params: Params) -> float:
        own = {key: list(it) if isinstance(it, list) else it for key, it in params.items()}
        value = self._function(own)
        if not isinstance(value, int | float | np.number) or not abs(value) <= MAX_REWARD:
            raise InvalidInput(
                f"the reward function returned {value!r}; accepted: a number within "
                f"+-{MAX_REWARD:g}"
            )
        return float(value)


class SandboxedRewards:
    """A user's source, in a child process without network or files."""

    def __init__(self, source: str, race: Race) -> None:
        self._courses = race.states["course"].copy()
        self._process = RewardProcess(source, race.fixed_params(0))

    def values(self, race: Race, cars: NDArray[np.int64]) -> FloatArray:
        """See `Rewards`. Raises `RewardError`."""
        self._turn_round(race)
        columns = {key: values[cars] for key, values in race.measured_columns().items()}
        return np.array(self._process.rewards(columns, cars.tolist()))

    def _turn_round(self, race: Race) -> None:
        """The constants are other ones for a car that now drives the other way round."""
        courses = race.states["course"]
        for car in np.flatnonzero(courses != self._courses).tolist():
            self._process.set_constants(race.fixed_params(car), [car])
        self._courses = courses.copy()

    def close(self) -> None:
        """See `Rewards`."""
        self._process.close()
