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
OBJECTS = 3
LANE_M = WIDTH_M / 4  # from the centre line, to both sides in turn
VIEW_M = 3.0  # an object no further ahead is in the camera's picture, near enough


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


def sample_lap(objects: bool = False) -> list[dict[str, Any]]:
    """The other params of every step of a lap, on request with boxes on the road."""
    steps = math.ceil(LENGTH_M / SPEED_MPS * STEPS_PER_S)
    lap = [_sample_step(step, steps) for step in range(1, steps + 1)]
    if objects:
        for params in lap:
            params |= _sample_objects(params["projection_distance"])
    return lap


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
        "heading": _heading_deg(angle),
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


def _sample_objects(distance_m: float) -> dict[str, Any]:
    """What a car so far along the lap is told of the boxes."""
    places_m = [LENGTH_M * (index + 1) / (OBJECTS + 1) for index in range(OBJECTS)]
    offsets_m = [LANE_M * (-1) ** index for index in range(OBJECTS)]
    angles = [place_m / RADIUS_M for place_m in places_m]
    gaps_m = [(place_m - distance_m) % LENGTH_M for place_m in places_m]
    following = gaps_m.index(min(gaps_m))
    return {
        "closest_objects": [gaps_m.index(max(gaps_m)), following],
        "objects_location": list(map(_point, angles, offsets_m)),
        "objects_left_of_center": [offset_m > 0 for offset_m in offsets_m],
        "object_in_camera": gaps_m[following] < VIEW_M,
        "objects_speed": [0.0] * OBJECTS,
        "objects_heading": [_heading_deg(angle) for angle in angles],
        "objects_distance_from_center": [abs(offset_m) for offset_m in offsets_m],
        "objects_distance": places_m,
    }


def _heading_deg(angle_rad: float) -> float:
    """Along the circle, -180 to 180."""
    return math.degrees(math.remainder(angle_rad + math.pi / 2, 2 * math.pi))


def _point(angle_rad: float, offset_m: float) -> tuple[float, float]:
    """A point of the circle, `offset_m` to the left of it (inside, as it runs anticlockwise)."""
    radius_m = RADIUS_M - offset_m
    return radius_m * math.cos(angle_rad), radius_m * math.sin(angle_rad)
