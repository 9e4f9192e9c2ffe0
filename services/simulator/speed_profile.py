"""
How fast a line can be driven: the tyres' limit in bends, and what gaining and losing speed takes.

Quasi-steady: at every place the car is taken to turn steadily at that place's curvature. Speeds
are the fastest under the limits of the line itself, then of what the car can brake down to ahead,
then of what it has come from.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.simulator.vehicle import FRONT_AXLE_M, GRAVITY_MPS2, REAR_AXLE_M

FloatArray = NDArray[np.float64]

WIDEST_RAD = math.radians(30)  # of DeepRacer's action spaces
SLOWEST_MPS = 0.05  # of a car that sets out: it takes no time for ever


class Grip(NamedTuple):
    """What a car can do at most; see `grip_of`."""

    lateral_mps2: float  # in a steady bend, before an axle slides
    front_mps2: float  # lateral acceleration at which either axle alone would slide
    rear_mps2: float
    curvature_1pm: float  # of the path at full steering
    top_mps: float
    gaining_mps2: float  # straight ahead
    losing_mps2: float
    lag_s: float  # of the speed behind the command

    def free(self, lateral_mps2: float) -> float:
        """Share of the grip for driving and braking that a lateral acceleration leaves, 0..1."""
        front, rear = lateral_mps2 / self.front_mps2, lateral_mps2 / self.rear_mps2
        return (math.sqrt(max(0.0, 1 - front**2)) + math.sqrt(max(0.0, 1 - rear**2))) / 2


def grip_of(dynamics: np.void, top_mps: float = 4.0) -> Grip:
    """
    The limits of a car with these `DYNAMICS` that is told at most `top_mps`.

    In a steady bend the axles share the lateral force so that they do not turn the car: nearly
    half each, whichever slides first.
    """
    to_front, to_rear = FRONT_AXLE_M, -REAR_AXLE_M
    share = to_rear / (to_front + to_rear)  # of the front axle
    front_mps2 = float(dynamics["front_friction"]) * GRAVITY_MPS2 / 2 / share
    rear_mps2 = float(dynamics["rear_friction"]) * GRAVITY_MPS2 / 2 / (1 - share)
    wheels_rad = WIDEST_RAD * float(dynamics["steering_gain"])
    return Grip(
        lateral_mps2=min(front_mps2, rear_mps2),
        front_mps2=front_mps2,
        rear_mps2=rear_mps2,
        curvature_1pm=math.tan(wheels_rad) / (to_front + to_rear),
        top_mps=top_mps * float(dynamics["speed_gain"]),
        gaining_mps2=float(dynamics["max_acceleration_mps2"]),
        losing_mps2=float(dynamics["max_braking_mps2"]),
        lag_s=float(dynamics["motor_lag_s"] + dynamics["drive_lag_s"]),
    )


def steering_for(curvature_1pm: FloatArray, dynamics: np.void) -> FloatArray:
    """Steering to command (rad) for a path's curvature, of tyres that hold."""
    wheels_rad = np.arctan(curvature_1pm * (FRONT_AXLE_M - REAR_AXLE_M))
    steering: FloatArray = (wheels_rad - dynamics["steering_bias_rad"]) / dynamics["steering_gain"]
    return steering


def bend_speeds(curvature_1pm: FloatArray, grip: Grip) -> FloatArray:
    """(n,) the fastest steady speed at each curvature (n,), in m/s."""
    bends = np.maximum(np.abs(curvature_1pm), grip.lateral_mps2 / grip.top_mps**2)
    return np.sqrt(grip.lateral_mps2 / bends)


def fastest_speeds(
    curvature_1pm: FloatArray, steps_m: FloatArray, grip: Grip, start_mps: float | None = None
) -> FloatArray:
    """
    The fastest speeds along a line.

    Args:
        curvature_1pm: (n,) at its points.
        steps_m: from each point to the next; (n,) where the line is a loop that is lapped for ever,
            (n - 1,) where it has a beginning and an end.
        grip: of the car.
        start_mps: at the first point of a line with a beginning; by default as fast as can be.

    Returns:
        (n,) m/s.
    """
    count = len(curvature_1pm)
    loop = len(steps_m) == count
    limits = bend_speeds(curvature_1pm, grip)
    order = np.arange(count)
    if loop:  # begin where nothing before matters: at the slowest place
        order = np.roll(order, -int(limits.argmin()))
        order = np.append(order, order[0])
    elif start_mps is not None:
        limits[0] = min(limits[0], start_mps)
    speeds, bends = limits[order].tolist(), np.abs(curvature_1pm[order]).tolist()
    gaps = steps_m[order[:-1]].tolist()
    for at in range(len(gaps) - 1, -1, -1):
        speeds[at] = min(speeds[at], _reached(speeds[at + 1], bends[at + 1], gaps[at], grip, False))
    for at, gap_m in enumerate(gaps):
        reached = _reached(speeds[at], bends[at], gap_m, grip, True)
        speeds[at + 1] = min(speeds[at + 1], reached)
    fastest = np.empty(count)
    fastest[order[: len(speeds) - loop]] = speeds[: len(speeds) - loop]
    return fastest


def _reached(speed_mps: float, bend_1pm: float, gap_m: float, grip: Grip, gaining: bool) -> float:
    """Speed a step further, by what grip is left; backwards in time where losing speed."""
    free = grip.free(min(speed_mps**2 * bend_1pm, grip.lateral_mps2))
    if not gaining:
        return math.sqrt(speed_mps**2 + 2 * grip.losing_mps2 * free * gap_m)
    rate_mps2 = min(grip.gaining_mps2 * free, (grip.top_mps - speed_mps) / grip.lag_s)
    return math.sqrt(max(speed_mps, SLOWEST_MPS) ** 2 + 2 * max(rate_mps2, 0.0) * gap_m)


def driving_times(speeds_mps: FloatArray, steps_m: FloatArray) -> FloatArray:
    """Seconds that each step takes; `steps_m` as in `fastest_speeds`."""
    after = np.roll(speeds_mps, -1)[: len(steps_m)]
    return 2 * steps_m / np.maximum(speeds_mps[: len(steps_m)] + after, SLOWEST_MPS)
