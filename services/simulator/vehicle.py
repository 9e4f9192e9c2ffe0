"""
The car: its state, its measures and how it answers commands.

A bicycle whose tyres hold by friction, driven through delays and lags that were fitted to the logs
of DeepRacer's own simulator (`make calibrate`, docs/dynamics.md). There are two generations of it:
effort controllers (model metadata version 1-4) and kinematic velocity controllers (version 5 and
later). The first answers so late that oscillation is what has to be learned away.
"""

import math

import numpy as np
from numpy.typing import NDArray

from libs.common.errors import InvalidInput
from services.simulator.kernels import kernel

CONTROL_HZ = 15.0
SUBSTEPS = 4  # of one control period, 16.7 ms; the friction is solved implicitly and stays stable
HISTORY = 4  # commands that a car remembers, for the delays
MAX_DELAY_S = (HISTORY - 1) / CONTROL_HZ
GRAVITY_MPS2 = 9.81

# Of the simulator's robot description, relative to the model's origin.
FRONT_AXLE_M = 0.082311
REAR_AXLE_M = -0.081663
FRONT_HALF_TRACK_M = 0.0796
REAR_HALF_TRACK_M = 0.08105
REFERENCE_POINT_M = 0.14  # ahead of the origin: what logs and reward functions call x, y
MAX_STEERING_RAD = 1.0  # the hinges' stop
GYRATION_M2 = 0.0122  # yaw inertia over mass: a box of 5 kg, 0.32 x 0.20 m, four wheels of 0.34 kg

CAR = np.dtype(
    [
        # the model's origin
        ("x_m", np.float64),
        ("y_m", np.float64),
        ("heading_rad", np.float64),  # -pi..pi, + = anticlockwise
        ("speed_mps", np.float64),  # along the heading
        ("lateral_mps", np.float64),  # across it, + = left
        ("yaw_rate_radps", np.float64),
        ("moved_m", np.float64),  # in the last step
        # what the commands have led to so far
        ("steering_rad", np.float64),  # behind both lags
        ("steering_lead_rad", np.float64),  # behind the first one
        ("drive_mps", np.float64),
        ("commanded_steering_rad", np.float64, (HISTORY,)),  # the newest first
        ("commanded_mps", np.float64, (HISTORY,)),
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
        ("lap_ended", np.int64),  # 1 where one did with the last step
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
    ]
)
"""One car; a batch is a one-dimensional array of these."""

Cars = NDArray[np.void]

DYNAMICS = np.dtype(
    [
        ("steering_delay_s", np.float64),
        ("steering_lead_lag_s", np.float64),  # the first of two lags
        ("steering_lag_s", np.float64),  # the second
        ("steering_lead", np.float64),  # share of the wheels' angle that skips the second lag
        ("steering_gain", np.float64),  # angle at the wheels for one commanded
        ("steering_bias_rad", np.float64),  # + = left
        ("drive_delay_s", np.float64),
        ("motor_lag_s", np.float64),  # of the wheels' speed
        ("drive_lag_s", np.float64),  # of the car's speed behind it
        ("speed_gain", np.float64),
        ("max_acceleration_mps2", np.float64),
        ("max_braking_mps2", np.float64),
        ("cornering_drag", np.float64),  # speed lost for each m/s that the front wheels turn aside
        ("front_friction", np.float64),
        ("rear_friction", np.float64),
        ("front_creep_s", np.float64),  # slip speed for each m/s2 that the axle has to give
        ("rear_creep_s", np.float64),
    ]
)
"""How one car answers; a batch has a row of these for every car."""


def _dynamics(**values: float) -> np.void:
    rows = np.zeros(1, DYNAMICS)
    for name, value in values.items():
        rows[name] = value
    row: np.void = rows[0]
    return row


EFFORT_CONTROLLERS = _dynamics(
    steering_delay_s=0.0038,
    steering_lead_lag_s=0.0991,
    steering_lag_s=0.4809,
    steering_lead=0.2587,
    steering_gain=0.7252,
    steering_bias_rad=0.0121,
    drive_delay_s=0.0089,
    motor_lag_s=0.0013,
    drive_lag_s=0.1714,
    speed_gain=1.032,
    max_acceleration_mps2=3.187,
    max_braking_mps2=37.0,
    cornering_drag=2.343,
    front_friction=0.5,
    rear_friction=0.4,
    front_creep_s=0.024,
    rear_creep_s=0.0039,
)
"""Version 1-4, as the logs of 2022 have it."""

KINEMATIC_CONTROLLERS = _dynamics(
    steering_delay_s=0.0378,
    steering_lead_lag_s=0.0019,
    steering_lag_s=0.1558,
    steering_lead=0.0,
    steering_gain=0.642,
    steering_bias_rad=0.0,
    drive_delay_s=0.0132,
    motor_lag_s=0.0014,
    drive_lag_s=0.0295,
    speed_gain=1.0066,
    max_acceleration_mps2=12.51,
    max_braking_mps2=9.12,
    cornering_drag=3.0,
    front_friction=0.7,
    rear_friction=0.6,
    front_creep_s=0.0001,
    rear_creep_s=0.0001,
)
"""Version 5 and later, as the logs of 2026 have it."""


