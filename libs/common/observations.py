"""
What cars observe, and how it travels behind the JSON of an `ActionRequest`.

A simulator packs what its sensors measured, a learner unpacks it and takes no byte for granted: a
simulator of another version, or one that drives for another run, is told apart by what it says
that its bytes are.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.metadata import LidarConfig, ModelMetadata
from libs.common.errors import InvalidInput
from libs.common.events import ActionRequest, SensorArray

Observations = Mapping[str, NDArray[Any]]
"""By sensor (cars, *shape): uint8 (height, width, channels) of a camera, float32 of a lidar."""

HEIGHT_PX, WIDTH_PX = 120, 160
CAMERA_CHANNELS = {"FRONT_FACING_CAMERA": 1, "LEFT_CAMERA": 1, "STEREO_CAMERAS": 2}
LIDAR_NUMBERS = {"LIDAR": 64, "SECTOR_LIDAR": 8}

_TYPES: dict[str, np.dtype[Any]] = {"uint8": np.dtype("u1"), "float32": np.dtype("<f4")}


def sensors_of(metadata: ModelMetadata) -> tuple[SensorArray, ...]:
    """What a car with these sensors observes, in their order."""
    config = metadata.lidar_config or LidarConfig()
    numbers = LIDAR_NUMBERS | {
        "DISCRETIZED_SECTOR_LIDAR": config.num_sectors * config.num_values_per_sector
    }
    return tuple(
        SensorArray(name=name, shape=(HEIGHT_PX, WIDTH_PX, CAMERA_CHANNELS[name]), dtype="uint8")
        if name in CAMERA_CHANNELS
        else SensorArray(name=name, shape=(numbers[name],), dtype="float32")
        for name in metadata.sensor
    )


def bytes_a_car(metadata: ModelMetadata) -> int:
    """How large one car's observations are."""
    return sum(sensor.bytes_a_car for sensor in sensors_of(metadata))


def pack(sensors: Iterable[SensorArray], observations: Observations) -> bytes:
    """
    The payload of a request with these sensors.

    Raises:
        InvalidInput: an array has another shape or type than its sensor says.
    """
    parts = []
    for sensor in sensors:
        array = observations[sensor.name]
        if array.shape[1:] != sensor.shape or array.dtype != _TYPES[sensor.dtype]:
            raise InvalidInput(f"got {array.dtype} {array.shape[1:]}; accepted: {sensor}")
        parts.append(np.ascontiguousarray(array).data)
    return parts[0].tobytes() if len(parts) == 1 else b"".join(parts)


def unpack(request: ActionRequest, payload: bytes) -> dict[str, NDArray[Any]]:
    """
    The arrays behind a request by their sensors, (cars, *shape); views of the bytes.

    Raises:
        InvalidInput: there are more or fewer bytes than it says.
    """
    sensors, cars = announced(request), len(request.cars)
    expected = cars * sum(sensor.bytes_a_car for sensor in sensors)
    if len(payload) != expected:
        raise InvalidInput(
            f"{request.type}: got {len(payload)} bytes of observations for {cars} cars with "
            f"{_list(sensors)}; accepted: {expected}"
        )
    arrays, begin = {}, 0
    for sensor in sensors:
        count = cars * sensor.bytes_a_car // _TYPES[sensor.dtype].itemsize
        flat = np.frombuffer(payload, _TYPES[sensor.dtype], count, begin)
        arrays[sensor.name] = flat.reshape(cars, *sensor.shape)
        begin += cars * sensor.bytes_a_car
    return arrays


def check_sensors(request: ActionRequest, expected: Iterable[SensorArray]) -> None:
    """
    Refuse a request of cars with other sensors; their order is the request's own.

    Raises:
        InvalidInput: both are named.
    """
    given, wanted = announced(request), tuple(expected)
    if len(given) != len(wanted) or set(given) != set(wanted):
        raise InvalidInput(f"{request.type}: got {_list(given)}; accepted: {_list(wanted)}")


def announced(request: ActionRequest) -> tuple[SensorArray, ...]:
    """The sensors of a request; one that names none has the front camera alone."""
    if request.sensors:
        return request.sensors
    shape = (request.height, request.width, 1)
    return (SensorArray(name="FRONT_FACING_CAMERA", shape=shape, dtype="uint8"),)


def _list(sensors: Iterable[SensorArray]) -> str:
    return ", ".join(map(str, sensors))
