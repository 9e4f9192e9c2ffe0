"""A track from a drawing: the dashed path of an SVG file and a known length."""

import io
from collections.abc import Iterator
from xml.etree.ElementTree import ParseError

import numpy as np
from svgelements import SVG, Close, Line, Move, Path, Shape

from libs.common.errors import InvalidInput
from libs.common.tracks.borders import DEFAULT_WIDTH_M, build_road
from libs.common.tracks.flaws import find_road_flaws, find_room_flaws
from libs.common.tracks.npy import MAX_ROWS
from libs.common.tracks.oddities import describe_oddities
from libs.common.tracks.reader import TrackFile, find_width_option_flaws, refuse
from libs.common.tracks.sections import CORNER_M
from libs.common.tracks.track import FloatArray, Track, close

MAX_SVG_BYTES = 5 * 2**20
MIN_POINTS, DEFAULT_POINTS = 10, 200
MIN_LENGTH_M, MAX_LENGTH_M = 1.0, 1_000.0
CURVE_STEPS = 100
"""Points that a curve of the drawing is measured by."""

CLOSED_SHARE = 0.01
"""Ends of a path without a `Z` that are nearer than this share of its length are one point."""


def derive_track(
    name: str,
    svg: bytes,
    length_m: float,
    width_m: float = DEFAULT_WIDTH_M,
    points: int = DEFAULT_POINTS,
    mirror: bool = False,
) -> TrackFile:
    """
    The track whose centre line is the dashed path of a drawing (`stroke-dasharray`).

    Transforms, styles and curves count as they are drawn. The centre line is sampled evenly by
    `points` waypoints and scaled to `length_m`; the borders are `width_m` apart everywhere. It
    looks as drawn, or mirrored, runs as the path was drawn, and begins half a metre from both axes.

    Raises:
        InvalidInput: no SVG, not exactly one dashed path, or no road that can be driven.
    """
    refuse(name, _find_option_flaws(length_m, width_m, points))
    line, closed = _trace(name, _find_dashed(name, svg))
    line = line * (-1.0 if mirror else 1.0, -1.0)  # y goes down in drawings
    centre = _sample(line, points, closed)
    scale = length_m / float(
        np.hypot(*np.diff(close(centre) if closed else centre, axis=0).T).sum()
    )
    track = _to_corner(build_road(name, centre * scale, width_m, closed))
    refuse(name, find_room_flaws(track, width_m))
    refuse(name, find_road_flaws(track))
    return TrackFile(track, tuple(describe_oddities(track)))


def _find_option_flaws(length_m: float, width_m: float, points: int) -> list[str]:
    flaws = find_width_option_flaws(width_m)
    if not MIN_LENGTH_M <= length_m <= MAX_LENGTH_M:
        flaws.append(
            f"a length of {length_m} m; accepted are {MIN_LENGTH_M:.0f} to {MAX_LENGTH_M:.0f} m"
        )
    if not MIN_POINTS <= points < MAX_ROWS:
        flaws.append(f"{points} points; accepted are {MIN_POINTS} to {MAX_ROWS - 1}")
    return flaws


def _find_dashed(name: str, svg: bytes) -> Path:
    """The one path that is dashed, with all transforms applied."""
    if len(svg) > MAX_SVG_BYTES:
        raise InvalidInput(f"track {name!r}: the drawing has over {MAX_SVG_BYTES:,} bytes")
    try:
        drawing = SVG.parse(io.BytesIO(svg), reify=True)
        shapes = [element for element in drawing.elements() if isinstance(element, Shape)]
        dashed = [Path(shape) for shape in shapes if _is_dashed(shape)]
    except (ParseError, ValueError, AttributeError, TypeError, ZeroDivisionError) as error:
        raise InvalidInput(f"track {name!r}: the file can't be read as SVG: {error}") from error
    if len(dashed) != 1:
        raise InvalidInput(
            f"track {name!r}: {len(dashed)} of the drawing's {len(shapes)} paths are dashed; "
            "exactly one must have a stroke-dasharray: the centre line"
        )
    return dashed[0]


def _is_dashed(shape: Shape) -> bool:
    dashes = shape.values.get("stroke-dasharray")
    return dashes not in (None, "", "none", "0")


def _trace(name: str, path: Path) -> tuple[FloatArray, bool]:
    """(k, 2) points along a path, close enough to measure it by, and whether it is a loop."""
    parts = [part for part in path.as_subpaths() if len(part) > 1]
    if len(parts) != 1:
        raise InvalidInput(
            f"track {name!r}: the dashed path has {len(parts)} pieces; accepted is one"
        )
    line = np.array(list(_points_along(Path(parts[0]))))
    steps = np.hypot(*np.diff(line, axis=0).T)
    line, length = line[np.concatenate(([True], steps > 0))], float(steps.sum())
    if len(line) < 3 or not np.isfinite(length):
        raise InvalidInput(f"track {name!r}: the dashed path has no length or no bend")
    closed = float(np.hypot(*(line[-1] - line[0]))) <= CLOSED_SHARE * length
    return line, closed


def _points_along(path: Path) -> Iterator[tuple[float, float]]:
    for segment in path:
        if isinstance(segment, Move):
            continue
        steps = 1 if isinstance(segment, Line | Close) else CURVE_STEPS
        for step in range(steps + 1):
            point = segment.point(step / steps)
            yield float(point.x), float(point.y)


def _sample(line: FloatArray, points: int, closed: bool) -> FloatArray:
    """(points, 2) evenly spaced along a line; the first one is not repeated where it is closed."""
    whole = close(line) if closed else line
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(whole, axis=0).T))))
    at = np.linspace(0.0, along[-1], points, endpoint=not closed)
    return np.column_stack([np.interp(at, along, axis) for axis in whole.T])


def _to_corner(track: Track) -> Track:
    x_min, y_min, _, _ = track.bounds_m
    return track.moved(CORNER_M - x_min, CORNER_M - y_min)
