"""Which files are due, read from journals that were written as the logger writes them."""

import json
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from libs.common.deepracer import layout
from libs.common.deepracer.metrics import encode, training_metrics
from libs.common.deepracer.simtrace import simtrace_csv, start_times_s
from libs.common.events import Event, LogArchived, ObjectRef, RunDeleted, RunStarted
from libs.common.journal import Journals, Line
from libs.common.journal_reading import (
    journal_path,
)
from services.logger.run_log import DueFile, RunLog, is_settled
from tests.driven import CARS, episode, evaluation_ended, run_ended, run_queued

FIRST, SECOND = (layout.training_simtrace("r1", number) for number in range(2))
METRICS = layout.training_metrics("r1")
DRIVEN = [episode(number, iteration=number // 4) for number in range(8)]
TRIALS = [episode(number, phase="evaluation", rollout_id="e.1") for number in range(2)]


class Written:
    """A journal that grows, and the state that follows it."""

    def __init__(self, folder: Path) -> None:
        self._journals = Journals(folder)
        self.path = journal_path(folder, "r1")
        self.log = RunLog(self.path, "r1")

    def __call__(self, *events: Event) -> list[str]:
        """Write events and return the keys of the files that are due then."""
        with self._journals:
            self._journals.append([Line("r1", event.id, event.encode()) for event in events])
        self.log.advance()
        return [file.key for file in self.log.due()]

    def archive(self) -> None:
        """All that is due is stored."""
        for file in self.log.due():
            self.log.archived(file.key, file.episodes)


@pytest.fixture
def write(tmp_path: Path) -> Written:
    written = Written(tmp_path)
    written(run_queued())
    return written


def made(files: Iterable[DueFile]) -> dict[str, bytes]:
    return {file.key: file.make() for file in files}


def archived(key: str, episodes: int, kind: str = "simtrace", cause: str = "") -> LogArchived:
    reference = ObjectRef(uri=f"s3://bucket/{key}", sha256="0", size_bytes=1)
    fields = {"kind": kind, "episodes": episodes, "cause": cause, "artifacts": (reference,)}
    return LogArchived.model_validate({"run_id": "r1", **fields})


def test_an_iterations_files_are_due_with_its_last_episode(write: Written) -> None:
    assert write(*DRIVEN[:3]) == []
    assert write(DRIVEN[3]) == [FIRST, METRICS]
    assert {file.cause for file in write.log.due()} == {DRIVEN[3].id}
    write.archive()
    assert write(*DRIVEN[4:7]) == []
    assert write(DRIVEN[7]) == [SECOND, METRICS]


def test_the_files_count_episodes_in_the_order_of_their_ends(write: Written) -> None:
    ended = [episode(number, iteration=number // 3) for number in (2, 0, 5, 9, 1, 3, 4, 8)]
    write(*ended)
    numbered = [
        one.model_copy(update={"episode": number, "iteration": number // CARS})
        for number, one in enumerate(ended)
    ]
    starts_s = start_times_s(ended)
    assert made(write.log.due()) == {
        FIRST: simtrace_csv(numbered[:4], starts_s).encode(),
        SECOND: simtrace_csv(numbered[4:], starts_s).encode(),
        METRICS: encode(training_metrics(numbered)),
    }


def test_each_worker_has_files_of_its_own_and_its_share_of_the_episodes(tmp_path: Path) -> None:
    write = Written(tmp_path)
    write(run_queued(simulators=2))
    of_workers = [
        [episode(number, rollout_id=f"r1.1.{worker}") for number in range(worker, 8, 2)]
        for worker in range(2)
    ]
    write(*of_workers[1], of_workers[0][0])
    second = [layout.training_simtrace("r1", number, worker=1) for number in range(2)]
    assert second[0] == "runs/r1/1/training-simtrace/0-iteration.csv"
    assert [file.key for file in write.log.due()] == [
        *second,
        "runs/r1/metrics/TrainingMetrics_1.json",
    ]
    write(*of_workers[0][1:], run_ended())
    files = made(write.log.due())
    assert len(files) == 2 * 3
    for worker in range(2):
        key = layout.training_simtrace("r1", 1, worker)
        assert {line.split(b",")[0] for line in files[key].splitlines()[1:]} == {b"2", b"3"}
        metrics = json.loads(files[layout.training_metrics("r1", worker)])["metrics"]
        assert [row["episode"] for row in metrics] == [1, 2, 3, 4]
        assert [row["trial"] for row in metrics] == [1, 2, 1, 2]


def test_the_end_of_the_run_makes_what_is_left_and_the_journal_due(write: Written) -> None:
    write(*DRIVEN[:6])
    write.archive()
    assert write.log.journal_due is None
    assert write(run_ended()) == [SECOND]  # the metrics had its episodes already
    assert write.log.due()[0].cause == run_ended().id
    assert write.log.journal_due == run_ended().id
    write.archive()
    write.log.journal_archived(run_ended().id)
    assert (write.log.due(), write.log.journal_due) == ([], None)


def test_a_run_that_goes_on_is_not_over(write: Written) -> None:
    write(*DRIVEN[:4], run_ended(), RunStarted(run_id="r1", attempt=2, trainer="t"))
    write.archive()
    assert write.log.journal_due is None
    assert write(DRIVEN[4]) == []


def test_an_evaluation_after_the_end_has_its_files_and_leaves_those_of_the_training(
    write: Written,
) -> None:
    write(*DRIVEN[:4], run_ended())
    write.archive()
    write.log.journal_archived(run_ended().id)
    assert write(*TRIALS) == []
    ended = evaluation_ended(TRIALS)
    assert write(ended) == [
        layout.evaluation_simtrace("r1", "20260101120000"),
        layout.evaluation_metrics("r1", "20260101120000"),
    ]
    assert write.log.journal_due == ended.id


def test_what_was_archived_is_read_from_the_journal_too(write: Written, tmp_path: Path) -> None:
    write(*DRIVEN, run_ended())
    write(archived(FIRST, 4), archived(METRICS, 8, "metrics"))
    restarted = RunLog(write.path, "r1")
    restarted.advance()
    assert [file.key for file in restarted.due()] == [SECOND]
    assert not is_settled(write.path)
    write(archived(SECOND, 4), archived("runs/r1/journal/r1.jsonl", 8, "journal", run_ended().id))
    restarted.advance()
    assert (restarted.due(), restarted.journal_due) == ([], None)
    assert is_settled(write.path)
    write(run_ended(number=2))
    assert not is_settled(write.path)


def test_a_deleted_run_has_no_files_and_its_name_begins_anew(write: Written) -> None:
    write(*DRIVEN, run_ended())
    assert write(RunDeleted(run_id="r1")) == []
    assert write.log.journal_due is None
    assert is_settled(write.path)
    assert write(episode(20), run_ended(number=2)) == [FIRST, METRICS]
    assert write.log.due()[0].episodes == 1


def test_the_contents_do_not_depend_on_when_the_journal_was_read(
    write: Written, tmp_path: Path
) -> None:
    events = [*DRIVEN[:4], *TRIALS, evaluation_ended(TRIALS), *DRIVEN[4:]]
    chance = random.Random(1)
    while events:
        number = chance.randrange(1, 4)
        write(*events[:number])
        events = events[number:]
    write(run_ended())
    restarted = RunLog(write.path, "r1")
    restarted.advance()
    assert made(restarted.due()) == made(write.log.due())
    everything = [*DRIVEN[:4], *TRIALS, *DRIVEN[4:]]
    contents = made(write.log.due())
    assert contents[METRICS] == encode(training_metrics(everything))
    starts_s = start_times_s(everything)
    assert contents[SECOND] == simtrace_csv(DRIVEN[4:], starts_s).encode()
