"""Drivers that need no learning: what they tell the cars, given where these are."""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from libs.common.tracks import Track
from services.simulator.action_space import Orders
from services.simulator.race import Race
from services.simulator.racing_line import RacingLine
from services.simulator.speed_profile import steering_for
from services.simulator.vehicle import Cars

MAX_STEERING_RAD = math.radians(30)  # the widest angle of DeepRacer's action spaces
CURVATURE_GAIN_1PM = 4.0  # of the path for each unit of tan(steering), as the real car has it
NEAREST_LOOK_M = 0.35
LOOK_S = 0.2  # of driving, further ahead


class Driver(Protocol):
    """Drives all cars of a race."""

    def decide(self, race: Race) -> Orders:
        """What the cars are to do in the next step."""


class CentreLineDriver:
    """
    Pure pursuit of a point on the centre line, at one speed.

    The arc through the car's origin and a point ahead at the angle a and the distance d has the
    curvature 2 sin(a) / d (Coulter, "Implementation of the Pure Pursuit Path Tracking Algorithm",
    1992).
    """

    def __init__(self, track: Track, speed_mps: float) -> None:
        self._ways = (track, track.reversed())
        self._speed_mps = speed_mps

    def decide(self, race: Race) -> Orders:
        """See `Driver`."""
        cars = race.states
        reach_m = cars["distance_m"] + NEAREST_LOOK_M + LOOK_S * self._speed_mps
        clockwise = (cars["course"] == 1)[:, np.newaxis]
        ahead, behind = (way.points_at(reach_m) for way in self._ways)
        targets = np.where(clockwise, behind, ahead)
        gap_x, gap_y = targets[:, 0] - cars["x_m"], targets[:, 1] - cars["y_m"]
        angle_rad = np.arctan2(gap_y, gap_x) - cars["heading_rad"]
        curvature_1pm = 2 * np.sin(angle_rad) / np.hypot(gap_x, gap_y)
        steering_rad = np.arctan(curvature_1pm / CURVATURE_GAIN_1PM)
        steering_rad = np.clip(steering_rad, -MAX_STEERING_RAD, MAX_STEERING_RAD)
        return Orders(steering_rad, np.full(race.cars, self._speed_mps), None)


LATE_S = 0.19  # what the steering lags behind its commands
LINE_LOOK_M, LINE_LOOK_S = 0.3, 0.05  # ahead of where the car is by then
SPEED_LOOK_S = 0.1  # a command acts on the step that it begins, and lags a little


class RacingLineDriver:
    """
    Pure pursuit of a racing line from where the car will be, at a share of the line's speeds.

    From where it is now the car would turn too late, and swing: its steering lags.
    """

    def __init__(self, line: RacingLine, dynamics: np.void, share: float = 0.8) -> None:
        """`line` is of the track as the cars drive it, `share` of the speeds that it allows."""
        self._line, self._dynamics, self._share = line, dynamics, share
        self._at_m = np.concatenate(([0.0], np.cumsum(line.steps_m)))
        self._loop = len(line.steps_m) == len(line.points)
        self._points, self._speeds = line.points, line.speeds_mps
        if self._loop:
            self._points = np.vstack((self._points, self._points[:1]))
            self._speeds = np.append(self._speeds, self._speeds[0])

    def decide(self, race: Race) -> Orders:
        """See `Driver`."""
        cars = race.states
        moving_mps = np.maximum(cars["speed_mps"], 0.0)
        here_m = self._along(cars["x_m"], cars["y_m"])
        x_m, y_m, heading_rad = _soon(cars, LATE_S)
        there_m = self._along(x_m, y_m)
        ahead_m = self._within(there_m + LINE_LOOK_M + LINE_LOOK_S * moving_mps)
        gap_x = np.interp(ahead_m, self._at_m, self._points[:, 0]) - x_m
        gap_y = np.interp(ahead_m, self._at_m, self._points[:, 1]) - y_m
        angle_rad = np.arctan2(gap_y, gap_x) - heading_rad
        curvature_1pm = 2 * np.sin(angle_rad) / np.hypot(gap_x, gap_y)
        steering_rad = steering_for(curvature_1pm, self._dynamics)
        soon_m = self._within(here_m + SPEED_LOOK_S * moving_mps)
        speed_mps = self._share * np.interp(soon_m, self._at_m, self._speeds)
        steering_rad = np.clip(steering_rad, -MAX_STEERING_RAD, MAX_STEERING_RAD)
        return Orders(steering_rad, speed_mps, None)

    def _along(self, x_m: NDArray[np.float64], y_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where along the line its nearest point is, for each car."""
        gaps = np.hypot(
            self._line.points[:, 0] - x_m[:, None], self._line.points[:, 1] - y_m[:, None]
        )
        nearest: NDArray[np.float64] = self._at_m[gaps.argmin(axis=1)]
        return nearest

    def _within(self, distance_m: NDArray[np.float64]) -> NDArray[np.float64]:
        return distance_m % self._at_m[-1] if self._loop else distance_m


def _soon(cars: Cars, seconds: float) -> tuple[NDArray[np.float64], ...]:
    """Where cars (x, y, heading) will be if they turn on as they do."""
    turn_rad = cars["yaw_rate_radps"] * seconds
    middle_rad = cars["heading_rad"] + turn_rad / 2
    cosine, sine = np.cos(middle_rad), np.sin(middle_rad)
    along_m, aside_m = cars["speed_mps"] * seconds, cars["lateral_mps"] * seconds
    return (
        cars["x_m"] + along_m * cosine - aside_m * sine,
        cars["y_m"] + along_m * sine + aside_m * cosine,
        cars["heading_rad"] + turn_rad,
    )
