"""Where lines cross themselves or each other."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from shapely import STRtree, linestrings

from libs.common.tracks.track import FloatArray, IntArray

MOST_CROSSINGS = 200
"""Further ones are not looked for: a line that is not sound has them by the million."""

SAME_PLACE_M = 1e-3
"""Neighbours meet in the point that they share; loops that are shorter are rounding."""


@dataclass(frozen=True)
class Crossing:
    """One place where two segments meet that are no neighbours."""

    x_m: float
    y_m: float
    rows: tuple[int, int]  # of the points where the two segments begin
    loop_m: float  # the way along the line from here to here, the shorter one; inf of two lines


def find_self_crossings(line: FloatArray) -> list[Crossing]:
    """
    Where a polyline (n, 2) crosses itself, in its order; one that is closed repeats its first row.

    Crossings that lie in one place are told once. Segments that lie in each other do not cross.
    """
    lengths = np.hypot(*np.diff(line, axis=0).T)
    begins_m = np.concatenate(([0.0], np.cumsum(lengths)))
    total_m, closed = begins_m[-1], bool(np.array_equal(line[0], line[-1]))
    found = []
    for first, second, along, other, place in _meetings(line, line):
        way_m = begins_m[second] + other * lengths[second]
        way_m -= begins_m[first] + along * lengths[first]
        loop_m = min(way_m, total_m - way_m) if closed else way_m
        if loop_m > SAME_PLACE_M:
            found.append(Crossing(*place, rows=(first, second), loop_m=float(loop_m)))
        if len(found) >= MOST_CROSSINGS:
            break
    return _once(found)


def find_crossings(line: FloatArray, other: FloatArray) -> list[Crossing]:
    """Where two polylines (n, 2) and (m, 2) meet, in the order of the first."""
    found = []
    for first, second, _, _, place in _meetings(line, other):
        found.append(Crossing(*place, rows=(first, second), loop_m=float("inf")))
        if len(found) >= MOST_CROSSINGS:
            break
    return _once(found)


def _meetings(
    line: FloatArray, other: FloatArray
) -> Iterator[tuple[int, int, float, float, tuple[float, float]]]:
    """Segments that meet: both numbers, how far along both (0..1), and the place."""
    ours, theirs = (np.stack((points[:-1], points[1:]), axis=1) for points in (line, other))
    tree = STRtree(linestrings(theirs))
    for begin in range(0, len(ours), 256):
        near: IntArray = tree.query(linestrings(ours[begin : begin + 256]))
        first, second = near[:, np.lexsort((near[1], near[0]))]
        first = first + begin
        if other is line:  # each pair once
            first, second = first[first < second], second[first < second]
        start, step = ours[first, 0], ours[first, 1] - ours[first, 0]
        gap, across = theirs[second, 0] - start, theirs[second, 1] - theirs[second, 0]
        turn = _cross(step, across)
        turn = np.where(turn == 0.0, np.nan, turn)
        along, beyond = _cross(gap, across) / turn, _cross(gap, step) / turn
        meets = (along >= 0) & (along <= 1) & (beyond >= 0) & (beyond <= 1)
        for index in np.flatnonzero(meets):
            x_m, y_m = start[index] + along[index] * step[index]
            rows = int(first[index]), int(second[index])
            yield *rows, float(along[index]), float(beyond[index]), (float(x_m), float(y_m))


def _cross(left: FloatArray, right: FloatArray) -> FloatArray:
    product: FloatArray = left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0]
    return product


def _once(found: list[Crossing]) -> list[Crossing]:
    """A crossing in a corner is met by both segments of it."""
    places: dict[tuple[float, float], Crossing] = {}
    for crossing in found:
        places.setdefault((round(crossing.x_m, 6), round(crossing.y_m, 6)), crossing)
    return list(places.values())
