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


def measured_params(
    cars: Cars, steering_rad: NDArray[np.float64], speed_mps: NDArray[np.float64]
) -> list[Params]:
    """What each car's last step led to; steering (radians) and speed are the commanded ones."""
    return [
        {
            "all_wheels_on_track": wheels_on == WHEELS,
            "x": x_m,
            "y": y_m,
            "heading": heading_deg,
            "distance_from_center": abs(offset_m),
            "projection_distance": distance_m,
            "progress": progress_pct,
            "steps": float(steps),
            "speed": speed,
            "steering_angle": steering_deg,
            "track_width": width_m,
            "closest_waypoints": [segment, segment + 1],
            "is_left_of_center": offset_m > 0,
            "is_crashed": breach == CRASHED,
            "is_offtrack": wheels_on == 0,
            "sim_time": steps / CONTROL_HZ,
        }
        # Column by column: an array becomes a list far faster than its elements one by one.
        for (
            wheels_on,
            x_m,
            y_m,
            heading_deg,
            offset_m,
            distance_m,
            progress_pct,
            steps,
            speed,
            steering_deg,
            width_m,
            segment,
            breach,
        ) in zip(
            cars["wheels_on"].tolist(),
            cars["front_x_m"].tolist(),
            cars["front_y_m"].tolist(),
            np.degrees(cars["heading_rad"]).tolist(),
            cars["offset_m"].tolist(),
            cars["distance_m"].tolist(),
            cars["progress_pct"].tolist(),
            cars["steps"].tolist(),
            speed_mps.tolist(),
            np.degrees(steering_rad).tolist(),
            cars["width_m"].tolist(),
            cars["segment"].tolist(),
            cars["breach"].tolist(),
            strict=True,
        )
    ]


def object_params(
    cars: Cars, traffic: Traffic, others: NDArray[np.int64], lap_m: float
) -> list[Params]:
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
    return [
        {
            "closest_objects": closest,
            "objects_location": list(zip(x_m, y_m, strict=True)),
            "objects_left_of_center": left,
            "object_in_camera": in_camera,
            "objects_speed": speed_mps,
            "objects_heading": heading_deg,
            "objects_distance_from_center": from_center_m,
            "objects_distance": along_m,
        }
        for (
            closest,
            x_m,
            y_m,
            left,
            in_camera,
            speed_mps,
            heading_deg,
            from_center_m,
            along_m,
        ) in zip(
            nearest.tolist(),
            bodies["x_m"][others].tolist(),
            bodies["y_m"][others].tolist(),
            (offset_m > 0).tolist(),
            see_bodies(cars, bodies[following]).tolist(),
            bodies["speed_mps"][others].tolist(),
            np.degrees(heading_rad).tolist(),
            np.abs(offset_m).tolist(),
            distance_m.tolist(),
            strict=True,
        )
    ]


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
