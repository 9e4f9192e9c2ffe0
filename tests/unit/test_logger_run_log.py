"""Which files are due, read from journals that were written as the logger writes them."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from libs.common.deepracer import layout
from libs.common.deepracer.metrics import encode, training_metrics
from libs.common.deepracer.simtrace import simtrace_csv, start_times_s
from libs.common.events import Event, LogArchived, ObjectRef, RunDeleted, RunStarted
from libs.common.journal import Journals, Line, journal_path
from services.logger.run_log import DueFile, RunLog, is_settled
from tests.driven import episode, evaluation_ended, iteration_ended, run_ended

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
    return Written(tmp_path)


def made(files: Iterable[DueFile]) -> dict[str, bytes]:
    return {file.key: file.make() for file in files}


def archived(key: str, episodes: int, kind: str = "simtrace", cause: str = "") -> LogArchived:
    reference = ObjectRef(uri=f"s3://bucket/{key}", sha256="0", size_bytes=1)
    fields = {"kind": kind, "episodes": episodes, "cause": cause, "artifacts": (reference,)}
    return LogArchived.model_validate({"run_id": "r1", **fields})


def test_an_iterations_files_are_due_when_it_ended(write: Written) -> None:
    assert write(*DRIVEN[:4]) == []
    assert write(iteration_ended(0, DRIVEN[:4])) == [FIRST, METRICS]
    write.archive()
    assert write(*DRIVEN[4:]) == []
    assert write(iteration_ended(1, DRIVEN[4:])) == [SECOND, METRICS]


def test_an_iteration_waits_for_episodes_that_come_behind_its_end(write: Written) -> None:
    assert write(*DRIVEN[:3], iteration_ended(0, DRIVEN[:4])) == []
    assert write(DRIVEN[3]) == [FIRST, METRICS]


def test_a_file_is_due_again_when_another_episode_belongs_to_it(write: Written) -> None:
    write(*DRIVEN[:4], iteration_ended(0, DRIVEN[:4]))
    write.archive()
    assert write(episode(9, iteration=0)) == [FIRST, METRICS]
    assert write.log.due()[0].episodes == 5


def test_the_end_of_the_run_makes_what_is_left_and_the_journal_due(write: Written) -> None:
    write(*DRIVEN[:6], iteration_ended(0, DRIVEN[:4]))
    write.archive()
    assert write.log.journal_due is None
    assert write(run_ended()) == [SECOND]  # the metrics had its episodes already
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
    write(*DRIVEN[:4], iteration_ended(0, DRIVEN[:4]), run_ended())
    write.archive()
    write.log.journal_archived(run_ended().id)
    assert write(*TRIALS) == []
    ended = evaluation_ended(TRIALS)
    assert write(ended) == [
        layout.evaluation_simtrace("r1", "e.1"),
        layout.evaluation_metrics("r1", "e.1"),
    ]
    assert write.log.journal_due == ended.id


def test_what_was_archived_is_read_from_the_journal_too(write: Written, tmp_path: Path) -> None:
    write(*DRIVEN, iteration_ended(0, DRIVEN[:4]), iteration_ended(1, DRIVEN[4:]), run_ended())
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
    write(*DRIVEN, iteration_ended(0, DRIVEN[:4]), run_ended())
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
    write(iteration_ended(0, DRIVEN[:4]), run_ended())
    restarted = RunLog(write.path, "r1")
    restarted.advance()
    assert made(restarted.due()) == made(write.log.due())
    everything = [*DRIVEN[:4], *TRIALS, *DRIVEN[4:]]
    contents = made(write.log.due())
    assert contents[METRICS] == encode(training_metrics(everything))
    starts_s = start_times_s(everything)
    assert contents[SECOND] == simtrace_csv(DRIVEN[4:], starts_s).encode()
