"""What a run's events add up to for who watches it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx_sse import ServerSentEvent

from libs.cli.evaluation import Timeline
from libs.cli.following import read_event
from libs.cli.output import shown_duration
from libs.cli.watch import WatchedRun, describe_event, estimate_time_left_s
from libs.common.deepracer.run_spec import LimitsSpec
from libs.common.events import (
    EpisodeEnded,
    EvaluationEnded,
    IterationEnded,
    LogWritten,
    RunEnded,
    RunInterrupted,
    RunStarted,
    StepColumns,
    TrialResult,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def episode(number: int, **changes: Any) -> EpisodeEnded:
    values: dict[str, Any] = {
        "run_id": "starter",
        "at": NOON + timedelta(seconds=number),
        "phase": "training",
        "episode": number,
        "iteration": 0,
        "rollout_id": "r",
        "car": 0,
        "track": "loop",
        "track_length_m": 17.7,
        "status": "off_track",
        "reward": 12.0,
        "progress_pct": 40.0,
        "steps": 90,
        "started_at_s": 0.0,
        "columns": StepColumns(),
    }
    return EpisodeEnded(**(values | changes))


def lap(number: int, seconds: float, **changes: Any) -> EpisodeEnded:
    finish = {"status": "lap_complete", "progress_pct": 100.0, "lap_s": seconds}
    return episode(number, **(finish | changes))


def test_laps_of_training_are_counted_and_the_best_one_is_kept() -> None:
    run = WatchedRun("starter")
    for event in (episode(0), lap(1, 12.5), lap(2, 11.0), lap(3, 11.5)):
        run.apply(event)
    run.apply(lap(4, 9.0, phase="evaluation"))
    assert (run.episodes, run.laps, run.best_lap_s) == (4, 3, 11.0)
    assert run.first_lap_at == NOON + timedelta(seconds=1)


def test_the_first_lap_may_be_one_of_an_evaluation_and_its_laps_are_told() -> None:
    run = WatchedRun("starter")
    for event in (episode(0), lap(1, 9.0, phase="evaluation"), lap(2, 11.0)):
        run.apply(event)
    trials = [
        TrialResult(trial=0, status="lap_complete", progress_pct=100.0, steps=135, lap_s=9.0),
        TrialResult(trial=1, status="off_track", progress_pct=40.0, steps=60),
    ]
    run.apply(
        EvaluationEnded(
            run_id="starter", evaluation_id="e", checkpoint="c", track="loop", trials=tuple(trials)
        )
    )
    assert run.first_lap_at == NOON + timedelta(seconds=1)
    assert "evaluated 1 of 2 laps" in run.sentence()


def test_the_status_follows_the_run_to_its_end_and_back() -> None:
    run = WatchedRun("starter")
    assert run.status == "queued"
    run.apply(RunStarted(run_id="starter", attempt=1, trainer="t"))
    assert run.status == "running"
    run.apply(RunInterrupted(run_id="starter", attempt=1, reason="the learner was killed"))
    run.apply(RunStarted(run_id="starter", attempt=2, trainer="t"))
    assert run.note == "attempt 2"
    run.apply(RunEnded(run_id="starter", outcome="finished", reason="enough"))
    assert (run.status, run.note) == ("finished", "enough")
    run.apply(RunStarted(run_id="starter", attempt=3, trainer="t"))  # it was resumed
    assert run.ended is None


@pytest.mark.parametrize(
    ("limits", "left_s"),
    [
        (LimitsSpec(max_seconds=100), 90.0),
        (LimitsSpec(max_seconds=100, max_env_steps=2000), 10.0),
        (LimitsSpec(max_seconds=None, max_iterations=8), 10.0),
        (LimitsSpec(max_seconds=None, max_episodes=10), 0.0),
        (LimitsSpec(max_seconds=None), None),
    ],
)
def test_the_time_left_is_that_of_the_first_limit(limits: LimitsSpec, left_s: float | None) -> None:
    last = IterationEnded(
        run_id="starter", iteration=3, env_steps=1000, total_episodes=12, elapsed_s=10.0
    )
    assert estimate_time_left_s(limits, last) == left_s


def test_a_run_in_words_says_what_is_not_known_yet() -> None:
    run = WatchedRun("starter")
    assert run.sentence().startswith("starter queued: iteration –, steps –")
    run.apply(
        IterationEnded(
            run_id="starter",
            iteration=0,
            env_steps=512,
            steps_per_s=170.4,
            elapsed_s=3.0,
            completion_ratio=0.25,
            mean_progress_pct=61.7,
        )
    )
    assert "iteration 1, steps 512 at 170/s, completion 25 %, mean progress 62 %" in run.sentence()


def test_events_are_one_line_each() -> None:
    line = describe_event(lap(7, 11.2))
    assert "training 7: lap_complete, 100 %, 90 steps, reward 12.0, lap 11.20 s" in line
    log = LogWritten(
        service="trainer", instance="a", level="info", message="saved", fields={"number": 3}
    )
    assert "trainer: saved number=3" in describe_event(log)
    end = RunEnded(run_id="starter", outcome="failed", reason="no steps")
    assert "outcome=failed reason=no steps" in describe_event(end)


def test_an_episode_without_its_columns_is_read_and_an_unknown_event_is_passed_over() -> None:
    sent = lap(7, 11.2).model_dump_json(exclude={"columns"})
    event = read_event(ServerSentEvent(event=EpisodeEnded.type_name, data=sent))
    assert isinstance(event, EpisodeEnded)
    assert event.lap_s == 11.2
    assert read_event(ServerSentEvent(event="evt.car.flown.v9", data='{"type": "x"}')) is None
    assert read_event(ServerSentEvent(data="[1, 2]")) is None


def test_durations_are_told_from_the_queueing_on() -> None:
    timeline = Timeline(NOON, NOON + timedelta(seconds=50), None)
    assert timeline.durations(NOON + timedelta(seconds=170)) == {
        "queued to first lap": 50.0,
        "queued to end of run": None,
        "queued to end of evaluation": 170.0,
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0, "0:00"), (59.6, "1:00"), (725, "12:05"), (3723, "1:02:03")],
)
def test_durations_read_like_a_clock(seconds: float | None, text: str) -> None:
    assert shown_duration(seconds) == text
