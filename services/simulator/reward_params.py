"""
The `params` of a reward function in a time trial: plain Python values with DeepRacer's keys.

Angles are degrees here and only here. Some never change while a car drives one way round one
track; the others are measured at every step.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
            strict=True,
        )
    ]
