"""The steps of the episodes that cars are driving, until they become `StepColumns`."""

import numpy as np
from numpy.typing import NDArray

from libs.common.events import StepColumns
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
    ]
)
"""One row of `StepColumns`."""


class EpisodeLog:
    """One open episode for each car: row 0 for its start, then one for each step."""

    def __init__(self, cars: int) -> None:
        self._steps = np.zeros((cars, FIRST_CAPACITY), STEP)

    def record(
        self,
        cars: Cars,
        steering_rad: NDArray[np.float64],
        speed_mps: NDArray[np.float64],
        actions: NDArray[np.int64],
        rewards: NDArray[np.float64],
    ) -> None:
        """Write each car's present step with the command that led to it; all are (cars,)."""
        rows = self._describe(cars)
        rows["steering_rad"], rows["speed_mps"] = steering_rad, speed_mps
        rows["action"], rows["reward"] = actions, rewards
        if cars["steps"].max() >= self._steps.shape[1]:
            self._steps = np.concatenate((self._steps, np.zeros_like(self._steps)), axis=1)
        self._steps[np.arange(len(cars)), cars["steps"]] = rows

    def begin(self, index: int, cars: Cars) -> None:
        """Write row 0 of a new episode of car `index`."""
        row = self._describe(cars[index : index + 1])
        row["action"] = NO_ACTION
        self._steps[index, 0] = row[0]

    def columns(self, index: int, steps: int) -> StepColumns:
        """The episode of car `index` up to its step `steps`."""
        rows = self._steps[index, : steps + 1]
        assert STEP.names is not None
        return StepColumns(**{name: tuple(rows[name].tolist()) for name in STEP.names})

    def _describe(self, cars: Cars) -> NDArray[np.void]:
        """Rows of where cars are, without command and reward."""
        rows = np.zeros(len(cars), STEP)
        rows["x_m"], rows["y_m"] = cars["front_x_m"], cars["front_y_m"]
        rows["heading_rad"] = cars["heading_rad"]
        rows["progress_pct"] = cars["progress_pct"]
        rows["closest_waypoint"] = cars["nearest"]
        rows["all_wheels_on_track"] = cars["wheels_on"] == WHEELS
        rows["sim_time_s"] = cars["steps"] / CONTROL_HZ
        return rows
