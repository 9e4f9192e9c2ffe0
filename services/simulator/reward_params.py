"""
The `params` of a reward function: plain Python values with DeepRacer's keys (reference 1.1).

Angles are degrees here and only here. Some never change while a car drives one way round one
track; the others are measured at every step.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.common.tracks import Track
from services.simulator.bodies import Bodies
from services.simulator.camera import AHEAD_M, HEIGHT_M, HORIZONTAL_FOV_RAD, PITCH_DOWN_RAD
from services.simulator.rules import CRASHED
from services.simulator.traffic import Traffic
from services.simulator.vehicle import CONTROL_HZ, Cars

Params = dict[str, Any]
Columns = dict[str, NDArray[Any]]
"""The params of all cars, one array for each key: (cars,), (cars, n) or (cars, n, 2)."""

POINT_LISTS = ("waypoints", "objects_location")
WHEELS = 4
NEAR_M, FAR_M = 0.02, 300.0  # of the camera's view
ASPECT = 0.75  # of its picture, height by width


def fixed_params(track: Track, clockwise: bool) -> Params:
    """
    What stays the same: `track` as it is driven, its waypoints, and that nothing else is on it.

    `is_reversed` says that the track is driven clockwise, not that the car drives the wrong way.
    """
    return {
        "waypoints": [(float(x_m), float(y_m)) for x_m, y_m in track.waypoints],
        "track_length": track.length_m,
        "is_reversed": clockwise,
        "closest_objects": [0, 0],
        "objects_location": [],
        "objects_left_of_center": [],
        "object_in_camera": False,
        "objects_speed": [],
        "objects_heading": [],
        "objects_distance_from_center": [],
        "objects_distance": [],
    }


def measured_columns(
    cars: Cars, steering_rad: NDArray[np.float64], speed_mps: NDArray[np.float64]
) -> Columns:
    """What each car's last step led to; steering (radians) and speed are the commanded ones."""
    offset_m, segment, wheels_on = cars["offset_m"], cars["segment"], cars["wheels_on"]
    return {
        "all_wheels_on_track": wheels_on == WHEELS,
        "x": cars["front_x_m"],
        "y": cars["front_y_m"],
        "heading": np.degrees(cars["heading_rad"]),
        "distance_from_center": np.abs(offset_m),
        "projection_distance": cars["distance_m"],
        "progress": cars["progress_pct"],
        "steps": cars["steps"].astype(np.float64),
        "speed": speed_mps,
        "steering_angle": np.degrees(steering_rad),
        "track_width": cars["width_m"],
        "closest_waypoints": np.stack((segment, segment + 1), axis=1),
        "is_left_of_center": offset_m > 0,
        "is_crashed": cars["breach"] == CRASHED,
        "is_offtrack": wheels_on == 0,
        "sim_time": cars["steps"] / CONTROL_HZ,
    }


def object_columns(
    cars: Cars, traffic: Traffic, others: NDArray[np.int64], lap_m: float
) -> Columns:
    """
    What each car's function is told of the objects on its road.

    `others` (cars, objects) are the bodies around each car, as places in the flat arrays of bodies.
    Headings are degrees, as DeepRacer documents them; its simulator gave radians.
    """
    bodies, places = traffic.bodies.reshape(-1), traffic.places.reshape(-1)
    distance_m, offset_m = places["distance_m"][others], places["offset_m"][others]
    nearest = _closest_objects(cars["distance_m"], distance_m, lap_m)
    following = np.take_along_axis(others, nearest[:, 1:], axis=1)[:, 0]
    heading_rad = bodies["heading_rad"][others]
    heading_rad -= 2 * np.pi * np.floor((heading_rad + np.pi) / (2 * np.pi))
    return {
        "closest_objects": nearest,
        "objects_location": np.stack((bodies["x_m"][others], bodies["y_m"][others]), axis=2),
        "objects_left_of_center": offset_m > 0,
        "object_in_camera": see_bodies(cars, bodies[following]),
        "objects_speed": bodies["speed_mps"][others],
        "objects_heading": np.degrees(heading_rad),
        "objects_distance_from_center": np.abs(offset_m),
        "objects_distance": distance_m,
    }


def as_params(columns: Columns) -> list[Params]:
    """One dictionary of plain values for each car: nothing in it belongs to anybody else."""
    keys = tuple(columns)
    # Column by column: an array becomes a list far faster than its elements one by one.
    values = [_plain(key, column) for key, column in columns.items()]
    return [dict(zip(keys, row, strict=True)) for row in zip(*values, strict=True)]


def _plain(key: str, column: NDArray[Any]) -> list[Any]:
    """A column as lists, points as tuples."""
    values: list[Any] = column.tolist()
    return [list(map(tuple, points)) for points in values] if key in POINT_LISTS else values


def _closest_objects(
    car_m: NDArray[np.float64], objects_m: NDArray[np.float64], lap_m: float
) -> NDArray[np.int64]:
    """(cars, 2) the objects behind and ahead of each car, going by distances along the lap."""
    ahead_m = (objects_m - car_m[:, None]) % lap_m
    return np.stack((ahead_m.argmax(axis=1), ahead_m.argmin(axis=1)), axis=1)


def see_bodies(cars: Cars, bodies: Bodies) -> NDArray[np.bool_]:
    """Whether the middle of one body for each car (cars,) lies in its camera's field of view."""
    cosine, sine = np.cos(cars["heading_rad"]), np.sin(cars["heading_rad"])
    gap_x, gap_y = bodies["x_m"] - cars["x_m"], bodies["y_m"] - cars["y_m"]
    ahead_m = gap_x * cosine + gap_y * sine - AHEAD_M
    left_m, up_m = gap_y * cosine - gap_x * sine, bodies["height_m"] / 2 - HEIGHT_M
    depth_m = ahead_m * math.cos(PITCH_DOWN_RAD) - up_m * math.sin(PITCH_DOWN_RAD)
    rise_m = ahead_m * math.sin(PITCH_DOWN_RAD) + up_m * math.cos(PITCH_DOWN_RAD)
    half_width = math.tan(HORIZONTAL_FOV_RAD / 2)
    inside = (np.abs(left_m) <= half_width * depth_m) & (depth_m >= NEAR_M) & (depth_m <= FAR_M)
    seen: NDArray[np.bool_] = inside & (np.abs(rise_m) <= half_width * ASPECT * depth_m)
    return seen
