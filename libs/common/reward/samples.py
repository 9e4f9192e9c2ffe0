"""
Params of one plausible lap, to try a reward function on before anything is trained.

Every key of the reference (1.1) is there with its type and unit, and `action` as in 2019.
"""

import math
from typing import Any

RADIUS_M = 2.8  # a round course of 17.6 m, about the size of the re:Invent 2018 track
WIDTH_M = 0.76
SPEED_MPS = 1.5
STEPS_PER_S = 15
POINTS = 118
ACTIONS = 5
SWAY_M = 0.6  # to both sides: the car leaves the road at times
LENGTH_M = 2 * math.pi * RADIUS_M


def sample_constants() -> dict[str, Any]:
    """The params that do not change from step to step: a circle, anticlockwise."""
    waypoints = [_point(2 * math.pi * index / POINTS, 0.0) for index in range(POINTS + 1)]
    return {
        "waypoints": waypoints,
        "track_length": LENGTH_M,
        "is_reversed": False,
        "closest_objects": [0, 0],
        "objects_location": [],
        "objects_left_of_center": [],
        "object_in_camera": False,
        "objects_speed": [],
        "objects_heading": [],
        "objects_distance_from_center": [],
        "objects_distance": [],
    }


def sample_lap() -> list[dict[str, Any]]:
    """The other params of every step of a lap; the last step completes it."""
    steps = math.ceil(LENGTH_M / SPEED_MPS * STEPS_PER_S)
    return [_sample_step(step, steps) for step in range(1, steps + 1)]


def _sample_step(step: int, steps: int) -> dict[str, Any]:
    share = step / steps
    angle = 2 * math.pi * share
    offset_m = SWAY_M * math.sin(7 * angle)  # + = left of the centre line
    x, y = _point(angle, offset_m)
    waypoint = min(int(share * POINTS), POINTS - 1)
    action = step % ACTIONS
    return {
        "all_wheels_on_track": abs(offset_m) < WIDTH_M / 2 - 0.1,
        "x": x,
        "y": y,
        "heading": math.degrees(math.remainder(angle + math.pi / 2, 2 * math.pi)),
        "distance_from_center": abs(offset_m),
        "projection_distance": share * LENGTH_M,
        "progress": 100 * share,
        "steps": float(step),
        "speed": SPEED_MPS,
        "steering_angle": 15.0 * (action - ACTIONS // 2),
        "track_width": WIDTH_M,
        "closest_waypoints": [waypoint, waypoint + 1],
        "is_left_of_center": offset_m > 0,
        "is_crashed": False,
        "is_offtrack": abs(offset_m) > WIDTH_M / 2 + 0.1,
        "sim_time": step / STEPS_PER_S,
        "action": action,
    }


def _point(angle_rad: float, offset_m: float) -> tuple[float, float]:
    """A point of the circle, `offset_m` to the left of it (inside, as it runs anticlockwise)."""
    radius_m = RADIUS_M - offset_m
    return radius_m * math.cos(angle_rad), radius_m * math.sin(angle_rad)
