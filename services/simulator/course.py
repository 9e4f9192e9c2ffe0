"""Where cars are on a track: the compiled twin of `Track.project`, and the road's surface."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.tracks import Track
from services.simulator.kernels import kernel
from services.simulator.vehicle import (
    FRONT_AXLE_M,
    FRONT_HALF_TRACK_M,
    REAR_AXLE_M,
    REAR_HALF_TRACK_M,
    REFERENCE_POINT_M,
    Cars,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SEARCH_WINDOW_M = 1.5  # along the track, both ways; the fastest car moves 0.93 m in a step
BAND_M = 0.05  # height of the bands that border edges are sorted into


class Course(NamedTuple):
    """
    A track for compiled code, in both directions: row 0 as it runs, row 1 reversed.

    The road is what lies between the borders: a point is on it when a ray from it crosses their
    edges an odd number of times. Edges are sorted into horizontal bands, so that the cost does not
    grow with the length of the track.
    """

    waypoints: FloatArray  # (2, m, 2)
    distances_m: FloatArray  # (2, m)
    widths_m: FloatArray  # (2, m)
    headings_rad: FloatArray  # (2, m - 1) of the segments
    closed: bool
    edges: FloatArray  # (e, 4) x, y of both ends
    bands: IntArray  # (b + 1,) where each band's edges begin in `band_edges`
    band_edges: IntArray
    bands_y_m: float  # lower side of the first band


def survey(track: Track) -> Course:
    """The course of a track."""
    ways = (track, track.reversed())
    edges = _border_edges(track)
    y_min_m = float(edges[:, [1, 3]].min())
    bands, band_edges = _sort_into_bands(edges, y_min_m)
    return Course(
        waypoints=np.stack([way.waypoints for way in ways]),
        distances_m=np.stack([way.distances_m for way in ways]),
        widths_m=np.stack([way.widths_m for way in ways]),
        headings_rad=np.stack([way.segment_headings_rad for way in ways]),
        closed=track.closed,
        edges=edges,
        bands=bands,
        band_edges=band_edges,
        bands_y_m=y_min_m,
    )


def _border_edges(track: Track) -> FloatArray:
    """(e, 4) edges of the road's outline: two rings where it is closed, else one."""
    if track.closed:
        rings = [track.inner, track.outer]
    else:
        rings = [np.vstack((track.inner, track.outer[::-1]))]
    return np.vstack([np.hstack((ring, np.roll(ring, -1, axis=0))) for ring in rings])


def _sort_into_bands(edges: FloatArray, y_min_m: float) -> tuple[IntArray, IntArray]:
    """Which edges touch each band, as offsets and a flat list."""
    ends = np.sort(edges[:, [1, 3]], axis=1) - y_min_m
    first, last = np.floor(ends / BAND_M).astype(np.int64).T
    members: list[list[int]] = [[] for _ in range(int(last.max()) + 1)]
    for edge, (low, high) in enumerate(zip(first, last, strict=True)):
        for band in range(low, high + 1):
            members[band].append(edge)
    offsets = np.cumsum([0, *map(len, members)]).astype(np.int64)
    return offsets, np.concatenate(members).astype(np.int64)


@kernel
def measure_cars(cars: Cars, course: Course) -> None:
    """Where each car is, given a `segment` near it; measuring again changes nothing."""
    for index in range(len(cars)):
        measure_car(cars[index], course)


@kernel
def measure_car(car: np.void, course: Course) -> None:
    """Reference point, place along the course, progress and wheels of one car."""
    cosine, sine = math.cos(car["heading_rad"]), math.sin(car["heading_rad"])
    car["front_x_m"] = car["x_m"] + REFERENCE_POINT_M * cosine
    car["front_y_m"] = car["y_m"] + REFERENCE_POINT_M * sine
    before_m = car["distance_m"]
    locate_car(car, course)
    car["gained_m"] = gap_m(before_m, car["distance_m"], course)
    car["travelled_m"] += car["gained_m"]
    progress_pct = 100.0 * car["travelled_m"] / course.distances_m[0, -1]
    car["progress_pct"] = min(max(progress_pct, 0.0), 100.0)
    wheels_on = 0
    for side in (1.0, -1.0):
        wheels_on += _is_wheel_on(
            car, cosine, sine, FRONT_AXLE_M, side * FRONT_HALF_TRACK_M, course
        )
        wheels_on += _is_wheel_on(car, cosine, sine, REAR_AXLE_M, side * REAR_HALF_TRACK_M, course)
    car["wheels_on"] = wheels_on


@kernel
def gap_m(before_m: float, after_m: float, course: Course) -> float:
    """From one distance along the course to another, the short way round a closed one."""
    gap = after_m - before_m
    if course.closed:
        length_m = course.distances_m[0, -1]
        gap -= length_m * math.floor(gap / length_m + 0.5)
    return gap


