"""Borders of a road that is known by its centre line only."""

import numpy as np
import shapely
from numpy.typing import NDArray

from libs.common.tracks.track import FloatArray, Track, close

DEFAULT_WIDTH_M = 1.067
"""The width of most of the community's tracks; deepracer-simapp, routes."""

MOST_MITRE = 2.0
"""The border's distance from a sharp corner's point, in half widths, ends here."""

REACH = 4.0
"""How far along the road a bend can fold its inner border, in half widths (126 degrees' corner)."""


def build_road(name: str, centre: FloatArray, width_m: float, closed: bool) -> Track:
    """
    The road of one width round a centre line (n, 2) without its closing row.

    The inner border is that of the infield; on an open track it is the left one.
    """
    moves = (centre != np.roll(centre, 1, axis=0)).any(axis=1)
    moves[0] |= not closed
    place = np.cumsum(moves) - 1  # of a row among those that do not repeat the one before
    half_m = width_m / 2
    left, right = (_offset(centre[moves], side, closed)[place] for side in (half_m, -half_m))
    inner, outer = (right, left) if closed and signed_area_m2(centre) < 0 else (left, right)
    return Track(name, centre, inner, outer, closed=closed)


def signed_area_m2(line: FloatArray) -> float:
    """The area that a line (n, 2) encloses when closed, + = it runs counter-clockwise."""
    x_m, y_m = (line - line.mean(axis=0)).T
    return float(np.sum(x_m * np.roll(y_m, -1) - y_m * np.roll(x_m, -1))) / 2


def _offset(centre: FloatArray, offset_m: float, closed: bool) -> FloatArray:
    """
    (n, 2) the line at a distance, + = to the left, row by row beside the centre line.

    On the inside of a bend that is tighter than the offset, the rows of a plain offset run
    backwards through each other. They are too near to the centre line, and lie between the two
    sound ones round them instead.
    """
    plain = centre + offset_m * _corner_normals(centre, closed)
    return _bridge(plain, _is_too_near(plain, centre, abs(offset_m), closed), closed)


def _corner_normals(centre: FloatArray, closed: bool) -> FloatArray:
    """(n, 2) to the left; longer than 1 in corners, so that the segments' distance is 1."""
    normals = _segment_normals(centre, closed)
    before = np.roll(normals, 1, axis=0) if closed else np.vstack((normals[:1], normals[:-1]))
    both = before + normals
    # |before + after| = 2 cos(half the turn); the corner is 1 / cos(half the turn) away.
    squared = np.einsum("nd,nd->n", both, both)[:, None]
    mitred = 2 * both / np.maximum(squared, (2 / MOST_MITRE) ** 2)
    return np.where(squared > 1e-9, mitred, normals)


def _segment_normals(centre: FloatArray, closed: bool) -> FloatArray:
    """(n, 2) normal of the segment that begins in each row; the last one's of an open line ends."""
    headings = Track("", centre, centre, centre, closed).segment_headings_rad
    if not closed:
        headings = np.append(headings, headings[-1])
    return np.column_stack((-np.sin(headings), np.cos(headings)))


def _is_too_near(
    border: FloatArray, centre: FloatArray, offset_m: float, closed: bool
) -> NDArray[np.bool_]:
    """(n,) rows that are nearer than `offset_m` to the bend of the centre line they are in."""
    bends = _surroundings(centre, REACH * offset_m, closed)
    distances_m = shapely.distance(shapely.points(border), np.array(bends))
    near: NDArray[np.bool_] = distances_m < offset_m * (1 - 1e-6)
    return near


def _surroundings(centre: FloatArray, reach_m: float, closed: bool) -> list[shapely.LineString]:
    """The piece of the centre line within reach of each of its rows, and a row more."""
    steps_m = np.hypot(*np.diff(close(centre), axis=0).T)
    places_m = np.concatenate(([0.0], np.cumsum(steps_m)))
    length_m, places_m = places_m[-1], places_m[:-1]
    line, at_m = centre, places_m
    if closed:  # laps before and after, so that a piece may reach over the start
        line = np.tile(centre, (3, 1))
        at_m = np.concatenate((places_m - length_m, places_m, places_m + length_m))
    first = np.maximum(np.searchsorted(at_m, places_m - reach_m) - 1, 0)
    last = np.searchsorted(at_m, places_m + reach_m, side="right") + 1
    return [shapely.LineString(line[low:high]) for low, high in zip(first, last, strict=True)]


def _bridge(border: FloatArray, left_out: NDArray[np.bool_], closed: bool) -> FloatArray:
    """The border with what is left out laid straight between the rows round it."""
    kept = np.flatnonzero(~left_out)
    if len(kept) < 2:
        return border
    period = len(border) if closed else None
    rows = np.arange(len(border))
    return np.column_stack([np.interp(rows, kept, axis[kept], period=period) for axis in border.T])
