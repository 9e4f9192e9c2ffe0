"""
Reading journals: the lines of all parts as one, whatever is appended or closed meanwhile.

Everything here blocks: call it in a thread.
"""

import json
import os
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from libs.common.errors import InvalidInput
from libs.common.events import Message, decode
from libs.common.segments import Segment, segments_of

BLOCK_BYTES = 64 * 1024

# How the platform's own messages begin. Other writers may order their keys as they like.
_HEAD = re.compile(rb'\{"type":"([\w.]+)","id":"([ !#-\[\]-~]+)"[,}]')


class Entry(NamedTuple):
    """A line of a journal: where it lies, what it is, and its JSON without the line's end."""

    offset: int  # of its first byte in the file
    type: str
    id: str
    data: bytes

    @property
    def end(self) -> int:
        """Offset of the line behind it."""
        return self.offset + len(self.data) + 1


class View(NamedTuple):
    """A journal at one moment: what is appended or closed later does not show."""

    segments: list[Segment]
    open_part: BinaryIO | None

    @property
    def base(self) -> int:
        """Bytes of the journal before the open part."""
        return self.segments[-1].end if self.segments else 0


def journal_path(folder: Path, run_id: str) -> Path:
    """The open part of the journal of a run, or of `PLATFORM`."""
    return folder / f"{run_id}.jsonl"


def segment_folder(path: Path) -> Path:
    """Where the closed parts of the journal lie of which this is the open part."""
    return path.with_suffix("")


def journal_exists(path: Path) -> bool:
    """Whether anything was ever written."""
    return path.exists() or bool(segments_of(segment_folder(path)))


def view_of(path: Path) -> View:
    """
    The journal as it is; whoever gets it closes the open part.

    A part that is closed meanwhile is renamed: then what was opened is no longer the open part.
    """
    while True:
        file = _opened(path)
        segments = segments_of(segment_folder(path))
        if _identity(path) == (None if file is None else _identity_of(file)):
            return View(segments, file)
        if file is not None:
            file.close()


def read_entries(path: Path, offset: int = 0, end: int | None = None) -> Iterator[Entry]:
    """
    The whole lines from `offset` (the first byte of a line) on, in the order of the journal.

    A last line that is torn, and lines that are no events, are left out.

    Raises:
        SegmentAway: a part has to be fetched first.
    """
    for start, raw in _lines(path, offset):
        if not raw.endswith(b"\n") or (end is not None and start + len(raw) > end):
            return
        if (names := identify(raw)) is not None:
            yield Entry(start, *names, raw[:-1])


def read_tail(path: Path, size_bytes: int) -> Iterator[Entry]:
    """The whole lines within the last bytes of a journal."""
    start = max(0, end_of(path) - size_bytes)
    lines = _lines(path, start)
    if start > 0:
        next(lines, None)  # we are in the middle of it
    for offset, raw in lines:
        if raw.endswith(b"\n") and (names := identify(raw)) is not None:
            yield Entry(offset, *names, raw[:-1])


def read_line(path: Path, offset: int) -> bytes:
    """
    The line that begins at this byte of a journal.

    Raises:
        SegmentAway: its part has to be fetched first.
    """
    lines = _lines(path, offset)
    try:
        return next(lines)[1]
    finally:
        lines.close()


def _lines(path: Path, offset: int) -> Generator[tuple[int, bytes], None, None]:
    """Lines with their offsets; the last one may be torn."""
    while True:
        view = view_of(path)
        try:
            for segment in view.segments:
                if segment.end <= offset:
                    continue
                offset = max(offset, segment.start)
                for raw in segment.lines(offset):
                    yield offset, raw
                    offset += len(raw)
            offset = max(offset, view.base)
            if view.open_part is not None:
                view.open_part.seek(offset - view.base)
                for raw in view.open_part:
                    yield offset, raw
                    offset += len(raw)
            return
        except FileNotFoundError:
            continue  # a segment was compressed, or given up, since we looked
        finally:
            if view.open_part is not None:
                view.open_part.close()


def end_of(path: Path) -> int:
    """Up to which byte a journal that nobody has open can be read."""
    view = view_of(path)
    if view.open_part is None:
        return view.base
    with view.open_part as file:
        return view.base + end_of_last_line(file)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:  # nothing was written since a part was closed
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _identity_of(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def read_events(path: Path, offset: int = 0) -> Iterator[Message]:
    """The events of a journal; lines that this version can't read are left out."""
    for entry in read_entries(path, offset):
        with suppress(InvalidInput):
            yield decode(entry.data)


def identify(line: bytes) -> tuple[str, str] | None:
    """The `type` and `id` of an event's JSON, or None where it has none."""
    if (head := _HEAD.match(line)) is not None:
        return head[1].decode(), head[2].decode()
    try:
        document = json.loads(line)
    except ValueError:  # as UnicodeDecodeError is
        return None
    if not isinstance(document, dict):
        return None
    kind, identity = document.get("type"), document.get("id")
    return (kind, identity) if isinstance(kind, str) and isinstance(identity, str) else None


def end_of_last_line(file: BinaryIO) -> int:
    """Bytes of the file up to and with its last line's end: what a torn tail leaves."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - BLOCK_BYTES)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