def dynamics_for(version: str) -> np.void:
    """The row of `DYNAMICS` that a `version` of `model_metadata.json` stands for."""
    return (KINEMATIC_CONTROLLERS if float(version) >= 5 else EFFORT_CONTROLLERS).copy()


def vary_dynamics(
    row: np.void,
    *,
    friction: float = 1.0,
    mass: float = 1.0,
    lag: float = 1.0,
    action_delay_s: float = 0.0,
) -> np.void:
    """
    A car like `row` but for these factors; 1.0 and 0.0 s change nothing.

    A heavier car gains and loses speed more slowly and its tyres creep more; its friction limits
    the same acceleration. The delay need not be whole steps: a command then acts within a step.

    Raises:
        InvalidInput: a factor that is not above 0, or a delay below 0 or beyond what a car
            remembers.
    """
    _refuse_what_cannot_drive(row, friction, mass, lag, action_delay_s)
    varied = row.copy()
    for name in ("front_friction", "rear_friction"):
        varied[name] *= friction
    for name in ("max_acceleration_mps2", "max_braking_mps2"):
        varied[name] /= mass
    for name in ("drive_lag_s", "front_creep_s", "rear_creep_s"):
        varied[name] *= mass
    for name in ("steering_lead_lag_s", "steering_lag_s", "motor_lag_s", "drive_lag_s"):
        varied[name] *= lag
    for name in ("steering_delay_s", "drive_delay_s"):
        varied[name] += action_delay_s
    return varied


def _refuse_what_cannot_drive(
    row: np.void, friction: float, mass: float, lag: float, action_delay_s: float
) -> None:
    factors = {"friction": friction, "mass": mass, "lag": lag}
    problems = [
        f"{name} factor {value!r}; accepted is a finite number above 0"
        for name, value in factors.items()
        if not 0 < value < math.inf
    ]
    most_s = MAX_DELAY_S - max(row["steering_delay_s"], row["drive_delay_s"])
    if not 0 <= action_delay_s <= most_s:
        problems.append(f"action_delay_s {action_delay_s!r}; accepted is 0 to {most_s:.3f} s")
    if problems:
        raise InvalidInput(problems)


@kernel
def drive_cars(
    cars: Cars,
    steering_rad: NDArray[np.float64],
    speed_mps: NDArray[np.float64],
    dynamics: NDArray[np.void],
) -> None:
    """
    Drive every car for one control period with its own command and dynamics, each (cars,).

    What a car does depends on its own row alone: any split over calls and threads is the same.
    """
    for index in range(len(cars)):
        drive_car(
            cars[index], steering_rad[index], speed_mps[index], dynamics[index], 1.0 / CONTROL_HZ
        )


@kernel
def drive_car(
    car: np.void, steering_rad: float, speed_mps: float, dynamics: np.void, duration_s: float
) -> None:
    """Drive one car for `duration_s` with a command that is given at its beginning."""
    angle = min(max(steering_rad, -MAX_STEERING_RAD), MAX_STEERING_RAD)
    _remember(car["commanded_steering_rad"], angle)
    _remember(car["commanded_mps"], speed_mps)
    step_s = duration_s / SUBSTEPS
    lead_share = share_reached(step_s, dynamics["steering_lead_lag_s"])
    steering_share = share_reached(step_s, dynamics["steering_lag_s"])
    motor_share = share_reached(step_s, dynamics["motor_lag_s"])
    drive_share = share_reached(step_s, dynamics["drive_lag_s"])
    x_m, y_m = car["x_m"], car["y_m"]
    for substep in range(SUBSTEPS):
        angle = _delayed(
            car["commanded_steering_rad"],
            substep * step_s - dynamics["steering_delay_s"],
            step_s,
            duration_s,
        )
        car["steering_lead_rad"] += lead_share * (angle - car["steering_lead_rad"])
        car["steering_rad"] += steering_share * (car["steering_lead_rad"] - car["steering_rad"])
        speed = _delayed(
            car["commanded_mps"],
            substep * step_s - dynamics["drive_delay_s"],
            step_s,
            duration_s,
        )
        wanted = dynamics["speed_gain"] * speed
        car["drive_mps"] += motor_share * (wanted - car["drive_mps"])
        free = _hold_the_road(car, dynamics, step_s)
        _accelerate(car, dynamics, drive_share, free * step_s)
        _move(car, step_s)
    car["moved_m"] = math.hypot(car["x_m"] - x_m, car["y_m"] - y_m)
    car["heading_rad"] = wrap_angle(car["heading_rad"])


@kernel
def share_reached(step_s: float, lag_s: float) -> float:
    """How much of a held command a first-order lag reaches in a step, 0..1."""
    return 1.0 - math.exp(-step_s / lag_s) if lag_s > 0.0 else 1.0


