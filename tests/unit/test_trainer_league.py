"""The local league: what can be compared, and who is the best."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.deepracer.race_spec import RaceSpec
from libs.common.errors import NotFound
from libs.common.events import TrackRef, TrialResult
from services.trainer.evaluations import EvaluationRecord
from services.trainer.league import board_of, boards, places

NOW = datetime(2025, 11, 22, 10, 0, tzinfo=UTC)


def trial(*laps_s: float, resets: int = 0, progress_pct: float = 100) -> TrialResult:
    done = progress_pct == 100
    return TrialResult(
        trial=0,
        status="lap_complete" if done else "off_track",
        progress_pct=progress_pct,
        steps=9,
        lap_s=sum(laps_s) / len(laps_s) if done else None,
        lap_times_s=laps_s,
        reset_count=resets,
    )


def evaluation(run: str, hour: int, *trials: TrialResult, **fields: Any) -> EvaluationRecord:
    values: dict[str, Any] = {
        "evaluation_id": f"{run}-{hour}",
        "run_id": run,
        "checkpoint": "1_Step-1.ckpt",
        "track": TrackRef(name="oval"),
        "trials_asked": len(trials),
        "created_at": NOW + timedelta(hours=hour),
        "status": "ended",
        "trials": trials,
        "race": RaceSpec(laps=3),
        "rules": "race",
    }
    return EvaluationRecord(**values | fields)


RACES = [
    evaluation("slow", 1, trial(12, 11, 12)),
    evaluation("fast", 2, trial(9, 14, 10, resets=2), trial(10, 10, 10, resets=2)),
    evaluation("fast", 3, trial(20, 20, 20)),
    evaluation("steady", 4, trial(10, 10, 10)),
    evaluation("short", 5, trial(progress_pct=60)),
    evaluation("shorter", 6, trial(progress_pct=40)),
]


@pytest.mark.parametrize(
    ("by", "order", "gaps"),
    [
        ("best_lap", ["fast", "steady", "slow"], [0, 1, 2]),
        ("average_lap", ["steady", "fast", "slow"], [0, 0.5, 35 / 3 - 10]),
        ("fewest_resets", ["steady", "slow", "fast"], [0, 0, 0]),
    ],
)
def test_models_are_ranked_with_their_best_entry(
    by: Any, order: list[str], gaps: list[float]
) -> None:
    [summary] = boards(RACES)
    assert (summary.models, summary.entries, summary.leader) == (5, 6, "fast")
    _, found = places(RACES, summary.board.id, by)
    assert [place.run for place in found] == [*order, "short", "shorter"]
    assert [place.position for place in found] == [1, 2, 3, None, None]
    assert [place.gap for place in found[:3]] == pytest.approx(gaps)


def test_equals_share_a_place() -> None:
    records = [evaluation(run, hour, trial(10, 10, 10)) for hour, run in enumerate("abc")]
    records.append(evaluation("d", 9, trial(11, 11, 11)))
    [summary] = boards(records)
    _, found = places(records, summary.board.id, "best_lap")
    assert [(place.run, place.position) for place in found] == [
        ("a", 1),
        ("b", 1),
        ("c", 1),
        ("d", 4),
    ]


def test_what_cannot_be_compared_is_on_boards_of_its_own() -> None:
    clockwise = evaluation("slow", 7, trial(12), race=RaceSpec(direction="clockwise", laps=3))
    clean = evaluation("slow", 8, trial(12), rules="clean")
    elsewhere = evaluation("slow", 9, trial(12), track=TrackRef(name="loop"))
    found = boards([*RACES, clockwise, clean, elsewhere])
    assert [summary.newest_at.hour for summary in found] == [19, 18, 17, 16]
    assert len({summary.board.id for summary in found}) == 4
    # By clean rules a trial is one lap without a penalty, whatever the race says of them.
    assert (found[1].board.laps, found[1].board.crash_penalty_s) == (1, None)


def test_what_is_pending_or_older_than_the_league_is_on_no_board() -> None:
    assert board_of(evaluation("one", 1, trial(12), status="pending")) is None
    assert board_of(evaluation("one", 1, trial(12), race=None)) is None


def test_an_unknown_board_is_not_found() -> None:
    with pytest.raises(NotFound, match="'nothing'"):
        places(RACES, "nothing", "best_lap")
