"""What cars measure as Gymnasium has it."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from libs.common.deepracer.metadata import ModelMetadata
from services.simulator.sensors import Measured, Sensors, Shape, with_channels

Observation = NDArray[Any] | dict[str, NDArray[Any]]
"""One sensor's array, or by name those of several."""


class Observations:
    """The sensors of a model's metadata: pictures (height, width, 1 or 2), lidars one row."""

    def __init__(self, metadata: ModelMetadata) -> None:
        sensors = Sensors(metadata)
        boxes = {name: _box(its) for name, its in sensors.shapes.items()}
        several = len(boxes) > 1
        self.space: spaces.Space[Any] = spaces.Dict(boxes) if several else boxes[sensors.names[0]]

    def read(self, measured: Measured, cars: int | slice, *, copy: bool) -> Observation:
        """What some cars have measured; without `copy` it changes with the next step."""
        arrays = {name: with_channels(array)[cars] for name, array in measured.items()}
        if copy:
            arrays = {name: array.copy() for name, array in arrays.items()}
        return arrays if len(arrays) > 1 else next(iter(arrays.values()))


def _box(its: Shape) -> spaces.Space[Any]:
    shape = with_channels(np.empty((1, *its.shape))).shape[1:]
    return spaces.Box(its.low, its.high, shape, its.dtype.type)
