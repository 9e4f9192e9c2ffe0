"""A track as the map draws it."""

import numpy as np

from libs.common.tracks import Track
from libs.common.tracks.track import FloatArray
from services.streamer.shown import Shown

MAX_POINTS = 600
"""Points of one line; more than a screen can tell apart."""


class TrackShape(Shown):
    """Three polylines in metres, in the driving direction; closed ones repeat no point."""

    name: str
    closed: bool
    clockwise: bool  # driven against the order of the points
    length_m: float
    bounds_m: tuple[float, float, float, float]  # x_min, y_min, x_max, y_max
    centre: list[list[float]]
    inner: list[list[float]]
    outer: list[list[float]]


def shape_of(track: Track, clockwise: bool = False) -> TrackShape:
    """The track to the millimetre, long ones thinned."""
    step = -(-len(track.centre) // MAX_POINTS)
    return TrackShape(
        name=track.name,
        closed=track.closed,
        clockwise=clockwise,
        length_m=round(track.length_m, 3),
        bounds_m=track.bounds_m,
        centre=_line(track.centre, step),
        inner=_line(track.inner, step),
        outer=_line(track.outer, step),
    )


def _line(points: FloatArray, step: int) -> list[list[float]]:
    line: list[list[float]] = np.round(points[::step], 3).tolist()
    return line
