"""
The camera: what a car sees of its world.

Every image row below the horizon is a straight line on the ground, so a row is drawn by stepping
through the world's texture with a constant stride, in 16.16 fixed point. The texture's sides are
powers of two and wrap, which spares every check in the inner loop. Walls and bodies are drawn over
it (`solids`), where there are any.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.simulator.bodies import BODY, Bodies
from services.simulator.kernels import inlined_kernel, kernel
from services.simulator.solids import draw_bodies, draw_faces, look_from
from services.simulator.vehicle import Cars
from services.simulator.world import VIEW_RANGE_M, World

# Of the simulator's robot description.
PITCH_DOWN_RAD = math.radians(15)
HEIGHT_M = 0.1303
AHEAD_M = 0.1453  # of the model's origin
HORIZONTAL_FOV_RAD = 1.13

FIXED_POINT = 65536.0

NO_BODIES: Bodies = np.zeros((0, 0), BODY)
NO_ROWS = np.zeros(0, np.int64)


class Mount(NamedTuple):
    """Where a camera sits in the car and how it looks out."""

    height_m: float = HEIGHT_M
    ahead_m: float = AHEAD_M  # of the model's origin
    left_m: float = 0.0
    pitch_rad: float = PITCH_DOWN_RAD
    yaw_rad: float = 0.0  # to the left
    horizontal_fov_rad: float = HORIZONTAL_FOV_RAD


class Camera(NamedTuple):
    """A camera of some size, and where each of its rows lies on the ground."""

    width: int
    height: int
    horizon_row: int  # first row that looks down
    ground_row: int  # first row that sees ground within the range of view
    reach_m: NDArray[np.float64]  # (height,) ahead of the camera
    pixel_m: NDArray[np.float64]  # (height,) width of a pixel on the ground
    focal_px: float
    height_m: float
    ahead_m: float
    left_m: float
    pitch_rad: float
    yaw_rad: float
    smooth: bool  # between texels


def make_camera(
    width: int, height: int, mount: Mount | None = None, *, smooth: bool = False
) -> Camera:
    """A camera with square pixels, at DeepRacer's place if no other is given."""
    mount = mount or Mount()
    focal_px = width / 2 / math.tan(mount.horizontal_fov_rad / 2)
    sine, cosine = math.sin(mount.pitch_rad), math.cos(mount.pitch_rad)
    down = (np.arange(height) + 0.5 - height / 2) / focal_px
    fall = sine + down * cosine
    depth_m = mount.height_m / np.maximum(fall, 1e-9)  # along the optical axis
    reach_m = depth_m * (cosine - down * sine)
    return Camera(
        width=width,
        height=height,
        horizon_row=_first_row(fall > 0),
        ground_row=_first_row((fall > 0) & (reach_m <= VIEW_RANGE_M)),
        reach_m=reach_m,
        pixel_m=depth_m / focal_px,
        focal_px=focal_px,
        height_m=mount.height_m,
        ahead_m=mount.ahead_m,
        left_m=mount.left_m,
        pitch_rad=mount.pitch_rad,
        yaw_rad=mount.yaw_rad,
        smooth=smooth,
    )


def _first_row(rows: NDArray[np.bool_]) -> int:
    return int(np.argmax(rows)) if rows.any() else len(rows)


NETWORK_CAMERA = make_camera(160, 120)
"""The images that DeepRacer's networks take."""


def render_cars(
    cars: Cars,
    world: World,
    camera: Camera,
    images: NDArray[np.uint8],
    bodies: Bodies = NO_BODIES,
    arenas: NDArray[np.int64] = NO_ROWS,
    own: NDArray[np.int64] = NO_ROWS,
) -> None:
    """
    What each car sees, into `images` (cars, height, width).

    Args:
        bodies: (arenas, k) what shares the road; none by default.
        arenas: (cars,) each car's row of `bodies`.
        own: (cars,) the place of each car's own body in its row, which it does not see; -1 is none.
    """
    render_ground(cars, world, camera, images)
    if len(world.faces) > 0 or bodies.shape[1] > 0:
        render_solids(cars, world, camera, images, bodies, arenas, own)


