"""Colour pictures for people: every pixel is the mean of several, between finer texels."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import Track
from services.simulator.bodies import Bodies
from services.simulator.camera import NO_BODIES, Camera, Mount, make_camera, render_cars
from services.simulator.vehicle import Cars
from services.simulator.world import World, draw_colour_worlds, shrink

PIXELS_ACROSS = 960
"""A small picture is drawn at about this width and shrunk, at least to half its size."""


class Pictures:
    """
    Colour pictures of a track's world.

    The world's three channels, up to 48 MB, are drawn for the first picture and shared by all that
    show the same world; those of the last two worlds are kept.
    """

    def __init__(self, track: Track, spec: WorldSpec, seed: int = 0) -> None:
        self._track, self._spec, self._seed = track, spec, seed

    def draw(
        self,
        car: Cars,
        width: int,
        height: int,
        bodies: Bodies = NO_BODIES,
        own: int = -1,
        mount: Mount | None = None,
    ) -> NDArray[np.uint8]:
        """
        What one car sees, (height, width, 3).

        Args:
            car: (1,) the car.
            bodies: (1, k) what shares its road.
            own: the place of its own body among them; -1 is none.
        """
        finer = max(2, round(PIXELS_ACROSS / width))
        camera = _fine_camera(width * finer, height * finer, mount or Mount())
        image = np.empty((1, height * finer, width * finer), np.uint8)
        picture = np.empty((height, width, 3), np.uint8)
        arena, place = np.zeros(1, np.int64), np.full(1, own, np.int64)
        worlds = _colour_worlds(self._track, self._spec, self._seed)
        for channel, world in enumerate(worlds):
            render_cars(car, world, camera, image, bodies, arena, place)
            picture[:, :, channel] = shrink(image[0], finer)
        return picture


@lru_cache(maxsize=2)
def _colour_worlds(track: Track, spec: WorldSpec, seed: int) -> tuple[World, ...]:
    return draw_colour_worlds(track, spec, seed)


@lru_cache(maxsize=8)
def _fine_camera(width: int, height: int, mount: Mount) -> Camera:
    return make_camera(width, height, mount, smooth=True)
