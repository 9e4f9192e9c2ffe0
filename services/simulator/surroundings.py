"""What stands around a track: walls, or the houses of a skyline."""

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.world_spec import WorldSpec

FACE_COLUMNS = 6
"""A face is an upright rectangle: x and y of both ends, its height in metres, its grey."""

HOUSE_WIDTH_M = 1.2
LEAST_SHADE = 0.45  # of a face that the light does not reach
LOWEST_HOUSE = 0.25  # of the tallest

Bounds = tuple[float, float, float, float]


def build_faces(bounds_m: Bounds, spec: WorldSpec, seed: int, tone: int) -> NDArray[np.float64]:
    """The faces around a track, seen from inside; `tone` is their colour in this channel."""
    if spec.surroundings == "none":
        return np.zeros((0, FACE_COLUMNS))
    sides = _fence(bounds_m, spec.wall_distance_m)
    if spec.surroundings == "walls":
        return _with_tones(sides, np.full(len(sides), spec.wall_height_m), spec, tone)
    houses = np.vstack([_divide(side) for side in sides])
    shares = np.random.default_rng(seed).uniform(LOWEST_HOUSE, 1.0, (2, len(houses)))
    faces = _with_tones(houses, shares[0] * spec.wall_height_m, spec, tone)
    faces[:, 5] = np.rint(faces[:, 5] * shares[1])
    return faces


def _fence(bounds_m: Bounds, distance_m: float) -> NDArray[np.float64]:
    """(4, 4) sides of a rectangle around the bounds, anticlockwise."""
    x_min, y_min = bounds_m[0] - distance_m, bounds_m[1] - distance_m
    x_max, y_max = bounds_m[2] + distance_m, bounds_m[3] + distance_m
    corners = np.array([(x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max)])
    return np.hstack((corners, np.roll(corners, -1, axis=0)))


def _divide(side: NDArray[np.float64]) -> NDArray[np.float64]:
    """One side as a row of houses (n, 4)."""
    count = max(1, round(float(np.hypot(*(side[2:] - side[:2]))) / HOUSE_WIDTH_M))
    points = np.linspace(side[:2], side[2:], count + 1)
    return np.hstack((points[:-1], points[1:]))


def _with_tones(
    ends: NDArray[np.float64], heights_m: NDArray[np.float64], spec: WorldSpec, tone: int
) -> NDArray[np.float64]:
    """Faces whose tone depends on how the light falls on them."""
    along = ends[:, 2:] - ends[:, :2]
    inwards = np.column_stack((-along[:, 1], along[:, 0])) / np.hypot(*along.T)[:, None]
    direction = spec.light.direction_rad
    facing = inwards @ np.array((np.cos(direction), np.sin(direction)))
    shades = LEAST_SHADE + (1 - LEAST_SHADE) * np.maximum(facing, 0)
    return np.column_stack((ends, heights_m, np.rint(tone * shades)))