@kernel
def _remember(commands: NDArray[np.float64], newest: float) -> None:
    for index in range(HISTORY - 1, 0, -1):
        commands[index] = commands[index - 1]
    commands[0] = newest


@kernel
def _delayed(commands: NDArray[np.float64], begin_s: float, step_s: float, hold_s: float) -> float:
    """Mean command of a sub-step that begins at `begin_s`; the newest was given at 0."""
    if begin_s >= 0.0:
        return float(commands[0])
    mean = 0.0
    for index in range(HISTORY):
        first_s = max(begin_s, -index * hold_s)
        last_s = min(begin_s + step_s, (1 - index) * hold_s)
        if last_s > first_s:
            mean += (last_s - first_s) / step_s * commands[index]
    return mean


@kernel
def _accelerate(car: np.void, dynamics: np.void, drive_share: float, grip_s: float) -> None:
    """Bring the car's speed towards that of its wheels; a limit holds for as long as they grip."""
    gained_mps = drive_share * (car["drive_mps"] - car["speed_mps"])
    gained_mps = min(gained_mps, dynamics["max_acceleration_mps2"] * grip_s)
    car["speed_mps"] += max(gained_mps, -dynamics["max_braking_mps2"] * grip_s)


@kernel
def _hold_the_road(car: np.void, dynamics: np.void, step_s: float) -> float:
    """
    Let the tyres' side forces act for one sub-step; the share of grip that they leave, 0..1.

    As in Gazebo's physics (ODE) a force is whatever stops the axle's slip across its wheels, up to
    the Coulomb limit: beyond it the axle slides. Both axles' forces are solved for together,
    implicitly; creep lets some slip pass for each force. Forces are per unit of mass. What is left
    for driving and braking is the rest of each tyre's circle of friction: a car that slides
    neither pulls itself out of it nor stops.
    """
    lead = dynamics["steering_lead"]
    angle = car["steering_rad"] + lead * (car["steering_lead_rad"] - car["steering_rad"])
    angle = dynamics["steering_gain"] * angle + dynamics["steering_bias_rad"]
    cosine, sine = math.cos(angle), math.sin(angle)
    lateral, yaw_rate = car["lateral_mps"], car["yaw_rate_radps"]
    front_slip = (lateral + FRONT_AXLE_M * yaw_rate) * cosine - car["speed_mps"] * sine
    rear_slip = lateral + REAR_AXLE_M * yaw_rate
    # Slip that each axle's push takes away, its own and the other's.
    front_own = (1.0 + FRONT_AXLE_M**2 / GYRATION_M2) * cosine * cosine
    front_own += dynamics["front_creep_s"] / step_s
    rear_own = 1.0 + REAR_AXLE_M**2 / GYRATION_M2 + dynamics["rear_creep_s"] / step_s
    other = (1.0 + FRONT_AXLE_M * REAR_AXLE_M / GYRATION_M2) * cosine
    front_limit = dynamics["front_friction"] * GRAVITY_MPS2 / 2 * step_s
    rear_limit = dynamics["rear_friction"] * GRAVITY_MPS2 / 2 * step_s
    rear = (front_slip * other - rear_slip * front_own) / (front_own * rear_own - other * other)
    rear = min(max(rear, -rear_limit), rear_limit)
    front = -(front_slip + other * rear) / front_own
    if abs(front) > front_limit:
        front = math.copysign(front_limit, front)
        rear = min(max(-(rear_slip + other * front) / rear_own, -rear_limit), rear_limit)
    car["lateral_mps"] += front * cosine + rear
    car["yaw_rate_radps"] += (FRONT_AXLE_M * front * cosine + REAR_AXLE_M * rear) / GYRATION_M2
    used, used_behind = front / front_limit, rear / rear_limit
    free = (math.sqrt(1.0 - used * used) + math.sqrt(1.0 - used_behind * used_behind)) / 2
    # Sliding wheels don't scrub: what stays is the front force's own backward part.
    car["speed_mps"] -= (1.0 + (dynamics["cornering_drag"] - 1.0) * free) * front * sine
    return free


@kernel
def _move(car: np.void, step_s: float) -> None:
    """Move along the chord of a sub-step's arc; the velocity stays what it was in space."""
    turn = car["yaw_rate_radps"] * step_s
    middle = car["heading_rad"] + turn / 2
    cosine, sine = math.cos(middle), math.sin(middle)
    speed, lateral = car["speed_mps"], car["lateral_mps"]
    car["x_m"] += step_s * (speed * cosine - lateral * sine)
    car["y_m"] += step_s * (speed * sine + lateral * cosine)
    car["heading_rad"] += turn
    car["speed_mps"] = speed + turn * lateral
    car["lateral_mps"] = lateral - turn * speed


@kernel
def wrap_angle(angle_rad: float) -> float:
    """The same direction between -pi and pi."""
    return angle_rad - 2 * math.pi * math.floor((angle_rad + math.pi) / (2 * math.pi))
