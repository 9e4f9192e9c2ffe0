"""
What stands upright in a picture: the faces of walls, boxes and other cars.

A face is projected corner by corner and filled row by row: a pixel shows it if the ray through the
pixel's middle meets it. Nearer bodies are drawn over farther ones, and of a body only the faces
that look at the camera.
"""

import math
from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray

from services.simulator.bodies import CAR_BODY, NOTHING, Bodies
from services.simulator.world import World

if TYPE_CHECKING:
    from services.simulator.camera import Camera

NEAREST_M = 0.02  # in front of the lens; what is nearer is not drawn

# A car is a hull and a cabin upon it, as shares of its body's measures.
HULL_HEIGHT = 0.55
CABIN_LENGTH = 0.55
CABIN_WIDTH = 0.75
CABIN_SHADE = 0.5

# How bright faces are: turned away from the light, and facing it.
LEAST_SHADE = 0.5
TOP_SHADE = 1.0


@numba.njit(cache=True, nogil=True)
def draw_faces(car: np.void, world: World, camera: "Camera", image: NDArray[np.uint8]) -> None:
    """The world's surroundings, into `image` (height, width)."""
    eye = look_from(car, camera)
    corners = np.empty((4, 3))
    outline = np.empty((5, 2))
    for index in range(len(world.faces)):
        face = world.faces[index]
        _set_upright(corners, face[0], face[1], face[2], face[3], 0.0, face[4])
        _fill(image, camera, eye, corners, outline, int(face[5]))


@numba.njit(cache=True, nogil=True)
def draw_bodies(
    car: np.void,
    world: World,
    camera: "Camera",
    image: NDArray[np.uint8],
    bodies: Bodies,
    own: int,
) -> None:
    """The bodies (k,) of a car's arena but its `own`, the farthest first."""
    eye = look_from(car, camera)
    distances = np.full(len(bodies), -1.0)
    for index in range(len(bodies)):
        if bodies[index]["kind"] != NOTHING and index != own:
            distances[index] = _distance(bodies[index], eye[0], eye[1])
    for _ in range(len(bodies)):
        index = int(np.argmax(distances))
        if distances[index] < 0:
            break
        distances[index] = -1.0
        draw_body(bodies[index], world, camera, image, eye)


@numba.njit(cache=True, nogil=True)
def look_from(car: np.void, camera: "Camera") -> tuple[float, float, float, float]:
    """Where the camera is, x and y, and cosine and sine of the way it looks."""
    cosine, sine = math.cos(car["heading_rad"]), math.sin(car["heading_rad"])
    x_m = car["x_m"] + cosine * camera.ahead_m - sine * camera.left_m
    y_m = car["y_m"] + sine * camera.ahead_m + cosine * camera.left_m
    heading = car["heading_rad"] + camera.yaw_rad
    return x_m, y_m, math.cos(heading), math.sin(heading)


@numba.njit(cache=True, nogil=True)
def _distance(body: np.void, x_m: float, y_m: float) -> float:
    """From a point to the nearest one of a body's rectangle."""
    cosine, sine = math.cos(body["heading_rad"]), math.sin(body["heading_rad"])
    right, up = x_m - body["x_m"], y_m - body["y_m"]
    along = abs(cosine * right + sine * up) - body["length_m"] / 2
    across = abs(cosine * up - sine * right) - body["width_m"] / 2
    return math.hypot(max(along, 0.0), max(across, 0.0))


@numba.njit(cache=True, nogil=True)
def draw_body(
    body: np.void,
    world: World,
    camera: "Camera",
    image: NDArray[np.uint8],
    eye: tuple[float, float, float, float],
) -> None:
    """One body: a box, or the two blocks of a car, the one that may hide the other last."""
    tone = float(world.paints[body["paint"] % len(world.paints)])
    length, width, height = body["length_m"], body["width_m"], body["height_m"]
    if body["kind"] != CAR_BODY:
        _draw_block(body, length, width, 0.0, height, tone, world, camera, image, eye)
        return
    hull_m = HULL_HEIGHT * height
    for part in range(2):
        if (part == 0) == (camera.height_m > hull_m):
            _draw_block(body, length, width, 0.0, hull_m, tone, world, camera, image, eye)
        else:
            _draw_block(
                body,
                CABIN_LENGTH * length,
                CABIN_WIDTH * width,
                hull_m,
                height,
                tone * CABIN_SHADE,
                world,
                camera,
                image,
                eye,
            )


