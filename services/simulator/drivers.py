"""Drivers that need no learning: what they tell the cars, given where these are."""

import math
from typing import Protocol

import numpy as np

from libs.common.tracks import Track
from services.simulator.action_space import Orders
from services.simulator.race import Race

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
