"""
Journals: for each run one append-only file of JSON lines, every event as it was published.

    <folder>/<run_id>.jsonl        `platform.jsonl` holds what belongs to no run

A line is in its journal once, whatever is delivered twice and whatever dies in between: `append`
returns when the lines are on the disk, skips ids that are there and takes back what it wrote where
the disk fails; opening cuts off a line that a crash has torn.

Everything here blocks: call it in a thread.
"""

import json
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from libs.common.errors import InvalidInput
from libs.common.events import Message, decode
from libs.common.log import get_log

BLOCK_BYTES = 64 * 1024

# How the platform's own messages begin. Other writers may order their keys as they like.
_HEAD = re.compile(rb'\{"type":"([\w.]+)","id":"([ !#-\[\]-~]+)"[,}]')


class Line(NamedTuple):
    """An event on its way into a journal."""

    run_id: str
    id: str
    data: bytes  # its JSON


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


def journal_path(folder: Path, run_id: str) -> Path:
    """The journal of a run, or of `PLATFORM`."""
    return folder / f"{run_id}.jsonl"


def read_entries(path: Path, offset: int = 0, end: int | None = None) -> Iterator[Entry]:
    """
    The whole lines from `offset` (the first byte of a line) on, in the order of the file.

    A last line that is torn, and lines that are no events, are left out.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for raw in file:
            if not raw.endswith(b"\n") or (end is not None and offset + len(raw) > end):
                return
            if (names := identify(raw)) is not None:
                yield Entry(offset, *names, raw[:-1])
            offset += len(raw)


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


def end_of_last_line(path: Path) -> int:
    """Bytes of the file up to and with its last line's end: what a torn tail leaves."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - BLOCK_BYTES)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


class Journal:
    """
    One open journal. There must be one writer for each file.

    Raises:
        OSError: the disk fails; what the call had written is taken back.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab", buffering=0)
        try:
            self._size = end_of_last_line(path)
            self.cut_bytes = path.stat().st_size - self._size
            self._restore()
            self._ids = {entry.id for entry in read_entries(path)}
        except OSError:
            self._file.close()
            raise

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._ids

    @property
    def end(self) -> int:
        """Bytes of the file that are on the disk for good."""
        return self._size

    def append(self, events: Iterable[tuple[str, bytes]]) -> int:
        """Write events (id, JSON) that are not there yet, sync once, and return their number."""
        fresh = {id_: data for id_, data in events if id_ not in self._ids}
        if not fresh:
            return 0
        block = b"".join(_one_line(data) for data in fresh.values())
        try:
            self._write(block)
            os.fsync(self._file.fileno())
        except OSError:
            # Some of it may be in the file and none of it may be on the disk.
            with suppress(OSError):
                self._restore()
            raise
        self._size += len(block)
        self._ids.update(fresh)
        return len(fresh)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, block: bytes) -> None:
        if self._file.tell() != self._size:
            self._restore()  # what a failing disk did not let us take back
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) :]

    def _restore(self) -> None:
        """Cut the file to the lines that are known to be whole, and sync it and its folder."""
        os.ftruncate(self._file.fileno(), self._size)
        self._file.seek(self._size)
        os.fsync(self._file.fileno())
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Journals:
    """All journals of a folder; the least recently used are closed beyond `open_limit`."""

    def __init__(self, folder: Path, open_limit: int = 32) -> None:
        self.folder, self._open_limit = folder, open_limit
        self._open: OrderedDict[str, Journal] = OrderedDict()
        self._log = get_log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, lines: Iterable[Line]) -> int:
        """
        Write each line into its run's journal and return how many were new.

        Raises:
            OSError: the disk fails. The lines of some runs may be written; they are skipped when
                the same lines are given again.
        """
        by_run: dict[str, list[tuple[str, bytes]]] = {}
        for line in lines:
            by_run.setdefault(line.run_id, []).append((line.id, line.data))
        return sum(self._journal(run_id).append(events) for run_id, events in by_run.items())

    def end(self, run_id: str) -> int:
        """Up to which byte a run's journal can be read; safe while another thread appends."""
        journal = self._open.get(run_id)
        return journal.end if journal else end_of_last_line(journal_path(self.folder, run_id))

    def close(self) -> None:
        """Close every journal."""
        while self._open:
            self._open.popitem()[1].close()

    def _journal(self, run_id: str) -> Journal:
        if (journal := self._open.get(run_id)) is None:
            while len(self._open) >= self._open_limit:
                self._open.popitem(last=False)[1].close()
            journal = self._open[run_id] = Journal(journal_path(self.folder, run_id))
            if journal.cut_bytes:
                self._log.warning("torn line cut off", journal=run_id, bytes=journal.cut_bytes)
        self._open.move_to_end(run_id)
        return journal


def _one_line(data: bytes) -> bytes:
    """JSON has line ends only between its tokens: a blank there means the same."""
    return data.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
