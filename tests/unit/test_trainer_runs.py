"""The record of a run: its transitions, and what each tells."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.deepracer.folder import read_run_folder
from libs.common.deepracer.run_spec import LimitsSpec
from libs.common.errors import Conflict
from libs.common.events import (
    BestCheckpointChosen,
    CheckpointRef,
    CheckpointSaved,
    EpisodeEnded,
    IterationEnded,
    ObjectRef,
    RunEnded,
    RunInterrupted,
    RunQueued,
    RunStarted,
    StepColumns,
    TrackRef,
    decode,
)
from services.trainer.runs import MOST_BARREN_ATTEMPTS, Progress, RunRecord, in_order, time_left_s
from tests.trainer_process import run_folder

NOW = datetime(2025, 11, 22, 10, 0, tzinfo=UTC)
NOW_S = NOW.timestamp()
LEASE_S = 6.0


def waiting(name: str = "one", **fields: Any) -> RunRecord:
    files = {key: text.encode() for key, text in run_folder().items()}
    spec = read_run_folder(files, name=name).value
    record = RunRecord(spec=spec, track=TrackRef(name="oval"), created_at=NOW, **fields)
    return record.queued(())


def running(**fields: Any) -> RunRecord:
    return waiting(**fields).claimed("a", NOW_S, LEASE_S)


def told(record: RunRecord) -> list[type]:
    return [type(decode(event.encode())) for event in record.outbox]


def checkpoint(number: int) -> CheckpointRef:
    policy = ObjectRef(uri=f"s3://b/model_{number}.pb", sha256="", size_bytes=1)
    name = f"{number}_Step-{number}.ckpt"
    return CheckpointRef(name=name, number=number, env_steps=number, files=(), policy=policy)


def saved(number: int) -> CheckpointSaved:
    return CheckpointSaved(run_id="one", checkpoint=checkpoint(number), iteration=number)


def episode(**fields: Any) -> EpisodeEnded:
    values = {
        "run_id": "one",
        "phase": "training",
        "episode": 0,
        "iteration": 0,
        "rollout_id": "r",
        "car": 0,
        "track": "oval",
        "track_length_m": 10.0,
        "status": "off_track",
        "reward": 1.0,
        "progress_pct": 50.0,
        "steps": 10,
        "started_at_s": 0.0,
        "columns": StepColumns(),
    }
    return EpisodeEnded(**{**values, **fields})


def test_a_run_may_be_claimed_once_its_files_are_stored() -> None:
    files = {key: text.encode() for key, text in run_folder().items()}
    spec = read_run_folder(files, name="one").value
    record = RunRecord(spec=spec, track=TrackRef(name="oval"), created_at=NOW)
    assert not record.claimable(NOW_S)
    queued = record.queued(())
    assert queued.claimable(NOW_S)
    assert told(queued) == [RunQueued]
    assert queued.queued(()) == queued


def test_the_highest_priority_goes_first_and_then_the_oldest() -> None:
    def made(name: str, priority: int, age_s: float) -> RunRecord:
        record = waiting(name, priority=priority)
        return record.model_copy(update={"created_at": NOW - timedelta(seconds=age_s)})

    records = [made("new", 0, 1), made("old", 0, 9), made("urgent", 1, 0)]
    assert [record.run_id for record in in_order(records)] == ["urgent", "old", "new"]


def test_a_held_run_is_nobody_elses_until_its_lease_is_over() -> None:
    record = running()
    assert (record.status, record.owner, record.attempt) == ("running", "a", 1)
    with pytest.raises(Conflict, match="'one' is running"):
        record.claimed("b", NOW_S + LEASE_S - 1, LEASE_S)
    taken = record.claimed("b", NOW_S + LEASE_S + 1, LEASE_S)
    assert (taken.owner, taken.attempt) == ("b", 2)
    assert told(taken) == [RunQueued, RunInterrupted]
    assert not taken.held_by("a")


def test_an_attempt_tells_from_where_it_begins() -> None:
    record = running().having_seen(saved(3), 10).begun()
    event = decode(record.outbox[-1].encode())
    assert isinstance(event, RunStarted)
    assert (event.attempt, event.trainer, event.resumed_from) == (1, "a", checkpoint(3))


def test_barren_attempts_end_a_run_and_a_checkpoint_makes_them_forgotten() -> None:
    record = waiting()
    for _ in range(MOST_BARREN_ATTEMPTS - 1):
        record = record.claimed("a", NOW_S, LEASE_S).interrupted("died")
        assert record.status == "queued"
    fruitful = record.claimed("a", NOW_S, LEASE_S).having_seen(saved(1), 5).interrupted("died")
    assert (fruitful.status, fruitful.barren_attempts) == ("queued", 1)
    barren = record.claimed("a", NOW_S, LEASE_S).interrupted("died")
    assert barren.status == "failed"
    assert barren.reason == (
        "5 attempts in a row ended without a new checkpoint; the last one: died"
    )


def test_an_attempt_that_the_trainer_ended_is_not_barren() -> None:
    assert running().interrupted("the trainer stops", barren=False).barren_attempts == 0


def test_where_no_evaluation_chose_the_last_checkpoint_is_the_best() -> None:
    record = running().having_seen(saved(1), 5).having_seen(saved(2), 6)
    assert record.over("finished", "done").best == checkpoint(2)
    chosen = BestCheckpointChosen(run_id="one", checkpoint=checkpoint(1), trials=(), metric=80.0)
    ended = record.having_seen(chosen, 7).over("finished", "done")
    assert (ended.best, ended.last) == (checkpoint(1), checkpoint(2))
    event = decode(ended.outbox[-1].encode())
    assert isinstance(event, RunEnded)
    assert event.id == ended.end_event
    assert (event.best, event.last) == (checkpoint(1), checkpoint(2))


def test_stopping_ends_what_waits_and_leaves_a_wish_with_what_runs() -> None:
    stopped = waiting().wished_to_stop("enough")
    assert (stopped.status, stopped.reason) == ("stopped", "enough")
    assert stopped.wished_to_stop("again") == stopped
    wished = running().wished_to_stop("enough")
    assert wished.status == "running"
    assert wished.wish is not None
    assert wished.wished_to_stop("later").wish == wished.wish
    assert wished.interrupted("died").status == "stopped"
    assert wished.claimed("b", NOW_S + 10, LEASE_S).reason == "enough"


def test_only_an_ended_run_is_resumed() -> None:
    for record in (waiting(), running()):
        with pytest.raises(Conflict, match="only an ended run can be resumed"):
            record.resumed(())
    ended = running().over("failed", "broken")
    again = ended.resumed(())
    assert (again.status, again.reason, again.ended_at) == ("queued", None, None)
    assert again.claimed("b", NOW_S, LEASE_S).attempt == 2


def test_a_run_that_is_deleted_is_out_of_reach() -> None:
    with pytest.raises(Conflict, match="stop it before it is deleted"):
        running().wished_to_delete()
    deleted = waiting().wished_to_delete()
    assert not deleted.claimable(NOW_S)
    with pytest.raises(Conflict, match="being deleted"):
        deleted.resumed(())
    assert deleted.wished_to_delete().wish == deleted.wish


def test_progress_counts_each_event_once() -> None:
    record = running()
    events = [
        episode(lap_s=12.0),
        episode(lap_s=11.0),
        episode(lap_s=None),
        episode(phase="evaluation", lap_s=5.0),
        IterationEnded(run_id="one", iteration=0, env_steps=90, elapsed_s=3.0, steps_per_s=30.0),
    ]
    for sequence, event in enumerate(events, start=1):
        record = record.having_seen(event, sequence).having_seen(event, sequence)
    progress = record.progress
    assert (progress.episodes, progress.best_lap_s, progress.iteration) == (3, 11.0, 1)
    assert record.followed == len(events)


def test_an_iteration_without_episodes_keeps_the_figures_of_the_one_before() -> None:
    def iteration(number: int, **fields: Any) -> IterationEnded:
        return IterationEnded(run_id="one", iteration=number, elapsed_s=1.0, **fields)

    record = running().having_seen(iteration(0, completion_ratio=0.5, mean_progress_pct=60.0), 1)
    record = record.having_seen(iteration(1), 2)
    assert (record.progress.completion_ratio, record.progress.mean_progress_pct) == (0.5, 60.0)


def test_the_time_left_is_that_to_the_nearest_limit() -> None:
    progress = Progress(episodes=10, env_steps=1000, iteration=2, elapsed_s=20.0)
    assert time_left_s(progress, LimitsSpec(max_seconds=None)) is None
    assert time_left_s(progress, LimitsSpec(max_seconds=50)) == 30.0
    assert time_left_s(progress, LimitsSpec(max_seconds=50, max_episodes=15)) == 10.0
    assert time_left_s(progress, LimitsSpec(max_seconds=50, max_env_steps=900)) == 0.0
    assert time_left_s(progress, LimitsSpec(max_seconds=None, max_iterations=4)) == 20.0
    assert time_left_s(progress, LimitsSpec(budget=0.01, price_per_hour=1)) == 16.0


def test_a_record_survives_its_table() -> None:
    record = running().having_seen(saved(1), 4).wished_to_stop("x")
    assert RunRecord.model_validate_json(record.model_dump_json()) == record
