"""
What stands upright in a picture: the faces of walls, boxes and other cars.

A face is projected corner by corner and filled row by row: a pixel shows it if the ray through the
pixel's middle meets it. Nearer bodies are drawn over farther ones, and of a body only the faces
that look at the camera.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.simulator.bodies import CAR_BODY, NOTHING, Bodies
from services.simulator.kernels import kernel
from services.simulator.world import World

if TYPE_CHECKING:
    from services.simulator.camera import Camera

NEAREST_M = 0.02  # in front of the lens; what is nearer is not drawn

# A car is a hull and a cabin upon it, as shares of its body's measures.
HULL_HEIGHT = 0.55
CABIN_LENGTH = 0.55
CABIN_WIDTH = 0.75
CABIN_SHADE = 0.5

# How bright the sides of bodies are; their tops are as bright as their paint.
DARK_SIDE = 0.5
LIT_SIDE = 0.9


class Easel(NamedTuple):
    """A picture that is being drawn, and from where."""

    image: NDArray[np.uint8]  # (height, width)
    camera: "Camera"
    x_m: float  # of the camera
    y_m: float
    cosine: float  # of the way it looks
    sine: float
    pitch_cosine: float
    pitch_sine: float
    corners: NDArray[np.float64]  # (4, 3) of the face in hand, in the world
    outline: NDArray[np.float64]  # (5, 2) of it in the picture


@kernel
def look_from(car: np.void, camera: "Camera") -> tuple[float, float, float, float]:
    """Where the camera is, x and y, and cosine and sine of the way it looks."""
    cosine, sine = math.cos(car["heading_rad"]), math.sin(car["heading_rad"])
    x_m = car["x_m"] + cosine * camera.ahead_m - sine * camera.left_m
    y_m = car["y_m"] + sine * camera.ahead_m + cosine * camera.left_m
    heading = car["heading_rad"] + camera.yaw_rad
    return x_m, y_m, math.cos(heading), math.sin(heading)


@kernel
def _set_up(car: np.void, camera: "Camera", image: NDArray[np.uint8]) -> Easel:
    x_m, y_m, cosine, sine = look_from(car, camera)
    tilt_cosine, tilt_sine = math.cos(camera.pitch_rad), math.sin(camera.pitch_rad)
    corners, outline = np.empty((4, 3)), np.empty((5, 2))
    return Easel(image, camera, x_m, y_m, cosine, sine, tilt_cosine, tilt_sine, corners, outline)


@kernel
def draw_faces(car: np.void, world: World, camera: "Camera", image: NDArray[np.uint8]) -> None:
    """The world's surroundings, into `image` (height, width)."""
    easel = _set_up(car, camera, image)
    for index in range(len(world.faces)):
        face = world.faces[index]
        _set_upright(easel.corners, face[0], face[1], face[2], face[3], 0.0, face[4])
        _fill(easel, int(face[5]))


@kernel
def draw_bodies(
    car: np.void,
    world: World,
    camera: "Camera",
    image: NDArray[np.uint8],
    bodies: Bodies,
    own: int,
) -> None:
    """The bodies (k,) of a car's arena but its `own`, the farthest first."""
    easel = _set_up(car, camera, image)
    distances = np.full(len(bodies), -1.0)
    for index in range(len(bodies)):
        body = bodies[index]
        if body["kind"] != NOTHING and index != own and _reach_ahead(body, easel) > 0:
            distances[index] = _distance(body, easel)
    for _ in range(len(bodies)):
        index = int(np.argmax(distances))
        if distances[index] < 0:
            break
        distances[index] = -1.0
        _draw_body(bodies[index], world, easel)


@kernel
def _reach_ahead(body: np.void, easel: Easel) -> float:
    """How far any of a body may be ahead of the camera."""
    ahead = (body["x_m"] - easel.x_m) * easel.cosine + (body["y_m"] - easel.y_m) * easel.sine
    return float(ahead + (body["length_m"] + body["width_m"] + body["height_m"]) / 2)


@kernel
def _distance(body: np.void, easel: Easel) -> float:
    """From the camera to the nearest point of a body's rectangle."""
    cosine, sine = math.cos(body["heading_rad"]), math.sin(body["heading_rad"])
    right, up = easel.x_m - body["x_m"], easel.y_m - body["y_m"]
    along = abs(cosine * right + sine * up) - body["length_m"] / 2
    across = abs(cosine * up - sine * right) - body["width_m"] / 2
    return math.hypot(max(along, 0.0), max(across, 0.0))


@kernel
def _draw_body(body: np.void, world: World, easel: Easel) -> None:
    """One body: a box, or the two blocks of a car, the one that may hide the other last."""
    tone = float(world.paints[body["paint"] % len(world.paints)])
    height = body["height_m"]
    if body["kind"] != CAR_BODY:
        _draw_block(body, 1.0, 1.0, 0.0, height, tone, world, easel)
        return
    hull_m = HULL_HEIGHT * height
    for part in range(2):
        if (part == 0) == (easel.camera.height_m > hull_m):
            _draw_block(body, 1.0, 1.0, 0.0, hull_m, tone, world, easel)
        else:
            shade = tone * CABIN_SHADE
            _draw_block(body, CABIN_LENGTH, CABIN_WIDTH, hull_m, height, shade, world, easel)


