"""What the trials of an evaluation amount to: laps, their times, how often the car was put back."""

from collections.abc import Sequence

from libs.common.events import TrialResult


def lap_times_s(trials: Sequence[TrialResult]) -> list[float]:
    """Every completed lap, penalties included. The first simulators told a trial's mean alone."""
    return [
        lap_s
        for trial in trials
        for lap_s in trial.lap_times_s or ([] if trial.lap_s is None else [trial.lap_s])
    ]


def mean_s(times_s: Sequence[float]) -> float | None:
    """Their mean; None of nothing."""
    return sum(times_s) / len(times_s) if times_s else None


def clean_trials(trials: Sequence[TrialResult]) -> int:
    """Trials that completed all their laps and were never put back."""
    return sum(trial.clean for trial in trials)


def resets(trials: Sequence[TrialResult]) -> int:
    """How often the car was put back on the road."""
    return sum(trial.reset_count for trial in trials)
