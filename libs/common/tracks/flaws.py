"""Why a table is no track, or a track no road that a car can drive: each reason as a sentence."""

from collections.abc import Sequence

import numpy as np
import shapely

from libs.common.tracks.crossings import Crossing, find_crossings, find_self_crossings
from libs.common.tracks.npy import ROAD_COLUMNS
from libs.common.tracks.track import FloatArray, IntArray, Track, close

MAX_EXTENT_M = 1_000.0
MAX_LENGTH_M = 2_000.0
"""Twenty times the longest track of the community; of the borders too."""

MIN_POINTS = 4
MIN_WIDTH_M = 0.05
MOST_OFF_ROAD = 0.25
"""The share of the centre line that may leave the road, as some do by a little in tight bends."""

MOST_NARROWED = 0.9
"""The share of its width that a road built round a centre line has everywhere."""

LOOP_WIDTHS, LOOP_SHARE = 3.0, 0.25
"""
A line may cross itself in a loop up to so many road widths, and this share of itself, long: those
of the inner borders of tight bends, which were made by shifting the centre line. A car passes
outside of them.
"""

MOST_TOLD = 5


def find_table_flaws(table: FloatArray) -> list[str]:
    """What is wrong with the numbers of a table (rows, 2 or 6) in metres."""
    bad = [
        f"row {row}, column {column} is {table[row, column]}"
        for row, column in np.argwhere(~np.isfinite(table))
    ]
    if bad:
        flaws = [] if len(table) >= MIN_POINTS else [_too_few(len(table))]
        return [*flaws, f"{listed(bad)}; every value must be a finite number of metres"]
    points = len(np.unique(table[:, 0:2], axis=0))
    flaws = [_too_few(points)] if points < MIN_POINTS else []
    if len(table):
        with np.errstate(over="ignore", invalid="ignore"):  # of values that are refused here
            flaws += _find_size_flaws(table)
    return flaws


def _too_few(points: int) -> str:
    return f"{points} different points; at least {MIN_POINTS} are needed"


def _find_size_flaws(table: FloatArray) -> list[str]:
    flaws = []
    extent_m = float(np.ptp(table.reshape(-1, 2), axis=0).max())
    if extent_m > MAX_EXTENT_M:
        flaws.append(
            f"it extends over {extent_m:.0f} m; at most {MAX_EXTENT_M:.0f} m are accepted "
            "(are the values metres?)"
        )
    lengths_m = np.hypot(*np.diff(table.reshape(len(table), -1, 2), axis=0).T).sum(axis=1)
    if lengths_m[0] == 0.0:
        flaws.append("all centre points are the same; the length is 0 m")
    if lengths_m.max() > MAX_LENGTH_M:
        flaws.append(
            f"a line of it is {lengths_m.max():.0f} m long; at most {MAX_LENGTH_M:.0f} m are "
            "accepted"
        )
    if table.shape[1] == ROAD_COLUMNS:
        flaws += _find_width_flaws(table)
    return flaws


def _find_width_flaws(table: FloatArray) -> list[str]:
    widths_m = np.hypot(*(table[:, 2:4] - table[:, 4:6]).T)
    narrow = np.flatnonzero(widths_m < MIN_WIDTH_M)
    if not len(narrow):
        return []
    told = listed([f"row {row} is {widths_m[row]:.3f} m wide" for row in narrow])
    return [f"{told} between its borders; at least {MIN_WIDTH_M} m are needed"]


def find_room_flaws(track: Track, width_m: float) -> list[str]:
    """Why a centre line has no room for the road of this width that was built round it."""
    flaws = _find_centre_flaws(track)
    row = int(track.widths_m.argmin())
    if track.widths_m[row] < MOST_NARROWED * width_m:
        flaws.append(
            f"a road of {width_m} m has no room: {track.widths_m[row]:.2f} m are left in row "
            f"{row}, where it meets itself or bends too sharply; accepted is one that is narrower"
        )
    return flaws


def find_road_flaws(track: Track) -> list[str]:
    """What makes the road of finite lines one that a car can't drive."""
    flaws = _find_centre_flaws(track) + _find_border_flaws(track)
    off_road = find_rows_off_road(track)
    if len(off_road) > MOST_OFF_ROAD * len(track.centre):
        flaws.append(
            f"{len(off_road)} of {len(track.centre)} centre points are not between the borders, "
            f"the first in row {off_road[0]}; the columns must be centre x, y, inner x, y, "
            "outer x, y"
        )
    return flaws


def _find_centre_flaws(track: Track) -> list[str]:
    large, _ = _find_loops(lines_of(track)[0], track)
    return _told("the centre line crosses itself", large)


def _find_border_flaws(track: Track) -> list[str]:
    _, inner, outer = lines_of(track)
    return [
        *_told("the inner border crosses itself", _find_loops(inner, track)[0]),
        *_told("the outer border crosses itself", _find_loops(outer, track)[0]),
        *_told("the inner border crosses the outer one", find_crossings(inner, outer)),
    ]


def find_small_loops(track: Track) -> list[Crossing]:
    """Where a line crosses itself in a loop that a car can pass."""
    return [crossing for line in lines_of(track) for crossing in _find_loops(line, track)[1]]


def _find_loops(line: FloatArray, track: Track) -> tuple[list[Crossing], list[Crossing]]:
    """Where a line crosses itself: in large loops, and in small ones."""
    length_m = float(np.hypot(*np.diff(line, axis=0).T).sum())
    limit_m = min(LOOP_WIDTHS * float(np.median(track.widths_m)), LOOP_SHARE * length_m)
    found = find_self_crossings(line)
    large = [crossing for crossing in found if crossing.loop_m > limit_m]
    return large, [crossing for crossing in found if crossing.loop_m <= limit_m]


def lines_of(track: Track) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centre, inner and outer (m, 2), each with its first row again at the end where closed."""
    lines = (track.centre, track.inner, track.outer)
    centre, inner, outer = map(close, lines) if track.closed else lines
    return centre, inner, outer


def find_rows_off_road(track: Track) -> IntArray:
    """Rows whose centre point is not between the borders, as the simulator counts it."""
    if track.closed:
        rows, rings = np.arange(len(track.centre)), [track.inner, track.outer]
    else:  # its ends lie on the outline
        rows = np.arange(1, len(track.centre) - 1)
        rings = [np.vstack((track.inner, track.outer[::-1]))]
    x_m, y_m = track.centre[rows].T
    within = [shapely.contains_xy(shapely.Polygon(ring), x_m, y_m) for ring in rings]
    off_road: IntArray = rows[~np.logical_xor.reduce(within)]
    return off_road


def listed(parts: Sequence[str]) -> str:
    """The first few of many, and how many more there are."""
    rest = len(parts) - MOST_TOLD
    return ", ".join(parts[:MOST_TOLD]) + (f" and {rest} more" if rest > 0 else "")


def _told(what: str, crossings: list[Crossing]) -> list[str]:
    """One sentence, or none where there is no crossing."""
    places = [
        f"at ({at.x_m:.2f}, {at.y_m:.2f}) m by rows {at.rows[0]} and {at.rows[1]}"
        for at in crossings
    ]
    return [f"{what} {listed(places)}"] if places else []
