"""The sensors of a car as `model_metadata.json` names them, and what they measure."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.metadata import LidarConfig, ModelMetadata
from services.simulator import lidar
from services.simulator.bodies import Bodies
from services.simulator.camera import (
    NETWORK_CAMERA,
    NO_BODIES,
    NO_ROWS,
    Camera,
    Mount,
    make_camera,
    render_cars,
)
from services.simulator.vehicle import Cars
from services.simulator.world import World

STEREO_SIDE_M = 0.03  # of each of the two cameras from the middle

_LEFT_CAMERA = make_camera(160, 120, Mount(left_m=STEREO_SIDE_M))
_RIGHT_CAMERA = make_camera(160, 120, Mount(left_m=-STEREO_SIDE_M))

FRONT_CAMERA = "FRONT_FACING_CAMERA"
CAMERAS: dict[str, tuple[Camera, ...]] = {
    FRONT_CAMERA: (NETWORK_CAMERA,),
    "LEFT_CAMERA": (_LEFT_CAMERA,),
    "STEREO_CAMERAS": (_LEFT_CAMERA, _RIGHT_CAMERA),
}

Array = NDArray[Any]
Measured = Mapping[str, Array]
"""What sensors give, (cars, *shape) by name."""
Render = Callable[[Camera, NDArray[np.uint8]], None]
"""Draws what all cars see through a camera into (cars, height, width)."""


class Shape(NamedTuple):
    """What one sensor gives for one car."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    low: float
    high: float


class Sensors:
    """
    The sensors of a metadata file.

    `shapes` holds by name: cameras (height, width), stereo (height, width, 2) with the left camera
    first, grey as uint8; lidars one row of float32.
    """

    def __init__(self, metadata: ModelMetadata | None = None) -> None:
        """Without metadata the front camera alone."""
        self._config = (metadata and metadata.lidar_config) or LidarConfig()
        names = metadata.sensor if metadata else (FRONT_CAMERA,)
        self.shapes = {name: self._shape(name) for name in names}

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the metadata."""
        return tuple(self.shapes)

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """All that pictures are taken with."""
        return tuple(camera for name in self.shapes for camera in CAMERAS.get(name, ()))

    def allocate(self, cars: int) -> dict[str, Array]:
        """Arrays for `observe`: (cars, *shape) by name."""
        return {name: np.zeros((cars, *its.shape), its.dtype) for name, its in self.shapes.items()}

    def observe(
        self,
        cars: Cars,
        world: World,
        into: Measured,
        bodies: Bodies = NO_BODIES,
        arenas: NDArray[np.int64] = NO_ROWS,
        own: NDArray[np.int64] = NO_ROWS,
        *,
        noise_seeds: NDArray[np.uint64] | None = None,
        render: Render | None = None,
    ) -> None:
        """
        Fill the arrays that `allocate` made.

        Args:
            bodies: with `arenas` and `own` as `render_cars` takes them.
            noise_seeds: (cars,) of the lidars' noise; none is a lidar without noise.
            render: draws pictures in place of `render_cars`, where they are randomised.
        """

        def plain(camera: Camera, images: NDArray[np.uint8]) -> None:
            render_cars(cars, world, camera, images, bodies, arenas, own)

        for name in self.shapes:
            if name in CAMERAS:
                _photograph(CAMERAS[name], render or plain, into[name])
            else:
                ranges_m = np.empty((len(cars), lidar.RAYS), np.float32)
                lidar.scan_cars(cars, world, bodies, arenas, own, ranges_m)
                if noise_seeds is not None:
                    lidar.add_noise(ranges_m, cars, noise_seeds)
                into[name][...] = self._condense(name, ranges_m)

    def _condense(self, name: str, ranges_m: NDArray[np.float32]) -> NDArray[np.float32]:
        if name == "SECTOR_LIDAR":
            return lidar.sectors_occupied(ranges_m)
        if name == "DISCRETIZED_SECTOR_LIDAR":
            config = self._config
            sizes = config.num_sectors, config.num_values_per_sector
            return lidar.sectors_discretised(ranges_m, *sizes, config.clipping_dist)
        return ranges_m

    def _shape(self, name: str) -> Shape:
        grey, real = np.dtype(np.uint8), np.dtype(np.float32)
        if name in CAMERAS:
            size = NETWORK_CAMERA.height, NETWORK_CAMERA.width
            views = len(CAMERAS[name])
            return Shape(size if views == 1 else (*size, views), grey, 0, 255)
        if name == "LIDAR":
            return Shape((lidar.RAYS,), real, lidar.NEAREST_M, lidar.FARTHEST_M)
        if name == "SECTOR_LIDAR":
            return Shape((lidar.SECTORS,), real, 0, 1)
        values = self._config.num_sectors * self._config.num_values_per_sector
        return Shape((values,), real, 0, 1)


def with_channels(array: Array) -> Array:
    """Grey pictures (cars, height, width) get one channel; what else there is stays as it is."""
    return array[..., np.newaxis] if array.ndim == 3 else array


def _photograph(cameras: tuple[Camera, ...], render: Render, into: Array) -> None:
    """One picture, or the two of a pair side by side in the last axis."""
    if len(cameras) == 1:
        render(cameras[0], into)
        return
    image = np.empty(into.shape[:-1], np.uint8)
    for view, camera in enumerate(cameras):
        render(camera, image)
        into[..., view] = image
