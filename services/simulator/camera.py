"""
The camera: what a car sees of a flat world.

Every image row below the horizon is a straight line on the ground, so a row is drawn by stepping
through the world's texture with a constant stride, in 16.16 fixed point. The texture's sides are
powers of two and wrap, which spares every check in the inner loop.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from services.simulator.vehicle import Cars
from services.simulator.world import FAR_GREY, SKY_GREY, VIEW_RANGE_M, World

# Of the simulator's robot description.
PITCH_DOWN_RAD = math.radians(15)
HEIGHT_M = 0.1303
AHEAD_M = 0.1453  # of the model's origin
HORIZONTAL_FOV_RAD = 1.13

FIXED_POINT = 65536.0


class Camera(NamedTuple):
    """A grey camera of some size, and where each of its rows lies on the ground."""

    width: int
    height: int
    horizon_row: int  # first row that looks down
    ground_row: int  # first row that sees ground within the range of view
    forward_m: NDArray[np.float64]  # (height,) ahead of the car's origin
    pixel_m: NDArray[np.float64]  # (height,) width of a pixel on the ground


def make_camera(width: int, height: int) -> Camera:
    """A camera at DeepRacer's place with square pixels, `HORIZONTAL_FOV_RAD` across its width."""
    focal_px = width / 2 / math.tan(HORIZONTAL_FOV_RAD / 2)
    down = (np.arange(height) + 0.5 - height / 2) / focal_px
    fall = math.sin(PITCH_DOWN_RAD) + down * math.cos(PITCH_DOWN_RAD)
    depth_m = HEIGHT_M / np.maximum(fall, 1e-9)  # along the optical axis
    reach_m = depth_m * (math.cos(PITCH_DOWN_RAD) - down * math.sin(PITCH_DOWN_RAD))
    return Camera(
        width=width,
        height=height,
        horizon_row=int(np.argmax(fall > 0)),
        ground_row=int(np.argmax(reach_m <= VIEW_RANGE_M)),
        forward_m=AHEAD_M + reach_m,
        pixel_m=depth_m / focal_px,
    )


NETWORK_CAMERA = make_camera(160, 120)
"""The images that DeepRacer's networks take."""


@numba.njit(cache=True, nogil=True)
def render_cars(cars: Cars, world: World, camera: Camera, images: NDArray[np.uint8]) -> None:
    """What each car sees, into `images` (cars, height, width)."""
    for index in range(len(cars)):
        render_car(cars[index], world, camera, images[index])


@numba.njit(cache=True, nogil=True)
def render_car(car: np.void, world: World, camera: Camera, image: NDArray[np.uint8]) -> None:
    """What one car sees, into `image` (height, width)."""
    image[: camera.horizon_row] = SKY_GREY
    image[camera.horizon_row : camera.ground_row] = FAR_GREY
    scale = world.texels_per_m * FIXED_POINT
    cosine, sine = math.cos(car["heading_rad"]), math.sin(car["heading_rad"])
    car_x, car_y = car["x_m"] - world.x_min_m, car["y_m"] - world.y_min_m
    for row in range(camera.ground_row, camera.height):
        ahead_m, pixel_m = camera.forward_m[row], camera.pixel_m[row]
        left_m = pixel_m * (camera.width / 2 - 0.5)  # of the row's first pixel
        x = int(math.floor((car_x + cosine * ahead_m - sine * left_m) * scale))
        y = int(math.floor((car_y + sine * ahead_m + cosine * left_m) * scale))
        step_x = int(math.floor(sine * pixel_m * scale))
        step_y = int(math.floor(-cosine * pixel_m * scale))
        _draw_row(world, image[row], x, y, step_x, step_y)


@numba.njit(cache=True, nogil=True, inline="always")
def _draw_row(
    world: World, pixels: NDArray[np.uint8], x: int, y: int, step_x: int, step_y: int
) -> None:
    """Texels along a line of the texture; `x`, `y` and the steps are in 16.16 fixed point."""
    mask_x, mask_y = (1 << world.width_log2) - 1, (1 << world.height_log2) - 1
    for column in range(len(pixels)):
        texel_x = ((x + column * step_x) >> 16) & mask_x
        texel_y = ((y + column * step_y) >> 16) & mask_y
        # Unsigned: the check for a negative index would cost half the speed.
        pixels[column] = world.texture[np.uint64((texel_y << world.width_log2) | texel_x)]