@kernel
def locate_car(car: np.void, course: Course) -> None:
    """Project the reference point onto the segments within reach of the last one."""
    row = car["course"]
    segments = course.distances_m.shape[1] - 1
    best, best_squared, best_along = car["segment"], math.inf, 0.0
    for step in (1, -1):
        segment = car["segment"] if step == 1 else car["segment"] - 1
        walked_m = 0.0
        for _ in range(segments):
            if course.closed:
                segment %= segments
            if segment < 0 or segment >= segments or walked_m > SEARCH_WINDOW_M:
                break
            squared, along = _project(car["front_x_m"], car["front_y_m"], row, segment, course)
            if squared < best_squared:
                best, best_squared, best_along = segment, squared, along
            walked_m += course.distances_m[row, segment + 1] - course.distances_m[row, segment]
            segment += step
    _settle(car, row, best, math.sqrt(best_squared), best_along, course)


@kernel
def _project(x_m: float, y_m: float, row: int, segment: int, course: Course) -> tuple[float, float]:
    """Squared distance of a point from a segment, and how far along it (0..1) it projects."""
    start_x, start_y = course.waypoints[row, segment, 0], course.waypoints[row, segment, 1]
    step_x = course.waypoints[row, segment + 1, 0] - start_x
    step_y = course.waypoints[row, segment + 1, 1] - start_y
    squared = step_x * step_x + step_y * step_y
    along = 0.0
    if squared > 0.0:
        along = ((x_m - start_x) * step_x + (y_m - start_y) * step_y) / squared
        along = min(max(along, 0.0), 1.0)
    gap_x, gap_y = x_m - start_x - along * step_x, y_m - start_y - along * step_y
    return gap_x * gap_x + gap_y * gap_y, along


@kernel
def _settle(
    car: np.void, row: int, segment: int, gap_m: float, along: float, course: Course
) -> None:
    """Write down the place of a car that projects `along` a segment from `gap_m` away."""
    start_x, start_y = course.waypoints[row, segment, 0], course.waypoints[row, segment, 1]
    end_x, end_y = course.waypoints[row, segment + 1, 0], course.waypoints[row, segment + 1, 1]
    right_x, right_y = car["front_x_m"] - start_x, car["front_y_m"] - start_y
    left = (end_x - start_x) * right_y - (end_y - start_y) * right_x
    to_start = math.hypot(right_x, right_y)
    to_end = math.hypot(car["front_x_m"] - end_x, car["front_y_m"] - end_y)
    begin_m, end_m = course.distances_m[row, segment], course.distances_m[row, segment + 1]
    widths_m = course.widths_m[row]
    car["segment"] = segment
    car["distance_m"] = begin_m + along * (end_m - begin_m)
    car["offset_m"] = gap_m if left > 0 else -gap_m
    car["width_m"] = widths_m[segment] + along * (widths_m[segment + 1] - widths_m[segment])
    # As the logs have it: the nearer end of the segment, the former when they are equally near.
    car["nearest"] = segment if to_start <= to_end else segment + 1


@kernel
def _is_wheel_on(
    car: np.void, cosine: float, sine: float, ahead_m: float, left_m: float, course: Course
) -> int:
    """1 where the wheel that is so far ahead and left of a car's origin is on the road, else 0."""
    x_m = car["x_m"] + ahead_m * cosine - left_m * sine
    y_m = car["y_m"] + ahead_m * sine + left_m * cosine
    return 1 if is_on_road(x_m, y_m, course) else 0


@kernel
def is_on_road(x_m: float, y_m: float, course: Course) -> bool:
    """Whether a point lies between the borders."""
    band = int(math.floor((y_m - course.bands_y_m) / BAND_M))
    if band < 0 or band >= len(course.bands) - 1:
        return False
    inside = False
    for index in range(course.bands[band], course.bands[band + 1]):
        edge = course.edges[course.band_edges[index]]
        if (edge[1] > y_m) != (edge[3] > y_m):
            crossing_x = edge[0] + (y_m - edge[1]) / (edge[3] - edge[1]) * (edge[2] - edge[0])
            inside ^= x_m < crossing_x
    return inside


@kernel
def segment_at(distance_m: float, row: int, course: Course) -> int:
    """The last segment that begins at or before a distance, by bisection."""
    low, high = 0, course.distances_m.shape[1] - 2
    while low < high:
        middle = (low + high + 1) // 2
        if course.distances_m[row, middle] <= distance_m:
            low = middle
        else:
            high = middle - 1
    return low


@kernel
def pose_at(
    distance_m: float, offset_m: float, row: int, segment: int, course: Course
) -> tuple[float, float, float]:
    """x, y and heading of a place beside the centre line, in a known segment."""
    begin_m, end_m = course.distances_m[row, segment], course.distances_m[row, segment + 1]
    along = (distance_m - begin_m) / (end_m - begin_m) if end_m > begin_m else 0.0
    start, end = course.waypoints[row, segment], course.waypoints[row, segment + 1]
    heading_rad = course.headings_rad[row, segment]
    x_m = start[0] + along * (end[0] - start[0]) - offset_m * math.sin(heading_rad)
    y_m = start[1] + along * (end[1] - start[1]) + offset_m * math.cos(heading_rad)
    return x_m, y_m, heading_rad
