"""Pictures of how a car answers and how well it follows the logs."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402  the backend comes first
from matplotlib.axes import Axes  # noqa: E402

from services.simulator.replay import HORIZONS, Drift, FloatArray  # noqa: E402
from services.simulator.vehicle import CAR, CONTROL_HZ, drive_cars  # noqa: E402

SPEEDS_MPS = np.arange(0.5, 4.01, 0.125)
ANGLES_DEG = (10, 20, 30)
BEND_S = 3.0  # of held steering
RUN_UP_S = 2.0


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
    figure, rows = plt.subplots(1, len(found), figsize=(9, 3.2), sharey=True, squeeze=False)
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
    _save(figure, file)


def draw_grip(generations: Mapping[str, np.void], file: Path) -> None:
    """Lateral acceleration and radius of held steering by speed; a dot where the tail comes out."""
    figure, rows = plt.subplots(2, len(generations), figsize=(9, 5.5), sharex=True, sharey="row")
    for column, (name, dynamics) in enumerate(generations.items()):
        for angle_deg in ANGLES_DEG:
            _draw_grip(rows[0, column], rows[1, column], dynamics, angle_deg)
        rows[0, column].set_title(name)
        rows[0, column].axvspan(2.0, 4.0, color="0.93")
        rows[1, column].axvspan(2.0, 4.0, color="0.93")
        rows[1, column].set(xlabel="commanded speed, m/s", ylim=(0, 8))
    rows[0, 0].set_ylabel("most lateral m/s²")
    rows[1, 0].set_ylabel("radius, m")
    rows[0, 0].legend(title="steering; grey: beyond the logs")
    _save(figure, file)


def _draw_grip(lateral: Axes, radius: Axes, dynamics: np.void, angle_deg: float) -> None:
    begin = round((RUN_UP_S + 0.8) * CONTROL_HZ)
    paths = [drive(dynamics, angle_deg, speed)[begin:] for speed in SPEEDS_MPS]
    pulls = np.array([np.median(np.abs(path[:15, 3] * path[:15, 5])) for path in paths])
    radii = [np.median(np.hypot(path[:15, 3], path[:15, 4]) / path[:15, 5]) for path in paths]
    slides = np.array([np.abs(side_slip_deg(path)).max() > 20 for path in paths])
    (line,) = lateral.plot(SPEEDS_MPS, pulls, label=f"{angle_deg}°")
    lateral.plot(SPEEDS_MPS[slides], pulls[slides], ".", color=line.get_color())
    radius.plot(SPEEDS_MPS, radii, color=line.get_color())


def draw_wipe_out(generations: Mapping[str, np.void], file: Path) -> None:
    """Paths and side slip at full lock: slow enough for the bend, and far too fast."""
    figure, rows = plt.subplots(2, len(generations), figsize=(9, 5.5), sharey="row")
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
    _save(figure, file)


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


def _save(figure: plt.Figure, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, dpi=90)
    plt.close(figure)
