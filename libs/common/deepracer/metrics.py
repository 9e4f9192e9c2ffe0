"""
`TrainingMetrics.json` and evaluation metrics from episode events (reference 1.4).

Whole numbers as in the published files: scores are rounded, percentages cut, times in milliseconds
of the simulated clock.
"""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from libs.common.deepracer.simtrace import duration_s, start_times_s
from libs.common.events.rollouts import EpisodeEnded
from libs.common.events.values import EpisodeStatus

STATUS_LABELS: dict[EpisodeStatus, str] = {
    "lap_complete": "Lap complete",
    "crashed": "Crashed",
    "off_track": "Off track",
    "immobilized": "Immobilized",
    "in_progress": "In progress",
    "reversed": "Reversed",
    "time_up": "Time Up",
}
"""What the metrics call the raw names of the traces."""

METRICS_VERSION = 2.0
BEST_MODEL_METRIC = "progress"


def training_metrics(episodes: Iterable[EpisodeEnded]) -> dict[str, Any]:
    """
    The document of a run: its training episodes, and evaluations made between them.

    Args:
        episodes: all episodes of the run, in the order of the journal.
    """
    driven = list(episodes)
    starts_s = start_times_s(driven)
    trials: Counter[int] = Counter()  # training episodes so far, by iteration
    trained = 0
    trial = 0
    rows = []
    for episode in driven:
        if episode.phase == "training":
            trials[episode.iteration] += 1
            trained, trial = episode.episode + 1, trials[episode.iteration]
        # An evaluation's row repeats the numbers of the training episode before it.
        rows.append(_training_row(episode, starts_s[episode.id], trained, trial))
    return {"metrics": rows, "version": METRICS_VERSION, "best_model_metric": BEST_MODEL_METRIC}


def evaluation_metrics(episodes: Iterable[EpisodeEnded]) -> dict[str, Any]:
    """The document of one evaluation; `episodes` are its trials."""
    trials = sorted(episodes, key=lambda one: one.episode)
    starts_s = start_times_s(trials)
    return {"metrics": [_evaluation_row(trial, starts_s[trial.id]) for trial in trials]}


def encode(document: dict[str, Any]) -> bytes:
    """The document as the file's bytes."""
    return json.dumps(document).encode()


def _training_row(episode: EpisodeEnded, start_s: float, number: int, trial: int) -> dict[str, Any]:
    return {
        "reward_score": round(episode.reward),
        **_times(episode, start_s),
        "episode": number,
        "trial": trial,
        "phase": episode.phase,
        "completion_percentage": int(episode.progress_pct),
        "episode_status": STATUS_LABELS[episode.status],
    }


def _evaluation_row(episode: EpisodeEnded, start_s: float) -> dict[str, Any]:
    return {
        "completion_percentage": int(episode.progress_pct),
        **_times(episode, start_s),
        "episode_status": STATUS_LABELS[episode.status],
        "crash_count": _count(episode.crash_count, episode.status == "crashed"),
        "immobilized_count": _count(episode.immobilized_count, episode.status == "immobilized"),
        "off_track_count": _count(episode.off_track_count, episode.status == "off_track"),
        "reversed_count": _count(episode.reversed_count, episode.status == "reversed"),
        "reset_count": episode.reset_count,  # none where the first breach ends a trial
        "trial": episode.episode + 1,
    }


def _count(counted: int, ended_by_it: bool) -> int:
    """Episodes of old journals have no counts, but tell how they ended."""
    return max(counted, int(ended_by_it))


def _times(episode: EpisodeEnded, start_s: float) -> dict[str, int]:
    start_ms = round(start_s * 1000)
    elapsed_ms = round(duration_s(episode) * 1000)
    return {
        "metric_time": start_ms + elapsed_ms,
        "start_time": start_ms,
        "elapsed_time_in_milliseconds": elapsed_ms,
    }
