"""
The `params` of a reward function in a time trial: plain Python values with DeepRacer's keys.

Angles are degrees here and only here. Some never change while a car drives one way round one
track; the others are measured at every step.
"""

import math
from typing import Any

from libs.common.tracks import Track
from services.simulator.vehicle import CONTROL_HZ, Cars

Params = dict[str, Any]

WHEELS = 4


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
        "is_crashed": False,
    }


def measured_params(cars: Cars, steering_rad: list[float], speed_mps: list[float]) -> list[Params]:
    """What each car's last step led to; steering (radians) and speed are the commanded ones."""
    assert cars.dtype.names is not None
    states = (dict(zip(cars.dtype.names, values, strict=True)) for values in cars.tolist())
    return [
        _measure(state, angle, speed)
        for state, angle, speed in zip(states, steering_rad, speed_mps, strict=True)
    ]


def _measure(car: Params, steering_rad: float, speed_mps: float) -> Params:
    return {
        "all_wheels_on_track": car["wheels_on"] == WHEELS,
        "x": car["front_x_m"],
        "y": car["front_y_m"],
        "heading": math.degrees(car["heading_rad"]),
        "distance_from_center": abs(car["offset_m"]),
        "projection_distance": car["distance_m"],
        "progress": car["progress_pct"],
        "steps": float(car["steps"]),
        "speed": speed_mps,
        "steering_angle": math.degrees(steering_rad),
        "track_width": car["width_m"],
        "closest_waypoints": [car["segment"], car["segment"] + 1],
        "is_left_of_center": car["offset_m"] > 0,
        "is_offtrack": car["wheels_on"] == 0,
        "sim_time": car["steps"] / CONTROL_HZ,
    }
