"""The steps of the episodes that cars are driving, until they become `StepColumns`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.events import StepColumns
from services.simulator.kernels import kernel
from services.simulator.reward_params import WHEELS
from services.simulator.vehicle import CONTROL_HZ, Cars

FIRST_CAPACITY = 256  # rows; doubled as often as an episode needs it
NO_ACTION = -1

STEP = np.dtype(
    [
        ("x_m", np.float64),
        ("y_m", np.float64),
        ("heading_rad", np.float64),
        ("steering_rad", np.float64),
        ("speed_mps", np.float64),
        ("action", np.int64),
        ("reward", np.float64),
        ("progress_pct", np.float64),
        ("closest_waypoint", np.int64),
        ("all_wheels_on_track", np.bool_),
        ("sim_time_s", np.float64),
        ("pause_s", np.float64),
        ("crashes", np.int64),
    ],
    align=True,
)
"""One row of `StepColumns`."""
RARE_COLUMNS = ("pause_s", "crashes")  # they travel only where something happened

Rows = NDArray[np.void]


class Commands(NamedTuple):
    """What all cars were told to do in a step, each (cars,)."""

    steering_rad: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    actions: NDArray[np.int64]  # `NO_ACTION` where the action space is continuous


def idle_commands(cars: int) -> Commands:
    """Commands of cars that stand still."""
    return Commands(np.zeros(cars), np.zeros(cars), np.full(cars, NO_ACTION))


class EpisodeLog:
    """One open episode for each car: row 0 for its start, then one for each step."""

    def __init__(self, cars: int) -> None:
        self._rows = np.zeros((cars, FIRST_CAPACITY), STEP)

    def record(self, cars: Cars, commands: Commands, rewards: NDArray[np.float64]) -> None:
        """Write each car's present step with the command that led to it and its reward (cars,)."""
        if cars["steps"].max() >= self._rows.shape[1]:
            self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)), axis=1)
        record_steps(cars, commands, rewards, self._rows)

    def begin(self, cars: Cars, indices: NDArray[np.int64]) -> None:
        """Write row 0 of the new episodes of some cars."""
        record_starts(cars, indices, self._rows)

    def steps(self, index: int, steps: int) -> Rows:
        """A copy of the episode of car `index` up to its step `steps`."""
        return self._rows[index, : steps + 1].copy()


def as_columns(rows: Rows) -> StepColumns:
    """The steps of an episode as they travel."""
    assert STEP.names is not None
    names = [name for name in STEP.names if name not in RARE_COLUMNS or rows[name].any()]
    return StepColumns(**{name: tuple(rows[name].tolist()) for name in names})


@kernel
def record_steps(cars: Cars, commands: Commands, rewards: NDArray[np.float64], rows: Rows) -> None:
    """Row `steps` of each car, and the sum of its rewards."""
    for index in range(len(cars)):
        cars[index]["episode_reward"] += rewards[index]
        row = rows[index, cars[index]["steps"]]
        _describe(cars[index], row)
        row["steering_rad"] = commands.steering_rad[index]
        row["speed_mps"] = commands.speed_mps[index]
        row["action"] = commands.actions[index]
        row["reward"] = rewards[index]


@kernel
def record_starts(cars: Cars, indices: NDArray[np.int64], rows: Rows) -> None:
    """Row 0 of these cars: nothing was commanded yet."""
    for index in indices:
        row = rows[index, 0]
        _describe(cars[index], row)
        row["steering_rad"], row["speed_mps"], row["reward"] = 0.0, 0.0, 0.0
        row["action"] = NO_ACTION


@kernel
def _describe(car: np.void, row: np.void) -> None:
    """Where a car is."""
    row["x_m"], row["y_m"] = car["front_x_m"], car["front_y_m"]
    row["heading_rad"] = car["heading_rad"]
    row["progress_pct"] = car["progress_pct"]
    row["closest_waypoint"] = car["nearest"]
    row["all_wheels_on_track"] = car["wheels_on"] == WHEELS
    row["sim_time_s"] = car["steps"] / CONTROL_HZ
    row["pause_s"] = car["paused_steps"] / CONTROL_HZ
    row["crashes"] = car["crash_count"]
