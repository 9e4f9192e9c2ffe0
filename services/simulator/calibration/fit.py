"""Fitting a generation's dynamics and tracking to real traces."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from services.simulator.replay import Drift, FloatArray, Tracking, replay
from services.simulator.vehicle import DYNAMICS

SCALES_M = np.array([0.03, 0.08, 0.25])
SCALE_RAD = 0.1  # of the heading after 15 steps
ROBUST = 0.3  # in scales: beyond it an error counts by its size, no longer by its square
EVERY = 4  # rows between starts: neighbours say the same

BOUNDS: dict[str, tuple[float, float]] = {
    "steering_delay_s": (0.0, 0.06),
    "steering_lead_lag_s": (0.001, 0.1),
    "steering_lag_s": (0.02, 1.0),
    "steering_lead": (0.0, 0.6),
    "steering_gain": (0.4, 1.3),
    "steering_bias_rad": (-0.05, 0.05),
    "drive_delay_s": (0.0, 0.06),
    "motor_lag_s": (0.001, 0.15),
    "drive_lag_s": (0.005, 0.5),
    "speed_gain": (0.7, 1.4),
    "max_acceleration_mps2": (1.0, 40.0),
    "max_braking_mps2": (1.0, 40.0),
    "cornering_drag": (0.0, 3.0),
    "front_creep_s": (0.0, 0.3),
    "rear_creep_s": (0.0, 0.1),
    "stamp": (-0.2, 1.2),
    "earlier_stamp": (-0.6, 0.6),
    "wall": (-0.2, 1.2),
    "heading": (0.5, 1.2),
    "along": (0.0, 1.2),
    "speed": (0.0, 1.0),
    "wheels": (0.0, 1.5),
    "wheels_lead": (0.0, 1.5),
}
"""What is fitted and within what: fields of `DYNAMICS`, then those of `Tracking`."""


class Fitted(NamedTuple):
    """What one generation's logs say."""

    dynamics: np.void
    tracking: Tracking


def fit(stretches: Sequence[FloatArray], start: Fitted, fixed: Sequence[str] = ()) -> Fitted:
    """
    The parameters with which replays stay nearest to the logs, from `start`, all but `fixed`.

    Friction is not among them: the logs hardly reach its limits (docs/dynamics.md).
    """
    names = [name for name in BOUNDS if name not in fixed]
    low, high = np.array([BOUNDS[name] for name in names]).T

    def surprises(shares: NDArray[np.float64]) -> FloatArray:
        values = dict(zip(names, low + shares * (high - low), strict=True))
        return _scaled(replay(stretches, *_with(start, values), every=EVERY))

    begin = (np.array([_value(start, name) for name in names]) - low) / (high - low)
    found = least_squares(
        surprises,
        np.clip(begin, 1e-3, 1 - 1e-3),
        bounds=(0.0, 1.0),
        loss="soft_l1",
        f_scale=ROBUST,
        diff_step=2e-3,
        x_scale=0.1,
        max_nfev=40,
    )
    return _with(start, dict(zip(names, low + found.x * (high - low), strict=True)))


def _scaled(drift: Drift) -> FloatArray:
    """All errors in units of what is aimed at; 0 where a log ends before."""
    parts = (
        drift.ahead_m / SCALES_M,
        drift.left_m / SCALES_M,
        drift.turned_rad[:, 1:2] / SCALE_RAD,
    )
    scaled: FloatArray = np.nan_to_num(np.concatenate([part.ravel() for part in parts]))
    return scaled


def _value(fitted: Fitted, name: str) -> float:
    if name in (DYNAMICS.names or ()):
        return float(fitted.dynamics[name])
    return float(getattr(fitted.tracking, name))


def _with(fitted: Fitted, values: dict[str, float]) -> Fitted:
    """The same with other values."""
    dynamics = fitted.dynamics.copy()
    shares = {}
    for name, value in values.items():
        if name in (DYNAMICS.names or ()):
            dynamics[name] = value
        else:
            shares[name] = value
    return Fitted(dynamics, fitted.tracking._replace(**shares))
