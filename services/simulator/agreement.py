"""
The reward parameters that a trace holds, recomputed from its poses on the track.

Progress counts from where an episode began, which a log does not say: it is taken from the first
row. Nor does it say the direction: it is the one in which more rows agree.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from libs.common.deepracer.simtrace import TraceRow
from libs.common.tracks import Track
from services.simulator.course import Course, measure_car, survey
from services.simulator.replay import (
    HEADING,
    X,
    Y,
    motion_of,
    put_on_pose,
)
from services.simulator.vehicle import CAR

SAME_PROGRESS_PCT = 0.01


class Agreement(NamedTuple):
    """How many of the rows have the same parameter here as in the log."""

    rows: int
    progress: int  # within 0.01 %
    closest_waypoint: int
    all_wheels_on_track: int


def compare_params(episodes: Sequence[Sequence[TraceRow]], track: Track) -> Agreement:
    """Recompute the parameters of all rows of these episodes."""
    course, ways = survey(track), (track, track.reversed())
    counts = [_compare_episode(episode, course, ways) for episode in episodes]
    return Agreement(*map(sum, zip(*counts, strict=True)))


def _compare_episode(
    episode: Sequence[TraceRow], course: Course, ways: tuple[Track, Track]
) -> Agreement:
    """The direction in which more rows agree: an episode is driven one way round."""
    found = [_compare_way(episode, course, row, way) for row, way in enumerate(ways)]
    return max(found, key=lambda agreement: agreement[1:])


def _compare_way(
    episode: Sequence[TraceRow], course: Course, course_row: int, way: Track
) -> Agreement:
    motion, car = motion_of(episode), np.zeros(1, CAR)[0]
    # The real simulator looks for the nearest place of the whole track, at every step anew.
    places = way.project(motion[:, [X, Y]])
    car["course"], car["distance_m"] = course_row, places.distance_m[0]
    car["travelled_m"] = episode[0].progress_pct / 100.0 * way.length_m
    progress = waypoint = wheels = 0
    for row, segment, logged in zip(motion, places.segment, episode, strict=True):
        car["heading_rad"], car["segment"] = row[HEADING], segment
        put_on_pose(car, row, 1.0, 1.0)
        measure_car(car, course)
        # Not the car's own percentage: logs go below 0 where it was put back behind its start.
        progress_pct = min(100.0 * car["travelled_m"] / way.length_m, 100.0)
        progress += abs(progress_pct - logged.progress_pct) <= SAME_PROGRESS_PCT
        waypoint += int(car["nearest"]) == logged.closest_waypoint
        wheels += (car["wheels_on"] == 4) == logged.all_wheels_on_track
    return Agreement(len(episode), progress, waypoint, wheels)
