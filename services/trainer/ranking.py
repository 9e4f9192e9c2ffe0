"""Which evaluation is the better one, and how much of a run evaluations may take."""

from collections.abc import Callable, Mapping, Sequence

from libs.common.deepracer.run_spec import BestBy
from libs.common.events import TrialResult

Rank = tuple[float, float, float]
"""Ranks compare as tuples: the share of completed trials, the metric, the mean progress."""


def rank(trials: Sequence[TrialResult], best_by: BestBy) -> Rank:
    """What an evaluation is worth: completion goes first, and no metric before it."""
    return _completion(trials), METRICS[best_by](trials), mean_progress_pct(trials)


def mean_progress_pct(trials: Sequence[TrialResult]) -> float:
    """The mean progress in per cent."""
    return sum(trial.progress_pct for trial in trials) / len(trials)


def _completion(trials: Sequence[TrialResult]) -> float:
    return sum(trial.status == "lap_complete" for trial in trials) / len(trials)


def _mean_reward(trials: Sequence[TrialResult]) -> float:
    return sum(trial.reward for trial in trials) / len(trials)


def _quickness(trials: Sequence[TrialResult]) -> float:
    """The mean lap time in seconds, turned so that more is better; without a lap the least."""
    laps_s = [trial.lap_s for trial in trials if trial.lap_s is not None]
    return -sum(laps_s) / len(laps_s) if laps_s else float("-inf")


METRICS: Mapping[BestBy, Callable[[Sequence[TrialResult]], float]] = {
    "progress": mean_progress_pct,
    "completion": _completion,
    "reward": _mean_reward,
    "lap_time": _quickness,
}


class EvaluationShare:
    """
    Keeps evaluations to a share of the wall-clock since `began_at_s`.

    The next one is expected to take as long as the longest so far; what the first one takes nobody
    knows, so that it is always driven.
    """

    def __init__(self, most_share: float, began_at_s: float) -> None:
        self._most_share, self._began_at_s = most_share, began_at_s
        self._spent_s = self._longest_s = 0.0

    def note(self, seconds: float) -> None:
        """An evaluation was out for so long."""
        self._spent_s += seconds
        self._longest_s = max(self._longest_s, seconds)

    def affords_another(self, now_s: float) -> bool:
        """Whether the share is kept if another evaluation begins now."""
        passed_s = now_s - self._began_at_s + self._longest_s
        return self._spent_s + self._longest_s <= self._most_share * passed_s
