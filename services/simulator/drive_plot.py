"""A drive as a plot: the path on the track by speed, and speed and slip along the way."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from libs.common.tracks import Track
from services.simulator.drive import Episode
from services.simulator.track_map import ROAD

COLOURS = "viridis"
MARKS = {"lap_complete": ("o", "#1b9e4b"), "in_progress": ("s", "#777777")}
FAILED = ("X", "#d62728")


def write_plot(file: Path, track: Track, episodes: Sequence[Episode], title: str) -> None:
    """Write a PNG; it is there once it is complete."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    figure.suptitle(title)
    grid = figure.add_gridspec(3, 1, height_ratios=(5, 1, 1))
    _draw_paths(figure, figure.add_subplot(grid[0]), track, episodes)
    speed, slip = figure.add_subplot(grid[1]), figure.add_subplot(grid[2])
    for episode in episodes:
        travelled_m = episode.path["travelled_m"]
        speed.plot(travelled_m, episode.path["speed_mps"], linewidth=1)
        slip.plot(travelled_m[1:], np.degrees(episode.slip_rad), linewidth=1)
    speed.set_ylabel("speed, m/s")
    slip.set_ylabel("slip, degrees")
    slip.set_xlabel("along the centre line, m")
    speed.sharex(slip)
    speed.tick_params(labelbottom=False)
    for axes in (speed, slip):
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    file.write_bytes(buffer.getvalue())


def _draw_paths(figure: Figure, axes: Axes, track: Track, episodes: Sequence[Episode]) -> None:
    _draw_road(axes, track)
    fastest_mps = max(float(episode.path["speed_mps"].max()) for episode in episodes)
    for episode in episodes:
        path = LineCollection(
            list(_pieces(episode.path)),
            array=episode.path["speed_mps"][1:],
            cmap=COLOURS,
            linewidth=2.5,
        )
        path.set_clim(0, max(fastest_mps, 0.1))
        axes.add_collection(path)
        _mark_end(axes, episode)
    figure.colorbar(path, ax=axes, label="speed, m/s", shrink=0.8)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set_xlabel("x, m")
    axes.set_ylabel("y, m")


def _draw_road(axes: Axes, track: Track) -> None:
    """Piece by piece, for a road may cross over itself."""
    after = slice(None) if track.closed else slice(None, -1)
    corners = (track.inner, np.roll(track.inner, -1, 0), np.roll(track.outer, -1, 0), track.outer)
    pieces = np.stack(corners, axis=1)[after]
    axes.add_collection(
        PolyCollection(list(pieces), facecolors=ROAD, edgecolors=ROAD, linewidths=0.5)
    )
    axes.plot(*track.waypoints.T, color="#d9a514", linewidth=0.8, linestyle=(0, (6, 6)))
    axes.plot(*track.waypoints[0], marker="|", color="white", markersize=12)


def _mark_end(axes: Axes, episode: Episode) -> None:
    marker, colour = MARKS.get(episode.status, FAILED)
    x_m, y_m = episode.path["front_x_m"][-1], episode.path["front_y_m"][-1]
    axes.plot(x_m, y_m, marker=marker, color=colour, markeredgecolor="white", markersize=9)


def _pieces(path: NDArray[np.void]) -> NDArray[np.float64]:
    """(steps, 2, 2) the path's segments."""
    points = np.column_stack((path["front_x_m"], path["front_y_m"]))
    return np.stack((points[:-1], points[1:]), axis=1)
