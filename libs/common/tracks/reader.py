"""Reading the community's track files as they are found, and saying what was unusual in them."""

from dataclasses import dataclass

import numpy as np

from libs.common.errors import InvalidInput
from libs.common.tracks.borders import DEFAULT_WIDTH_M, build_road, signed_area_m2
from libs.common.tracks.flaws import find_road_flaws, find_room_flaws, find_table_flaws
from libs.common.tracks.npy import CENTRE_COLUMNS, read_table
from libs.common.tracks.oddities import describe_oddities
from libs.common.tracks.track import FloatArray, Track

SAME_POINT_M = 1e-3
"""Ends this near are one point that was rounded, as in single precision."""

LEAST_WIDTH_M, MOST_WIDTH_M = 0.2, 20.0
"""A car is 0.2 m wide."""


@dataclass(frozen=True)
class TrackFile:
    """A track that was read, and what a user should know about how."""

    track: Track
    notes: tuple[str, ...]


def parse_npy(name: str, data: bytes) -> Track:
    """The track in the bytes of an `.npy` file, as `read_npy` has it, without the notes."""
    return read_npy(name, data).track


def read_npy(name: str, data: bytes, width_m: float | None = None) -> TrackFile:
    """
    Read a track from the bytes of an `.npy` file.

    Rows are `centre x, y, inner x, y, outer x, y` in metres, in the driving direction, or only
    `centre x, y`: then `width_m` (1.067 where it is None) is the road's width. A closed track
    repeats row 0 at its end; one whose ends nearly meet is closed. Rows keep their numbers, for
    logs count them.

    Raises:
        InvalidInput: no track, or no road that can be driven; every reason, with rows and values.
    """
    refuse(name, find_width_option_flaws(width_m))
    table = read_table(name, data)
    refuse(name, find_table_flaws(table))
    rows, closed, notes = _find_closure(table)
    if rows.shape[1] == CENTRE_COLUMNS:
        track = build_road(name, rows, width_m or DEFAULT_WIDTH_M, closed)
        refuse(name, find_room_flaws(track, width_m or DEFAULT_WIDTH_M))
        notes.append(f"the file has a centre line only: borders {_told_width(width_m)} apart")
    else:
        track, more = _build_given(name, rows, closed)
        notes += more
        if width_m is not None:
            notes.append(f"the file has borders of its own: the width {width_m} m is not used")
    refuse(name, find_road_flaws(track))
    return TrackFile(track, (*notes, *describe_oddities(track)))


def find_width_option_flaws(width_m: float | None) -> list[str]:
    """Why this can't be the width of a road, if it can't; None is no width and no flaw."""
    if width_m is None or LEAST_WIDTH_M <= width_m <= MOST_WIDTH_M:
        return []
    return [f"a width of {width_m} m; accepted are {LEAST_WIDTH_M} to {MOST_WIDTH_M:.0f} m"]


def refuse(name: str, flaws: list[str]) -> None:
    """Raise `InvalidInput` with every flaw, if there are any."""
    if flaws:
        raise InvalidInput([f"track {name!r}: {flaw}" for flaw in flaws])


def _find_closure(table: FloatArray) -> tuple[FloatArray, bool, list[str]]:
    """The rows without the closing one, whether they are a loop, and what there is to say."""
    last = len(table) - 1
    if np.array_equal(table[0], table[-1]):
        return table[:-1], True, []
    gap_m = float(np.hypot(*(table[-1, 0:2] - table[0, 0:2])))
    if gap_m <= SAME_POINT_M:
        return table[:-1], True, [f"row {last} is taken as row 0 again: {gap_m * 1e3:.3f} mm off"]
    if gap_m <= _closing_reach_m(table):
        note = f"row 0 does not come again at the end, {gap_m:.3f} m from it: the loop was closed"
        return table, True, [note]
    return table, False, [f"the track is open: its ends are {gap_m:.2f} m apart"]


def _closing_reach_m(table: FloatArray) -> float:
    """How near to each other the ends of a loop are: two segments, or the road's width."""
    steps_m = np.hypot(*np.diff(table[:, 0:2], axis=0).T)
    reach_m = 2 * float(np.median(steps_m[steps_m > 0]))
    if table.shape[1] != CENTRE_COLUMNS:
        reach_m = max(reach_m, float(np.hypot(*(table[0, 2:4] - table[0, 4:6]))))
    # What hardly goes anywhere is no loop.
    return min(reach_m, float(steps_m.sum()) / 4)


def _build_given(name: str, rows: FloatArray, closed: bool) -> tuple[Track, list[str]]:
    """The track of six columns; the inner border of a loop is that of its infield."""
    centre, inner, outer = (rows[:, place : place + 2].copy() for place in (0, 2, 4))
    notes = []
    if closed and abs(signed_area_m2(inner)) > abs(signed_area_m2(outer)):
        inner, outer = outer, inner
        notes.append("the inner border lay outside of the outer one: they were swapped")
    return Track(name, centre, inner, outer, closed=closed), notes


def _told_width(width_m: float | None) -> str:
    return f"{DEFAULT_WIDTH_M} m (as most tracks are)" if width_m is None else f"{width_m} m"
