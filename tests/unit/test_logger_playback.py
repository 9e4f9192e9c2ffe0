"""Reading journals piece by piece."""

from pathlib import Path

import pytest

from libs.common.errors import InvalidInput
from libs.common.events import Event, LogWritten, MessageRejected
from libs.common.journal import Journals, Line
from libs.common.journal_reading import (
    journal_path,
)
from services.logger.playback import PIECE_BYTES, Level, Playback, Selection, event_types
from tests.driven import episode, run_ended

LINES = [
    LogWritten(run_id="r1", service="trainer", instance="a", level=level, message=level)
    for level in ("debug", "info", "warning", "error", "critical")
]
REJECTED = MessageRejected(
    run_id="r1", service="streamer", rejected_subject="x", reason="y", excerpt="z"
)
ENDED = run_ended()
EVENTS = [episode(0), *LINES, ENDED, REJECTED]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journals(tmp_path) as journals:
        journals.append([Line("r1", event.id, event.encode()) for event in EVENTS])
    return journal_path(tmp_path, "r1")


def read(path: Path, selection: Selection, skip: int = 0) -> bytes:
    playback, end = Playback(path, selection, skip), path.stat().st_size
    return b"".join(iter(lambda: playback.next_piece(end), None))


def lines_of(*events: Event) -> bytes:
    return b"".join(event.encode() + b"\n" for event in events)


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), EVENTS),
        (Selection(service="trainer"), [*LINES, ENDED]),
        (Selection(service="simulator"), EVENTS[:1]),
        (Selection(service="streamer"), [REJECTED]),
        (Selection(level="error"), LINES[3:]),
        (Selection(level="debug", service="simulator"), []),
        (Selection(types=event_types(["RunEnded", "evt.episode.ended.v1"])), EVENTS[::6]),
    ],
)
def test_only_what_was_asked_for_is_read(
    path: Path, selection: Selection, wanted: list[Event]
) -> None:
    assert read(path, selection) == lines_of(*wanted)


def test_lines_are_left_out_before_they_are_selected(path: Path) -> None:
    assert read(path, Selection(level="debug"), skip=3) == lines_of(*LINES[2:])


def test_a_large_journal_comes_in_pieces_and_goes_on_where_it_grew(tmp_path: Path) -> None:
    driven = [episode(number, steps=200) for number in range(60)]
    with Journals(tmp_path) as journals:
        journals.append([Line("r1", one.id, one.encode()) for one in driven[:50]])
        playback = Playback(journal_path(tmp_path, "r1"))
        pieces = list(iter(lambda: playback.next_piece(journals.end("r1")), None))
        assert len(pieces) > 1
        assert max(map(len, pieces)) < PIECE_BYTES + len(driven[0].encode()) * 2
        journals.append([Line("r1", one.id, one.encode()) for one in driven[50:]])
        pieces.append(playback.next_piece(journals.end("r1")) or b"")
    assert b"".join(pieces) == lines_of(*driven)


def test_an_unknown_event_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match=r"no event 'Nothing'; accepted: .*RunEnded"):
        event_types(["RunEnded", "Nothing"])


@pytest.mark.parametrize("level", ["debug", "critical"])
def test_a_level_selects_log_lines_alone(path: Path, level: Level) -> None:
    assert read(path, Selection(level=level)) == lines_of(*LINES[0 if level == "debug" else 4 :])
