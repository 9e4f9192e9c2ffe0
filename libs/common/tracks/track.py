"""One track as three polylines: the centre line and the two borders of the road."""

import io
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BLOCK_ROWS = 256
"""Points whose distances from a whole line are in memory at once."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Where points lie along a track; all arrays have the points' length."""

    distance_m: FloatArray  # along the centre line
    offset_m: FloatArray  # from the centre line, + = left of the driving direction
    segment: IntArray  # index of the waypoint before


@dataclass(frozen=True, eq=False)
class Track:
    """
    An immutable track in metres.

    `centre`, `inner` and `outer` are (n, 2), row by row beside each other, without the closing row
    of a closed track. Rows that repeat their predecessor are kept, for reward functions and logs
    count waypoints by their row in the file. The rows' order is the driving direction.
    """

    name: str
    centre: FloatArray
    inner: FloatArray
    outer: FloatArray
    closed: bool

    def __post_init__(self) -> None:
        for line in self._lines:
            line.setflags(write=False)

    @cached_property
    def waypoints(self) -> FloatArray:
        """(m, 2) centre line as DeepRacer counts it: with row 0 again at the end where closed."""
        return _read_only(close(self.centre) if self.closed else self.centre.copy())

    @cached_property
    def distances_m(self) -> FloatArray:
        """(m,) distance of each waypoint along the centre line, from 0 to `length_m`."""
        steps = np.hypot(*np.diff(self.waypoints, axis=0).T)
        return _read_only(np.concatenate(([0.0], np.cumsum(steps))))

    @property
    def length_m(self) -> float:
        """Length of the centre line, its closing segment included."""
        return float(self.distances_m[-1])

    @cached_property
    def widths_m(self) -> FloatArray:
        """
        (m,) width of the road at each waypoint.

        As DeepRacer's simulator has it: the distance between those points of the two borders that
        are nearest to the waypoint. Rows of a file need not lie square to the road.
        """
        nearest = [
            nearest_points(border, self.waypoints)
            for border in map(self._border, (self.inner, self.outer))
        ]
        return _read_only(np.hypot(*(nearest[0] - nearest[1]).T))

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """(x_min, y_min, x_max, y_max) of all three lines."""
        points = np.vstack(self._lines)
        (x_min, y_min), (x_max, y_max) = points.min(axis=0), points.max(axis=0)
        return float(x_min), float(y_min), float(x_max), float(y_max)

    def project(self, points: ArrayLike) -> Projection:
        """Project (k, 2) points onto the nearest place of the whole centre line."""
        at = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        start, step = self.waypoints[:-1], np.diff(self.waypoints, axis=0)
        along = _clipped_fractions(start, step, at)
        gap = at[:, None] - (start + along[..., None] * step)
        segment = np.hypot(gap[..., 0], gap[..., 1]).argmin(axis=1)
        rows = np.arange(len(at))
        length = np.diff(self.distances_m)[segment]
        heading = self.segment_headings_rad[segment]
        gap = gap[rows, segment]
        left = np.cos(heading) * gap[:, 1] - np.sin(heading) * gap[:, 0]
        return Projection(
            distance_m=self.distances_m[segment] + along[rows, segment] * length,
            offset_m=np.copysign(np.hypot(gap[:, 0], gap[:, 1]), left),
            segment=segment.astype(np.int64),
        )

    def points_at(self, distances_m: ArrayLike) -> FloatArray:
        """(k, 2) points of the centre line at (k,) distances; closed tracks go round and round."""
        at = self._within(distances_m)
        x_m = np.interp(at, self.distances_m, self.waypoints[:, 0])
        return np.column_stack((x_m, np.interp(at, self.distances_m, self.waypoints[:, 1])))

    def headings_at(self, distances_m: ArrayLike) -> FloatArray:
        """(k,) heading in radians of the centre line's segment at (k,) distances."""
        at = self._within(distances_m)
        segment = np.searchsorted(self.distances_m, at, side="right") - 1
        return self.segment_headings_rad[np.clip(segment, 0, len(self.segment_headings_rad) - 1)]

    def reversed(self) -> "Track":
        """The same road driven the other way; row 0 stays the start of a closed one."""
        centre, inner, outer = (_turned(line, self.closed) for line in self._lines)
        return Track(self.name, centre, inner, outer, closed=self.closed)

    def mirrored(self) -> "Track":
        """The mirror image in the same place: every bend to the left is one to the right."""
        x_min, _, x_max, _ = self.bounds_m
        centre, inner, outer = (line * (-1.0, 1.0) for line in self._lines)
        return Track(self.name, centre, inner, outer, self.closed).moved(x_min + x_max, 0.0)

    def moved(self, x_m: float, y_m: float) -> "Track":
        """The same road elsewhere."""
        centre, inner, outer = (line + (x_m, y_m) for line in self._lines)
        return Track(self.name, centre, inner, outer, closed=self.closed)

    def renamed(self, name: str) -> "Track":
        """The same road under another name."""
        return replace(self, name=name)

    def to_npy(self) -> bytes:
        """DeepRacer's file: (m, 6) float64, centre, inner and outer, row 0 again where closed."""
        table = np.hstack(self._lines)
        buffer = io.BytesIO()
        np.save(buffer, close(table) if self.closed else table, allow_pickle=False)
        return buffer.getvalue()

    @cached_property
    def segment_headings_rad(self) -> FloatArray:
        """(m - 1,) heading of each segment; one of no length takes that of the one before it."""
        steps = np.diff(self.waypoints, axis=0)
        headings = np.arctan2(steps[:, 1], steps[:, 0])
        has_length = np.flatnonzero(np.hypot(steps[:, 0], steps[:, 1]) > 0)
        before = np.searchsorted(has_length, np.arange(len(steps)), side="right") - 1
        return _read_only(headings[has_length[before]])

    @property
    def _lines(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self.centre, self.inner, self.outer

    def _border(self, line: FloatArray) -> FloatArray:
        return close(line) if self.closed else line

    def _within(self, distances_m: ArrayLike) -> FloatArray:
        at = np.atleast_1d(np.asarray(distances_m, dtype=np.float64))
        return at % self.length_m if self.closed else np.clip(at, 0.0, self.length_m)


def close(rows: FloatArray) -> FloatArray:
    """The rows with the first one again at the end."""
    return np.vstack((rows, rows[:1]))


def nearest_points(line: FloatArray, points: FloatArray) -> FloatArray:
    """(k, 2) points of a polyline (n, 2) that are nearest to (k, 2) points."""
    blocks = np.split(points, range(BLOCK_ROWS, len(points), BLOCK_ROWS))
    return np.vstack([_nearest_points(line, block) for block in blocks])


def _nearest_points(line: FloatArray, points: FloatArray) -> FloatArray:
    start, step = line[:-1], np.diff(line, axis=0)
    along = _clipped_fractions(start, step, points)
    candidates = start + along[..., None] * step
    gap = points[:, None] - candidates
    nearest = np.hypot(gap[..., 0], gap[..., 1]).argmin(axis=1)
    chosen: FloatArray = candidates[np.arange(len(points)), nearest]
    return chosen


def _clipped_fractions(start: FloatArray, step: FloatArray, points: FloatArray) -> FloatArray:
    """(k, s) how far along each of s segments each of k points projects, 0..1."""
    squared = np.einsum("sd,sd->s", step, step)
    dot = np.einsum("ksd,sd->ks", points[:, None] - start, step)
    fractions: FloatArray = np.clip(dot / np.where(squared > 0, squared, 1.0), 0.0, 1.0)
    return fractions


def _turned(line: FloatArray, closed: bool) -> FloatArray:
    """The line's rows the other way round; row 0 keeps its place where the line is closed."""
    return np.roll(line[::-1], 1 if closed else 0, axis=0)


def _read_only(array: FloatArray) -> FloatArray:
    array.setflags(write=False)
    return array
