"""Which evaluation is better, and how many of them a run may have."""

import pytest

from libs.common.events import TrialResult
from services.trainer.ranking import EvaluationShare, rank


def trial(progress_pct: float, reward: float = 0.0, lap_s: float | None = None) -> TrialResult:
    return TrialResult(
        trial=0,
        status="off_track" if lap_s is None else "lap_complete",
        progress_pct=progress_pct,
        steps=100,
        lap_s=lap_s,
        reward=reward,
    )


SLOW = [trial(100, reward=50, lap_s=12), trial(100, reward=50, lap_s=14)]
QUICK = [trial(100, reward=30, lap_s=9), trial(100, reward=30, lap_s=8)]
HALF = [trial(100, reward=90, lap_s=5), trial(95, reward=90)]
NONE = [trial(99, reward=200), trial(99, reward=200)]
LESS = [trial(40, reward=300), trial(20, reward=300)]


@pytest.mark.parametrize(
    ("best_by", "order"),
    [
        ("reward", [QUICK, SLOW]),
        ("lap_time", [SLOW, QUICK]),
        ("reward", [NONE, LESS, HALF, QUICK, SLOW]),
        ("lap_time", [LESS, NONE, HALF, SLOW, QUICK]),
        ("progress", [LESS, NONE, HALF, QUICK]),
        ("completion", [LESS, NONE, HALF, QUICK]),
    ],
)
def test_completion_goes_first_then_what_was_asked_for(best_by, order):
    assert sorted(reversed(order), key=lambda trials: rank(trials, best_by)) == order


@pytest.mark.parametrize("best_by", ["progress", "completion"])
def test_other_metrics_do_not_break_a_tie(best_by):
    assert rank(SLOW, best_by) == rank(QUICK, best_by)


def test_the_first_evaluation_is_always_driven():
    assert EvaluationShare(0.1, began_at_s=100.0).affords_another(100.0)


@pytest.mark.parametrize("seconds", [0.5, 2.0, 7.0])
@pytest.mark.parametrize("most_share", [0.1, 0.3])
def test_evaluations_keep_to_their_share_of_the_wall_clock(seconds, most_share):
    share, now_s, spent_s = EvaluationShare(most_share, began_at_s=0.0), 0.0, 0.0
    while now_s < 1000:
        now_s += 0.5  # an iteration
        if share.affords_another(now_s):
            now_s, spent_s = now_s + seconds, spent_s + seconds
            share.note(seconds)
            assert spent_s == seconds or spent_s <= most_share * now_s
    assert spent_s > (most_share - 0.02) * now_s


def test_the_longest_evaluation_so_far_is_what_the_next_one_is_expected_to_take():
    share = EvaluationShare(0.1, began_at_s=0.0)
    for seconds in (1.0, 5.0, 1.0):
        share.note(seconds)
    assert not share.affords_another(114.0)
    assert share.affords_another(115.0)
