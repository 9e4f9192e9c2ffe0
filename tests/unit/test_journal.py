"""Journals on a real disk, with real torn lines and a real full disk."""

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from libs.common.events import RunEnded, RunInterrupted
from libs.common.journal import Journal, Journals, Line
from libs.common.journal_reading import (
    BLOCK_BYTES,
    end_of_last_line,
    identify,
    journal_path,
    read_entries,
    read_events,
)

MIDDAY = datetime(2026, 1, 1, 12, tzinfo=UTC)

Open = Callable[[], Journal]


def event(number: int, run_id: str = "r1") -> RunInterrupted:
    return RunInterrupted(
        id=f"id-{number}", at=MIDDAY, run_id=run_id, attempt=number, reason="it died"
    )


def line(number: int, run_id: str = "r1") -> Line:
    one = event(number, run_id)
    return Line(run_id, one.id, one.encode())


def pair(number: int) -> tuple[str, bytes]:
    return line(number)[1:]


@contextmanager
def disk_full_at(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond this size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "r1.jsonl"


@pytest.fixture
def reopen(path: Path) -> Iterator[Open]:
    """Open the journal, as often as asked; all are closed after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Journal(path)))


def test_each_line_is_the_event_as_it_was_published(path: Path, reopen: Open) -> None:
    journal = reopen()
    assert journal.append([pair(1), pair(2)]) == 2
    assert path.read_bytes() == pair(1)[1] + b"\n" + pair(2)[1] + b"\n"
    assert list(read_events(path)) == [event(1), event(2)]


def test_an_id_that_is_there_is_skipped_also_within_a_batch_and_after_reopening(
    path: Path, reopen: Open
) -> None:
    journal = reopen()
    assert journal.append([pair(1), pair(1)]) == 1
    assert journal.append([pair(1), pair(2)]) == 1
    assert reopen().append([pair(1), pair(2), pair(3)]) == 1
    assert [entry.id for entry in read_entries(path)] == ["id-1", "id-2", "id-3"]


def test_an_event_in_several_lines_of_json_becomes_one_line(path: Path, reopen: Open) -> None:
    pretty = RunEnded(id="x", run_id="r1", outcome="failed", reason="line\nend").model_dump_json(
        indent=2
    )
    reopen().append([("x", pretty.encode())])
    assert path.read_bytes().count(b"\n") == 1
    (read,) = read_events(path)
    assert isinstance(read, RunEnded)
    assert read.reason == "line\nend"


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_opening_cuts_off_a_torn_line_and_what_it_held_can_be_written_again(
    path: Path, reopen: Open, kept: int
) -> None:
    reopen().append([pair(1)])
    with path.open("ab") as file:
        file.write(pair(2)[1][:kept])
    journal = reopen()
    assert journal.cut_bytes == kept
    assert "id-2" not in journal
    assert journal.append([pair(2)]) == 1
    assert list(read_events(path)) == [event(1), event(2)]


def test_a_torn_line_longer_than_a_block_is_cut_off_too(path: Path, reopen: Open) -> None:
    reopen().append([pair(1)])
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"x" * (3 * BLOCK_BYTES))
    with path.open("rb") as file:
        assert end_of_last_line(file) == whole
    assert reopen().cut_bytes == 3 * BLOCK_BYTES


def test_a_reader_leaves_out_the_torn_tail_and_lines_that_are_no_events(path: Path) -> None:
    path.parent.mkdir()
    torn = pair(3)[1][:-5]
    path.write_bytes(b"\0\0\n" + pair(1)[1] + b'\n["no event"]\n' + pair(2)[1] + b"\n" + torn)
    assert [entry.id for entry in read_entries(path)] == ["id-1", "id-2"]


def test_a_reader_goes_on_where_an_entry_ended(path: Path, reopen: Open) -> None:
    reopen().append([pair(1), pair(2), pair(3)])
    entries = list(read_entries(path))
    assert list(read_entries(path, entries[0].end)) == entries[1:]
    assert list(read_entries(path, 0, end=entries[2].offset)) == entries[:2]


def test_a_full_disk_leaves_no_part_of_a_batch_and_the_batch_can_come_again(
    path: Path, reopen: Open
) -> None:
    journal = reopen()
    journal.append([pair(1)])
    with disk_full_at(path.stat().st_size + 30), pytest.raises(OSError, match="too large"):
        journal.append([pair(2), pair(3)])
    assert list(read_events(path)) == [event(1)]
    assert journal.append([pair(2), pair(3)]) == 2
    assert list(read_events(path)) == [event(1), event(2), event(3)]


def test_each_run_has_its_journal_and_few_are_open_at_once(tmp_path: Path) -> None:
    runs = [f"run-{number}" for number in range(5)]
    with Journals(tmp_path, open_limit=2) as journals:
        assert journals.append([line(1, run) for run in runs]) == 5
        assert journals.append([line(number, run) for run in runs for number in (1, 2)]) == 5
        open_files = [Path(file.path).stem for file in psutil.Process().open_files()]
    assert [name for name in open_files if name.startswith("run-")] == ["run-3", "run-4"]
    for run in runs:
        assert [entry.id for entry in read_entries(journal_path(tmp_path, run))] == ["id-1", "id-2"]


def test_type_and_id_are_found_wherever_they_stand() -> None:
    assert identify(event(1).encode()) == ("evt.run.interrupted.v1", "id-1")
    assert identify(b'{"at": 3, "id": "a\\"b", "type": "t"}') == ("t", 'a"b')
    for nothing in (b"", b"[]", b'{"type":"t"}', b'{"type":1,"id":"x"}', b'{"type":"t","id":"x'):
        assert identify(nothing) is None
