"""The peak figures of a run: fastest lap, fastest pace, most reward, furthest."""

import math

from libs.common.events import EpisodeEnded, Phase
from services.streamer.shown import Shown

MIN_PACE_PROGRESS_PCT = 20.0
"""A pace is extrapolated from at least this much of a lap; a car that leaves at once has none."""


class Peak(Shown):
    """The best value so far and the episode that reached it; in evaluations the trial."""

    value: float
    episode: int
    phase: Phase
    progress_pct: float


class Peaks(Shown):
    """
    The best of all episodes, training and evaluation.

    `fastest_lap_s` counts completed laps only. `fastest_pace_s` is what a lap would have taken at
    the pace of an episode that did not complete one.
    """

    fastest_lap_s: Peak | None = None
    fastest_pace_s: Peak | None = None
    most_reward: Peak | None = None
    furthest_pct: Peak | None = None

    def after(self, episode: EpisodeEnded) -> "Peaks":
        """The peaks with one more episode."""
        return Peaks(
            fastest_lap_s=_lesser(self.fastest_lap_s, _peak(episode, episode.lap_s)),
            fastest_pace_s=_lesser(self.fastest_pace_s, _peak(episode, pace_s(episode))),
            most_reward=_greater(self.most_reward, _peak(episode, episode.reward)),
            furthest_pct=_greater(self.furthest_pct, _peak(episode, episode.progress_pct)),
        )


def pace_s(episode: EpisodeEnded) -> float | None:
    """Seconds that a lap would take at this pace; None for completed laps and very short drives."""
    times_s = episode.columns.sim_time_s
    if episode.lap_s is not None or episode.progress_pct < MIN_PACE_PROGRESS_PCT or not times_s:
        return None
    return (times_s[-1] - times_s[0]) * 100.0 / episode.progress_pct


def _peak(episode: EpisodeEnded, value: float | None) -> Peak | None:
    if value is None or not math.isfinite(value):
        return None
    return Peak(
        value=value,
        episode=episode.episode,
        phase=episode.phase,
        progress_pct=episode.progress_pct,
    )


def _lesser(held: Peak | None, new: Peak | None) -> Peak | None:
    if held is None or new is None:
        return held or new
    return new if new.value < held.value else held


def _greater(held: Peak | None, new: Peak | None) -> Peak | None:
    if held is None or new is None:
        return held or new
    return new if new.value > held.value else held
