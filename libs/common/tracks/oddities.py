"""What is unusual about a track that can be driven: each as a sentence for its owner."""

import numpy as np

from libs.common.tracks.facts import direction_of
from libs.common.tracks.flaws import find_rows_off_road, find_small_loops, listed
from libs.common.tracks.track import Track

VARYING = 1.25
"""The widest place is so many times as wide as the narrowest."""

SKEWED = 1.5
"""Border points of one row are so many times as far apart as the road is wide there."""

GAP = 10.0
"""A segment is so many times as long as most."""


def describe_oddities(track: Track) -> list[str]:
    """Sentences about direction, repeated points, width, pairing of rows and small loops."""
    found = [
        _describe_direction(track),
        _describe_repeats(track),
        _describe_gaps(track),
        _describe_width(track),
        _describe_pairing(track),
        _describe_loops(track),
        _describe_leaving(track),
    ]
    return [sentence for sentence in found if sentence]


def _describe_direction(track: Track) -> str:
    return "it runs clockwise, as given" if direction_of(track) == "clockwise" else ""


def _describe_repeats(track: Track) -> str:
    rows = np.flatnonzero(np.diff(track.distances_m) == 0) + 1
    told = listed([f"row {row}" for row in rows])
    return f"segments of no length: {told} repeats the one before, and counts" if told else ""


def _describe_gaps(track: Track) -> str:
    steps_m = np.diff(track.distances_m)
    rows = np.flatnonzero(steps_m > GAP * np.median(steps_m))
    told = listed([f"{steps_m[row]:.2f} m after row {row}" for row in rows])
    return f"long segments: {told}, where most have {np.median(steps_m):.2f} m" if told else ""


def _describe_width(track: Track) -> str:
    low_m, high_m = track.widths_m.min(), track.widths_m.max()
    return f"its width varies: {low_m:.2f}-{high_m:.2f} m" if high_m > VARYING * low_m else ""


def _describe_pairing(track: Track) -> str:
    paired_m = np.hypot(*(track.inner - track.outer).T)
    widths_m = track.widths_m[: len(paired_m)]
    row = int(np.argmax(paired_m / widths_m))
    if paired_m[row] <= SKEWED * widths_m[row]:
        return ""
    return (
        f"rows of the borders do not lie beside each other: in row {row} they are "
        f"{paired_m[row]:.2f} m apart, where the road is {widths_m[row]:.2f} m wide"
    )


def _describe_loops(track: Track) -> str:
    told = listed([f"({at.x_m:.2f}, {at.y_m:.2f}) m" for at in find_small_loops(track)])
    return f"lines cross themselves in small loops, which a car passes, at {told}" if told else ""


def _describe_leaving(track: Track) -> str:
    told = listed([f"row {row}" for row in find_rows_off_road(track)])
    return f"the centre line is not between the borders in {told}" if told else ""
