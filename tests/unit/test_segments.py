"""Closed parts of journals: compressed, read from anywhere, given up and brought back."""

import io
import random
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from libs.common.errors import InvalidInput
from libs.common.events import RunInterrupted
from libs.common.journal import Journal, Journals, Line
from libs.common.journal_reading import (
    journal_exists,
    journal_path,
    read_entries,
    read_line,
    read_tail,
    segment_folder,
    view_of,
)
from libs.common.segments import (
    AWAY,
    COMPRESSED,
    FRAME_BYTES,
    IDS,
    PLAIN,
    SegmentAway,
    come_back,
    compress,
    frames_of,
    leave,
    read_from,
    segments_of,
    write_seekable,
)

SEGMENT_BYTES = 600  # some four events
EVENTS = 32  # the last ones are in the open part


def pair(number: int) -> tuple[str, bytes]:
    one = RunInterrupted(id=f"id-{number}", run_id="r1", attempt=number, reason="it died")
    return one.id, one.encode()


IDENTITIES = [pair(number)[0] for number in range(EVENTS)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The open part of a journal of some seven parts."""
    path = journal_path(tmp_path, "r1")
    with closing(Journal(path, SEGMENT_BYTES)) as journal:
        for number in range(EVENTS):
            assert journal.append([pair(number)]) == 1
    assert len(segments_of(segment_folder(path))) > 4
    return path


def compress_all(path: Path) -> None:
    for segment in segments_of(segment_folder(path)):
        compress(segment)


@pytest.fixture(params=[PLAIN, COMPRESSED])
def parts(request: pytest.FixtureRequest, path: Path) -> Path:
    """Its closed parts in either form."""
    if request.param == COMPRESSED:
        compress_all(path)
    assert {s.suffix for s in segments_of(segment_folder(path))} == {request.param}
    return path


def test_a_journal_in_parts_reads_as_one(parts: Path) -> None:
    entries = list(read_entries(parts))
    assert [entry.id for entry in entries] == IDENTITIES
    assert [entry.offset for entry in entries[1:]] == [entry.end for entry in entries[:-1]]
    for number, entry in enumerate(entries):
        assert list(read_entries(parts, entry.offset)) == entries[number:]
        assert list(read_entries(parts, 0, entry.offset)) == entries[:number]
        assert read_line(parts, entry.offset) == entry.data + b"\n"
    size = len(entries[-1].data) + 1
    assert list(read_tail(parts, 3 * size)) == entries[-2:]  # the third is cut
    assert list(read_tail(parts, 10**6)) == entries


def test_an_event_of_any_part_is_known_after_reopening(parts: Path) -> None:
    with closing(Journal(parts, SEGMENT_BYTES)) as journal:
        assert journal.append([pair(number) for number in range(EVENTS + 1)]) == 1
        assert "id-0" in journal
        assert f"id-{EVENTS + 1}" not in journal
    assert [entry.id for entry in read_entries(parts)] == [*IDENTITIES, f"id-{EVENTS}"]


def test_which_events_a_part_holds_is_found_again_where_it_was_lost(parts: Path) -> None:
    for file in segment_folder(parts).glob(f"*{IDS}"):
        file.unlink()
    with closing(Journal(parts, SEGMENT_BYTES)) as journal:
        assert journal.append([pair(number) for number in range(EVENTS)]) == 0


def test_a_crash_right_after_a_part_was_closed_loses_nothing(path: Path) -> None:
    with closing(Journal(path, SEGMENT_BYTES)) as journal:
        journal.close_part()
    assert not path.exists()
    assert journal_exists(path)
    assert [entry.id for entry in read_entries(path)] == IDENTITIES
    with closing(Journal(path, SEGMENT_BYTES)) as journal:
        assert journal.append([pair(3), pair(EVENTS)]) == 1
    assert [entry.id for entry in read_entries(path)] == [*IDENTITIES, f"id-{EVENTS}"]


def test_a_part_that_is_compressed_under_a_reader_is_read_on(path: Path) -> None:
    reader = read_entries(path)
    read = [next(reader).id for _ in range(2)]
    compress_all(path)
    assert [*read, *(entry.id for entry in reader)] == IDENTITIES


def test_a_part_that_is_closed_under_a_reader_is_read_once(path: Path) -> None:
    view = view_of(path)
    assert view.open_part is not None
    with view.open_part, closing(Journal(path, SEGMENT_BYTES)) as journal:
        journal.close_part()
        assert view.base + len(view.open_part.read()) == journal.end


def test_what_was_given_up_is_asked_for_and_comes_back(path: Path) -> None:
    compress_all(path)
    first = segments_of(segment_folder(path))[0]
    lines = len(list(first.lines()))
    data = first.path.read_bytes()
    away = leave(first)
    assert away.suffix == AWAY
    with pytest.raises(SegmentAway) as asked:
        list(read_entries(path))
    assert asked.value.segment == away
    assert [entry.id for entry in read_entries(path, first.end)] == IDENTITIES[lines:]
    with closing(Journal(path, SEGMENT_BYTES)) as journal:
        assert "id-0" in journal
    with pytest.raises(InvalidInput, match="cut short"):
        come_back(away, data[:-1])
    come_back(away, data)
    assert [entry.id for entry in read_entries(path)] == IDENTITIES


def test_journals_tell_of_whose_a_part_was_closed(tmp_path: Path) -> None:
    with Journals(tmp_path, segment_bytes=SEGMENT_BYTES) as journals:
        lines = [Line("r1", *pair(number)) for number in range(EVENTS)]
        journals.append([*lines, Line("r2", *pair(0))])
        assert journals.take_closed() == {"r1"}
        assert journals.take_closed() == set()
        assert journals.end("r1") == sum(len(line.data) + 1 for line in lines)


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES, 2 * FRAME_BYTES + 17])
def test_a_seekable_file_is_read_from_anywhere_and_by_any_decoder(
    tmp_path: Path, size: int
) -> None:
    data = random.Random(size).randbytes(size)
    path = tmp_path / "x.zst"
    with path.open("wb") as file:
        source = io.BytesIO(data)
        write_seekable(iter(lambda: source.read(FRAME_BYTES), b""), file)
    for offset in (0, 1, size // 2, size, size + 5):
        assert b"".join(read_from(path, offset)) == data[offset:]
    with path.open("rb") as file:
        decoder = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        assert decoder.read() == data


@pytest.mark.parametrize("cut", [0, 5, 20])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.zst"
    with path.open("wb") as file:
        write_seekable([b"data"], file)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InvalidInput, match=r"x\.zst is no seekable zstd file"):
        frames_of(path)