@numba.njit(cache=True, nogil=True)
def _draw_block(
    body: np.void,
    length_m: float,
    width_m: float,
    low_m: float,
    high_m: float,
    tone: float,
    world: World,
    camera: "Camera",
    image: NDArray[np.uint8],
    eye: tuple[float, float, float, float],
) -> None:
    """The faces of an upright block that look at the camera; none if it is inside."""
    cosine, sine = math.cos(body["heading_rad"]), math.sin(body["heading_rad"])
    ahead_x, ahead_y = cosine * length_m / 2, sine * length_m / 2
    left_x, left_y = -sine * width_m / 2, cosine * width_m / 2
    corners = np.empty((4, 3))
    outline = np.empty((5, 2))
    for side in range(4):
        # The normals of the four sides: ahead, left, behind, right.
        normal_x = (cosine, -sine, -cosine, sine)[side]
        normal_y = (sine, cosine, -sine, -cosine)[side]
        middle_x = body["x_m"] + (ahead_x, left_x, -ahead_x, -left_x)[side]
        middle_y = body["y_m"] + (ahead_y, left_y, -ahead_y, -left_y)[side]
        if (eye[0] - middle_x) * normal_x + (eye[1] - middle_y) * normal_y <= 0:
            continue
        half_x = (left_x, ahead_x, left_x, ahead_x)[side]
        half_y = (left_y, ahead_y, left_y, ahead_y)[side]
        begin_x, begin_y = middle_x - half_x, middle_y - half_y
        end_x, end_y = middle_x + half_x, middle_y + half_y
        _set_upright(corners, begin_x, begin_y, end_x, end_y, low_m, high_m)
        facing = max(normal_x * world.light_x + normal_y * world.light_y, 0.0)
        shade = LEAST_SHADE + (TOP_SHADE - LEAST_SHADE) * 0.8 * facing
        _fill(image, camera, eye, corners, outline, int(tone * shade))
    if camera.height_m > high_m:
        for corner in range(4):
            ahead = (1.0, 1.0, -1.0, -1.0)[corner]
            left = (1.0, -1.0, -1.0, 1.0)[corner]
            corners[corner, 0] = body["x_m"] + ahead * ahead_x + left * left_x
            corners[corner, 1] = body["y_m"] + ahead * ahead_y + left * left_y
            corners[corner, 2] = high_m
        _fill(image, camera, eye, corners, outline, int(tone * TOP_SHADE))


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def _fill(
    image: NDArray[np.uint8],
    camera: "Camera",
    eye: tuple[float, float, float, float],
    corners: NDArray[np.float64],
    outline: NDArray[np.float64],
    tone: int,
) -> None:
    """Fill the picture of a flat four-cornered face (4, 3); `outline` (5, 2) is working space."""
    count = _project(camera, eye, corners, outline)
    if count < 3:
        return
    top, bottom = outline[0, 1], outline[0, 1]
    for corner in range(1, count):
        top, bottom = min(top, outline[corner, 1]), max(bottom, outline[corner, 1])
    first = max(int(math.ceil(top)), 0)
    last = min(int(math.floor(bottom)), camera.height - 1)
    for row in range(first, last + 1):
        left, right = _cut(outline, count, float(row))
        begin = max(int(math.ceil(left)), 0)
        end = min(int(math.floor(right)), camera.width - 1)
        for column in range(begin, end + 1):
            image[row, column] = tone


@numba.njit(cache=True, nogil=True)
def _project(
    camera: "Camera",
    eye: tuple[float, float, float, float],
    corners: NDArray[np.float64],
    outline: NDArray[np.float64],
) -> int:
    """
    The outline of a face in the picture, as columns and rows; the number of its corners.

    Whole numbers are pixels' middles. What is behind the lens is cut off, which may add a corner.
    """
    sine, cosine = math.sin(camera.pitch_rad), math.cos(camera.pitch_rad)
    count = 0
    right, down, depth = _seen_from(camera, eye, sine, cosine, corners[3])
    for corner in range(4):
        old_right, old_down, old_depth = right, down, depth
        right, down, depth = _seen_from(camera, eye, sine, cosine, corners[corner])
        if (depth >= NEAREST_M) != (old_depth >= NEAREST_M):
            share = (NEAREST_M - old_depth) / (depth - old_depth)
            cut_right, cut_down = (
                old_right + share * (right - old_right),
                old_down + share * (down - old_down),
            )
            _put(outline, count, camera, cut_right, cut_down, NEAREST_M)
            count += 1
        if depth >= NEAREST_M:
            _put(outline, count, camera, right, down, depth)
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _put(
    outline: NDArray[np.float64],
    corner: int,
    camera: "Camera",
    right_m: float,
    down_m: float,
    depth_m: float,
) -> None:
    outline[corner, 0] = camera.width / 2 - 0.5 + camera.focal_px * right_m / depth_m
    outline[corner, 1] = camera.height / 2 - 0.5 + camera.focal_px * down_m / depth_m


@numba.njit(cache=True, nogil=True)
def _seen_from(
    camera: "Camera",
    eye: tuple[float, float, float, float],
    sine: float,
    cosine: float,
    point: NDArray[np.float64],
) -> tuple[float, float, float]:
    """A point in the camera's own axes: to its right, down, and along the optical axis."""
    ahead = (point[0] - eye[0]) * eye[2] + (point[1] - eye[1]) * eye[3]
    left = (point[1] - eye[1]) * eye[2] - (point[0] - eye[0]) * eye[3]
    up = point[2] - camera.height_m
    return -left, -ahead * sine - up * cosine, ahead * cosine - up * sine


@numba.njit(cache=True, nogil=True)
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