@kernel
def render_ground(cars: Cars, world: World, camera: Camera, images: NDArray[np.uint8]) -> None:
    """The ground and the sky that each car sees, into `images` (cars, height, width)."""
    for index in range(len(cars)):
        draw_ground(cars[index], world, camera, images[index])


@kernel
def render_solids(
    cars: Cars,
    world: World,
    camera: Camera,
    images: NDArray[np.uint8],
    bodies: Bodies,
    arenas: NDArray[np.int64],
    own: NDArray[np.int64],
) -> None:
    """What stands around and on the road, over what `render_ground` drew; see `render_cars`."""
    for index in range(len(cars)):
        if len(world.faces) > 0:
            draw_faces(cars[index], world, camera, images[index])
        if bodies.shape[1] > 0:
            row = bodies[arenas[index]]
            draw_bodies(cars[index], world, camera, images[index], row, own[index])


@kernel
def draw_ground(car: np.void, world: World, camera: Camera, image: NDArray[np.uint8]) -> None:
    """The ground and the sky that one car sees, into `image` (height, width)."""
    image[: camera.horizon_row] = world.sky
    image[camera.horizon_row : camera.ground_row] = world.far
    scale = world.texels_per_m * FIXED_POINT
    eye_x, eye_y, cosine, sine = look_from(car, camera)
    eye_x, eye_y = eye_x - world.x_min_m, eye_y - world.y_min_m
    for row in range(camera.ground_row, camera.height):
        reach_m, pixel_m = camera.reach_m[row], camera.pixel_m[row]
        left_m = pixel_m * (camera.width / 2 - 0.5)  # of the row's first pixel
        x = int(math.floor((eye_x + cosine * reach_m - sine * left_m) * scale))
        y = int(math.floor((eye_y + sine * reach_m + cosine * left_m) * scale))
        step_x = int(math.floor(sine * pixel_m * scale))
        step_y = int(math.floor(-cosine * pixel_m * scale))
        if camera.smooth:
            _draw_smooth_row(world, image[row], x, y, step_x, step_y)
        else:
            _draw_row(world, image[row], x, y, step_x, step_y)


@inlined_kernel
def _draw_row(
    world: World, pixels: NDArray[np.uint8], x: int, y: int, step_x: int, step_y: int
) -> None:
    """
    Texels along a line of the texture; `x`, `y` and the steps are in 16.16 fixed point.

    Both coordinates are one number, y in its upper half, so that a pixel costs one addition; what
    x carries over into y is 1/65536 of a texel.
    """
    mask_x = (1 << world.width_log2) - 1
    mask_y = ((1 << world.height_log2) - 1) << world.width_log2
    down = 48 - world.width_log2  # what leaves y as a multiple of the texture's width
    place, step = (y << 32) + x, (step_y << 32) + step_x
    for column in range(len(pixels)):
        texel = ((place >> down) & mask_y) | ((place >> 16) & mask_x)
        # Unsigned: the check for a negative index would cost half the speed.
        pixels[column] = world.texture[np.uint64(texel)]
        place += step


@inlined_kernel
def _draw_smooth_row(
    world: World, pixels: NDArray[np.uint8], x: int, y: int, step_x: int, step_y: int
) -> None:
    """As `_draw_row`, weighing the four texels around each place."""
    for column in range(len(pixels)):
        # A texel's value holds at its middle.
        place_x, place_y = x + column * step_x - 32768, y + column * step_y - 32768
        right, above = (place_x >> 8) & 255, (place_y >> 8) & 255
        left_x, low_y = place_x >> 16, place_y >> 16
        low = (
            _texel(world, left_x, low_y) * (256 - right) + _texel(world, left_x + 1, low_y) * right
        )
        high = _texel(world, left_x, low_y + 1) * (256 - right)
        high += _texel(world, left_x + 1, low_y + 1) * right
        pixels[column] = (low * (256 - above) + high * above + 32768) >> 16


@inlined_kernel
def _texel(world: World, x: int, y: int) -> int:
    wrapped_x = x & ((1 << world.width_log2) - 1)
    wrapped_y = y & ((1 << world.height_log2) - 1)
    return int(world.texture[np.uint64((wrapped_y << world.width_log2) | wrapped_x)])
