"""Edges of borders and dashes: on the ground of a track, and between the pixels of a picture."""

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import Track
from services.simulator.world import BORDER, DASH, FIELD, ROAD, dash_outlines, shift_border

SPACING_M = 0.015

Lines = dict[str, NDArray[np.float64]]
"""Points (n, 2) by the kind of edge: `inner` and `outer` of borders, and `dash`."""


def sample_lines(track: Track, spec: WorldSpec) -> Lines:
    """Points of a track's edges, in metres, at most `SPACING_M` apart."""
    half_m = spec.border_width_m / 2
    edges = {
        kind: np.vstack(
            [
                _sample(shift_border(border, track, spec.border_shift_m + way * half_m))
                for border in (track.inner, track.outer)
            ]
        )
        for kind, way in (("inner", -1), ("outer", 1))
    }
    outlines = [_sample(np.vstack((line, line[:1]))) for line in dash_outlines(track, spec)]
    return {**edges, "dash": np.vstack(outlines)}


def _sample(line: NDArray[np.float64]) -> NDArray[np.float64]:
    along_m = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))))
    places = np.arange(0, along_m[-1], SPACING_M)
    return np.column_stack([np.interp(places, along_m, line[:, axis]) for axis in range(2)])


def edges_of(labels: NDArray[np.uint8]) -> Lines:
    """Columns and rows of the edges in a labelled picture (height, width); kinds that are there."""
    edges = {
        "inner": _between(np.isin(labels, (ROAD, DASH)), labels == BORDER),
        "outer": _between(labels == BORDER, labels == FIELD),
        "dash": _between(labels == DASH, labels == ROAD),
    }
    return {kind: points for kind, points in edges.items() if len(points)}


def _between(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Where pixels of two masks touch: the middles of their common sides."""
    sides = []
    for one, other in ((first, second), (second, first)):
        row, column = np.nonzero(one[:, :-1] & other[:, 1:])
        sides.append(np.column_stack((column + 1.0, row + 0.5)))
        row, column = np.nonzero(one[:-1] & other[1:])
        sides.append(np.column_stack((column + 0.5, row + 1.0)))
    return np.vstack(sides)