@kernel
def _draw_block(
    body: np.void,
    length: float,
    width: float,
    low_m: float,
    high_m: float,
    tone: float,
    world: World,
    easel: Easel,
) -> None:
    """
    The faces of an upright block that look at the camera; none if it is inside.

    `length` and `width` are shares of the body's.
    """
    cosine, sine = math.cos(body["heading_rad"]), math.sin(body["heading_rad"])
    halves = (length * body["length_m"] / 2, width * body["width_m"] / 2)
    for side in range(4):
        # Ahead, left, behind, right.
        normal_x = (cosine, -sine, -cosine, sine)[side]
        normal_y = (sine, cosine, -sine, -cosine)[side]
        away_m, half_m = halves[side % 2], halves[(side + 1) % 2]
        middle_x, middle_y = body["x_m"] + normal_x * away_m, body["y_m"] + normal_y * away_m
        if (easel.x_m - middle_x) * normal_x + (easel.y_m - middle_y) * normal_y <= 0:
            continue
        half_x, half_y = -normal_y * half_m, normal_x * half_m
        begin_x, begin_y = middle_x - half_x, middle_y - half_y
        end_x, end_y = middle_x + half_x, middle_y + half_y
        _set_upright(easel.corners, begin_x, begin_y, end_x, end_y, low_m, high_m)
        facing = max(normal_x * world.light_x + normal_y * world.light_y, 0.0)
        _fill(easel, int(tone * (DARK_SIDE + (LIT_SIDE - DARK_SIDE) * facing)))
    if easel.camera.height_m > high_m:
        for corner in range(4):
            ahead = halves[0] if corner < 2 else -halves[0]
            left = halves[1] if corner == 0 or corner == 3 else -halves[1]
            easel.corners[corner, 0] = body["x_m"] + ahead * cosine - left * sine
            easel.corners[corner, 1] = body["y_m"] + ahead * sine + left * cosine
            easel.corners[corner, 2] = high_m
        _fill(easel, int(tone))


@kernel
def _set_upright(
    corners: NDArray[np.float64],
    begin_x: float,
    begin_y: float,
    end_x: float,
    end_y: float,
    low_m: float,
    high_m: float,
) -> None:
    """The corners (4, 3) of an upright rectangle."""
    for corner in range(4):
        at_begin = corner == 0 or corner == 3
        corners[corner, 0] = begin_x if at_begin else end_x
        corners[corner, 1] = begin_y if at_begin else end_y
        corners[corner, 2] = low_m if corner < 2 else high_m


@kernel
def _fill(easel: Easel, tone: int) -> None:
    """Fill the picture of the flat face in hand."""
    count = _project(easel)
    if count < 3:
        return
    outline, camera = easel.outline, easel.camera
    top, bottom = outline[0, 1], outline[0, 1]
    for corner in range(1, count):
        top, bottom = min(top, outline[corner, 1]), max(bottom, outline[corner, 1])
    first = max(int(math.ceil(top)), 0)
    last = min(int(math.floor(bottom)), camera.height - 1)
    for row in range(first, last + 1):
        left, right = _cut(outline, count, float(row))
        begin = max(int(math.ceil(left)), 0)
        end = min(int(math.floor(right)), camera.width - 1)
        if begin <= end:
            easel.image[row, begin : end + 1] = tone


@kernel
def _project(easel: Easel) -> int:
    """
    Find the outline of the face in hand, as columns and rows; the number of its corners.

    Whole numbers are pixels' middles. What is behind the lens is cut off, which may add a corner.
    """
    count = 0
    right, down, depth = _seen_from(easel, 3)
    for corner in range(4):
        old_right, old_down, old_depth = right, down, depth
        right, down, depth = _seen_from(easel, corner)
        if (depth >= NEAREST_M) != (old_depth >= NEAREST_M):
            share = (NEAREST_M - old_depth) / (depth - old_depth)
            cut_right = old_right + share * (right - old_right)
            cut_down = old_down + share * (down - old_down)
            _put(easel, count, cut_right, cut_down, NEAREST_M)
            count += 1
        if depth >= NEAREST_M:
            _put(easel, count, right, down, depth)
            count += 1
    return count


@kernel
def _put(easel: Easel, corner: int, right_m: float, down_m: float, depth_m: float) -> None:
    camera = easel.camera
    easel.outline[corner, 0] = camera.width / 2 - 0.5 + camera.focal_px * right_m / depth_m
    easel.outline[corner, 1] = camera.height / 2 - 0.5 + camera.focal_px * down_m / depth_m


@kernel
def _seen_from(easel: Easel, corner: int) -> tuple[float, float, float]:
    """A corner in the camera's own axes: to its right, down, and along the optical axis."""
    east, north = easel.corners[corner, 0] - easel.x_m, easel.corners[corner, 1] - easel.y_m
    ahead = east * easel.cosine + north * easel.sine
    left = north * easel.cosine - east * easel.sine
    up = easel.corners[corner, 2] - easel.camera.height_m
    down = -ahead * easel.pitch_sine - up * easel.pitch_cosine
    return -left, down, ahead * easel.pitch_cosine - up * easel.pitch_sine


@kernel
def _cut(outline: NDArray[np.float64], count: int, row: float) -> tuple[float, float]:
    """Where a row enters and leaves a convex outline."""
    left, right = math.inf, -math.inf
    for corner in range(count):
        before = corner - 1 if corner > 0 else count - 1
        low, high = outline[before, 1], outline[corner, 1]
        if min(low, high) > row or max(low, high) < row or low == high:
            continue
        share = (row - low) / (high - low)
        column = outline[before, 0] + share * (outline[corner, 0] - outline[before, 0])
        left, right = min(left, column), max(right, column)
    return left, right
