"""
The car: its state, its measures and how it answers commands.

A bicycle model with two first-order lags, fitted to the logs of DeepRacer's own simulator, which
come in two generations: effort controllers (model metadata version 1-4) and kinematic velocity
controllers (version 5 and later). The first answers so late that oscillation is what has to be
learned away. No tyre slip, no dead time.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

CONTROL_HZ = 15.0
SUBSTEPS = 8  # of one control period: 8.3 ms, far below both lags

# Of the simulator's robot description, relative to the model's origin.
FRONT_AXLE_M = 0.082311
REAR_AXLE_M = -0.081663
FRONT_HALF_TRACK_M = 0.0796
REAR_HALF_TRACK_M = 0.08105
REFERENCE_POINT_M = 0.14  # ahead of the origin: what logs and reward functions call x, y
MAX_STEERING_RAD = 1.0  # the hinges' stop

CAR = np.dtype(
    [
        # the model's origin
        ("x_m", np.float64),
        ("y_m", np.float64),
        ("heading_rad", np.float64),  # -pi..pi, + = anticlockwise
        ("speed_mps", np.float64),
        ("curvature_1pm", np.float64),  # of the path, + = left
        ("moved_m", np.float64),  # in the last step
        # the reference point and where it lies along the course
        ("front_x_m", np.float64),
        ("front_y_m", np.float64),
        ("course", np.int64),  # row of the driven course: 0 as the track runs, 1 reversed
        ("segment", np.int64),
        ("distance_m", np.float64),
        ("offset_m", np.float64),  # from the centre line, + = left
        ("width_m", np.float64),  # of the road here
        ("nearest", np.int64),  # waypoint
        ("wheels_on", np.int64),
        ("travelled_m", np.float64),  # along the centre line since the start
        ("gained_m", np.float64),  # of it in the last step
        ("progress_pct", np.float64),  # share of the lap, 0..100
        # the episode so far
        ("episode", np.int64),  # the car's own count, from 0
        ("episode_reward", np.float64),
        ("steps", np.int64),
        ("still_steps", np.int64),
        ("backward_steps", np.int64),
        ("laps", np.int64),  # completed
        ("lap_ended", np.bool_),  # with the last step
        ("hit", np.int64),  # body that the car has run into, -1 for none
        ("breach", np.int64),  # rule that the last step broke
        ("status", np.int64),  # how the episode ended
        ("resets", np.int64),
        ("pause_steps", np.int64),  # still to be waited
        ("paused_steps", np.int64),
        ("crash_count", np.int64),
        ("off_track_count", np.int64),
        ("immobilized_count", np.int64),
        ("reversed_count", np.int64),
    ],
    align=True,
)
"""One car; a batch is a one-dimensional array of these."""

Cars = NDArray[np.void]


class Dynamics(NamedTuple):
    """Lags and gains between a command and what the car does."""

    steering_lag_s: float
    curvature_gain_1pm: float  # path curvature for each unit of tan(steering)
    speed_lag_s: float
    speed_gain: float


EFFORT_CONTROLLERS = Dynamics(0.47, 4.6, 0.19, 0.98)
KINEMATIC_CONTROLLERS = Dynamics(0.18, 4.0, 0.116, 1.02)


def dynamics_for(version: str) -> Dynamics:
    """The dynamics that a `version` of `model_metadata.json` stands for."""
    return KINEMATIC_CONTROLLERS if float(version) >= 5 else EFFORT_CONTROLLERS


@numba.njit(cache=True, nogil=True)
def drive_cars(
    cars: Cars, steering_rad: NDArray[np.float64], speed_mps: NDArray[np.float64], model: Dynamics
) -> None:
    """Drive every car for one control period with its own command, each (cars,)."""
    for index in range(len(cars)):
        drive_car(cars[index], steering_rad[index], speed_mps[index], model, 1.0 / CONTROL_HZ)


@numba.njit(cache=True, nogil=True)
def drive_car(
    car: np.void, steering_rad: float, speed_mps: float, model: Dynamics, duration_s: float
) -> None:
    """
    Drive one car for `duration_s`.

    Each lag is solved exactly for a command that holds; the pose moves along the chord of each
    sub-step's arc, whose direction is the heading half-way through its turn.
    """
    steering_rad = min(max(steering_rad, -MAX_STEERING_RAD), MAX_STEERING_RAD)
    wanted_curvature = model.curvature_gain_1pm * math.tan(steering_rad)
    wanted_speed = model.speed_gain * speed_mps
    step_s = duration_s / SUBSTEPS
    curvature_share = 1.0 - math.exp(-step_s / model.steering_lag_s)
    speed_share = 1.0 - math.exp(-step_s / model.speed_lag_s)
    x_m, y_m, heading = car["x_m"], car["y_m"], car["heading_rad"]
    speed, curvature = car["speed_mps"], car["curvature_1pm"]
    for _ in range(SUBSTEPS):
        curvature += (wanted_curvature - curvature) * curvature_share
        speed += (wanted_speed - speed) * speed_share
        turn = curvature * speed * step_s
        x_m += speed * step_s * math.cos(heading + turn / 2)
        y_m += speed * step_s * math.sin(heading + turn / 2)
        heading += turn
    car["moved_m"] = math.hypot(x_m - car["x_m"], y_m - car["y_m"])
    car["x_m"], car["y_m"] = x_m, y_m
    car["heading_rad"] = wrap_angle(heading)
    car["speed_mps"], car["curvature_1pm"] = speed, curvature


@numba.njit(cache=True, nogil=True)
def wrap_angle(angle_rad: float) -> float:
    """The same direction between -pi and pi."""
    return angle_rad - 2 * math.pi * math.floor((angle_rad + math.pi) / (2 * math.pi))
