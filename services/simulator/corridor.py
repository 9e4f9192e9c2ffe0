"""
Where a line round a track may go, and how it bends: smooth lines over the track's cross sections.

A line is a cubic spline through one point on each cross section, so that its points and their
derivatives are linear in how far these points lie from the centre line.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from libs.common.errors import InvalidInput
from libs.common.tracks import Track

FloatArray = NDArray[np.float64]

SPACING_M = 0.1  # of the line's points
LEAST_GAP_M = 0.05  # between cross sections: the file's rows may be closer, or repeat
LEAST_PROGRESS = 0.15  # of a line along the border, for that of the centre line
SHORTENED = 0.95


class Corridor(NamedTuple):
    """Cross sections of the road: where the line may go, and the spline over them."""

    centre: FloatArray  # (k, 2)
    across: FloatArray  # (k, 2) unit vectors to the left
    low_m: FloatArray  # (k,) offsets
    high_m: FloatArray
    shape: FloatArray  # (n, k) from the sections' points to those of the line
    first: FloatArray  # (n, k) its derivatives
    second: FloatArray
    spacing: float  # of the derivatives' parameter
    closed: bool


class Shape(NamedTuple):
    """A line's derivatives by the parameter, (n, 2), its speed of it and its curvature, (n,)."""

    first: FloatArray
    second: FloatArray
    pace: FloatArray
    curvature: FloatArray

    @classmethod
    def of(cls, corridor: Corridor, offsets: FloatArray) -> "Shape":
        points = corridor.centre + offsets[:, None] * corridor.across
        first, second = corridor.first @ points, corridor.second @ points
        pace = np.hypot(first[:, 0], first[:, 1])
        turn = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
        return cls(first, second, pace, turn / pace**3)

    def turning(self, corridor: Corridor) -> FloatArray:
        """(n, k) how the curvature at each point goes with each offset."""
        (x1, y1), (x2, y2) = self.first.T[..., None], self.second.T[..., None]
        pace = self.pace[:, None]
        across_x, across_y = corridor.across.T
        by_first = y2 * across_x - x2 * across_y
        by_first -= 3 * self.curvature[:, None] * pace * (x1 * across_x + y1 * across_y)
        by_second = x1 * across_y - y1 * across_x
        change: FloatArray = corridor.first * by_first + corridor.second * by_second
        return change / pace**3

    def pull_back(
        self, corridor: Corridor, by_pace: FloatArray, by_curvature: FloatArray
    ) -> FloatArray:
        """From a gradient by pace and curvature (n,) to one by the offsets (k,)."""
        turned_second = np.column_stack((self.second[:, 1], -self.second[:, 0]))
        turned_first = np.column_stack((-self.first[:, 1], self.first[:, 0]))
        cubed = (self.pace**3)[:, None]
        along = self.first / self.pace[:, None]
        of_pace = by_pace - 3 * by_curvature * self.curvature / self.pace
        by_first = of_pace[:, None] * along + by_curvature[:, None] * turned_second / cubed
        by_second = by_curvature[:, None] * turned_first / cubed
        by_points = corridor.first.T @ by_first + corridor.second.T @ by_second
        gradient: FloatArray = np.einsum("kd,kd->k", by_points, corridor.across)
        return gradient


def measure_corridor(track: Track, margin_m: float) -> Corridor:
    """
    The cross sections of a track, at the rows of its file.

    `margin_m` is what a line keeps from the borders, below 0 beyond them; raises `InvalidInput`
    where it leaves no road.
    """
    rows = _distinct_rows(track)
    centre, headings = track.centre[rows], _headings(track.centre[rows], track.closed)
    across = np.column_stack((-np.sin(headings), np.cos(headings)))
    sides = [
        np.einsum("kd,kd->k", line[rows] - centre, across) for line in (track.inner, track.outer)
    ]
    low_m, high_m = np.minimum(*sides) + margin_m, np.maximum(*sides) - margin_m
    if (low_m >= high_m).any():
        narrowest = float((high_m - low_m).min() + 2 * margin_m)
        raise InvalidInput(
            f"margin {margin_m:g} m on a road that is {narrowest:.3f} m wide; accepted: less than "
            "half of that"
        )
    for side_m in (low_m, high_m):
        _untangle(centre, across, side_m, track.closed)
    return Corridor(centre, across, low_m, high_m, *_splines(centre, track.closed))


def _untangle(centre: FloatArray, across: FloatArray, side_m: FloatArray, closed: bool) -> None:
    """
    Shorten one side of cross sections that meet those beside them, as on the inside of a hairpin.

    Beyond there a line would go backwards from one section to the next.
    """
    ahead = np.roll(centre, -1, axis=0) - centre
    while True:
        ends = centre + side_m[:, None] * across
        progress = np.einsum("kd,kd->k", np.roll(ends, -1, axis=0) - ends, ahead)
        meets = progress < LEAST_PROGRESS * np.einsum("kd,kd->k", ahead, ahead)
        if not closed:
            meets[-1] = False
        if not meets.any():
            return
        side_m[meets | np.roll(meets, 1)] *= SHORTENED


def _distinct_rows(track: Track) -> NDArray[np.int64]:
    """Rows of the centre line that lie apart."""
    kept = [0]
    for row in range(1, len(track.centre)):
        if np.hypot(*(track.centre[row] - track.centre[kept[-1]])) >= LEAST_GAP_M:
            kept.append(row)
    if track.closed and np.hypot(*(track.centre[kept[-1]] - track.centre[0])) < LEAST_GAP_M:
        kept.pop()
    return np.array(kept)


def _headings(centre: FloatArray, closed: bool) -> FloatArray:
    if closed:
        gaps = np.roll(centre, -1, axis=0) - np.roll(centre, 1, axis=0)
    else:
        gaps = np.gradient(centre, axis=0)
    headings: FloatArray = np.arctan2(gaps[:, 1], gaps[:, 0])
    return headings


def _splines(
    centre: FloatArray, closed: bool
) -> tuple[FloatArray, FloatArray, FloatArray, float, bool]:
    """The spline through a point on every section is linear in these: its matrices."""
    knots = np.vstack((centre, centre[:1])) if closed else centre
    at = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))))
    unit = np.eye(len(centre))
    values = np.vstack((unit, unit[:1])) if closed else unit
    spline = CubicSpline(at, values, bc_type="periodic" if closed else "natural")
    count = max(8, round(at[-1] / SPACING_M))
    places = np.linspace(0.0, at[-1], count, endpoint=not closed)
    spacing = float(places[1] - places[0])
    return spline(places), spline(places, 1), spline(places, 2), spacing, closed
