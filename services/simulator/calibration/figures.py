"""Pictures of how a car answers and how well it follows the logs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.simulator.replay import HORIZONS, Drift, FloatArray
from services.simulator.vehicle import CAR, CONTROL_HZ, drive_cars

SPEEDS_MPS = np.arange(0.5, 4.01, 0.125)
ANGLES_DEG = (10, 20, 30)
BEND_S = 3.0  # of held steering
RUN_UP_S = 2.0
SLIDING_DEG = 20  # of side slip


def drive(dynamics: np.void, angle_deg: float, speed_mps: float) -> FloatArray:
    """(steps, 6) x, y, heading, speed, lateral speed, yaw rate; straight ahead at first."""
    cars, poses = np.zeros(1, CAR), []
    names = ("x_m", "y_m", "heading_rad", "speed_mps", "lateral_mps", "yaw_rate_radps")
    for step in range(round((RUN_UP_S + BEND_S) * CONTROL_HZ)):
        angle = np.radians(angle_deg) if step >= RUN_UP_S * CONTROL_HZ else 0.0
        drive_cars(cars, np.array([angle]), np.array([speed_mps]), np.repeat(dynamics, 1))
        poses.append([cars[name][0] for name in names])
    return np.array(poses)


def side_slip_deg(path: FloatArray) -> FloatArray:
    """(steps,) angle from the heading to where the car moves; 0 where it hardly moves."""
    moving = np.hypot(path[:, 3], path[:, 4]) > 0.2
    return np.where(moving, np.degrees(np.arctan2(path[:, 4], path[:, 3])), 0.0)


def draw_replay(found: Mapping[str, tuple[Drift, Drift]], file: Path) -> None:
    """How many replays are how far off, on logs and on logs of the model's own making."""
    figure = Figure(figsize=(9, 3.2), layout="tight")
    rows = figure.subplots(1, len(found), sharey=True, squeeze=False)
    for axes, (name, drifts) in zip(rows[0], found.items(), strict=True):
        for drift, style in zip(drifts, ("-", ":"), strict=True):
            for column, steps in enumerate(HORIZONS):
                known = np.sort(drift.position_m[~np.isnan(drift.position_m[:, column]), column])
                shares = np.linspace(0, 1, len(known))
                label = f"{steps} steps" if style == "-" else None
                axes.plot(known, shares, style, color=f"C{column}", label=label)
        axes.set(title=name, xlabel="position error, m", xlim=(0, 0.8))
        axes.legend(loc="lower right", title="dotted: the floor")
    rows[0][0].set_ylabel("share of the starts")
    figure.savefig(file, dpi=90)


def draw_grip(generations: Mapping[str, np.void], file: Path) -> None:
    """Lateral acceleration and radius of held steering by speed; dots where the car slides."""
    figure = Figure(figsize=(9, 5.5), layout="tight")
    rows = figure.subplots(2, len(generations), sharex=True, sharey="row", squeeze=False)
    for column, (name, dynamics) in enumerate(generations.items()):
        for angle_deg in ANGLES_DEG:
            _draw_grip(rows[0, column], rows[1, column], dynamics, angle_deg)
        rows[0, column].set_title(name)
        rows[0, column].axvspan(2.0, 4.0, color="0.93")
        rows[1, column].axvspan(2.0, 4.0, color="0.93")
        rows[1, column].set(xlabel="commanded speed, m/s", ylim=(0, 5))
    rows[0, 0].set_ylabel("lateral m/s²")
    rows[1, 0].set_ylabel("radius, m")
    rows[1, -1].legend(title="steering", loc="upper left")
    figure.savefig(file, dpi=90)


def _draw_grip(lateral: Axes, radius: Axes, dynamics: np.void, angle_deg: float) -> None:
    """Of the first second in which the car has answered."""
    begin = round((RUN_UP_S + 0.8) * CONTROL_HZ)
    paths = [drive(dynamics, angle_deg, speed)[begin : begin + 15] for speed in SPEEDS_MPS]
    pulls, radii = np.array([_bend(path) for path in paths]).T
    slides = np.array([np.abs(side_slip_deg(path)).max() > SLIDING_DEG for path in paths])
    (line,) = lateral.plot(SPEEDS_MPS, pulls)
    lateral.plot(SPEEDS_MPS[slides], pulls[slides], ".", color=line.get_color())
    radius.plot(SPEEDS_MPS, radii, color=line.get_color(), label=f"{angle_deg}°")


def _bend(path: FloatArray) -> tuple[float, float]:
    """Median lateral acceleration and radius of where the car goes, wherever it points."""
    move = np.diff(path[:, :2], axis=0) * CONTROL_HZ
    speed = np.hypot(*move.T)[:-1]
    turn = np.diff(np.unwrap(np.arctan2(move[:, 1], move[:, 0]))) * CONTROL_HZ
    turn = np.maximum(np.abs(turn), 1e-6)
    return float(np.median(speed * turn)), float(np.median(speed / turn))


def draw_wipe_out(generations: Mapping[str, np.void], file: Path) -> None:
    """Paths and side slip at full lock: slow enough for the bend, and far too fast."""
    figure = Figure(figsize=(9, 5.5), layout="tight")
    rows = figure.subplots(2, len(generations), sharey="row", squeeze=False)
    for column, (name, dynamics) in enumerate(generations.items()):
        for speed_mps in (1.0, 2.0, 3.0, 4.0):
            path = drive(dynamics, 30, speed_mps)[round((RUN_UP_S - 0.2) * CONTROL_HZ) :]
            label = f"{speed_mps:.0f} m/s"
            _draw_path(rows[0, column], path, label)
            times_s = np.arange(len(path)) / CONTROL_HZ - 0.2
            rows[1, column].plot(times_s, side_slip_deg(path), label=label)
        rows[0, column].set(title=name, xlabel="m", aspect="equal")
        rows[1, column].set_xlabel("s of 30° steering")
    rows[0, 0].legend()
    rows[1, 0].set_ylabel("side slip, °")
    figure.savefig(file, dpi=90)


def _draw_path(axes: Axes, path: FloatArray, label: str) -> None:
    x_m, y_m = path[:, 0] - path[0, 0], path[:, 1] - path[0, 1]
    (line,) = axes.plot(x_m, y_m, label=label)
    some = slice(None, None, 3)
    axes.quiver(
        x_m[some],
        y_m[some],
        np.cos(path[some, 2]),
        np.sin(path[some, 2]),
        color=line.get_color(),
        scale=22,
        width=0.005,
    )
