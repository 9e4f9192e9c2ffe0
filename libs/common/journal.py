"""
Journals: for each run one append-only file of JSON lines, every event as it was published.

    <folder>/<run_id>.jsonl        the open part; `platform.jsonl` holds what belongs to no run
    <folder>/<run_id>/             its closed parts, see `segments`

A line is in its journal once, whatever is delivered twice and whatever dies in between: `append`
returns when the lines are on the disk, skips ids that are there and takes back what it wrote where
the disk fails; opening cuts off a line that a crash has torn. An open part that has grown large
becomes a segment; offsets go on from one part to the next.

Everything here blocks: call it in a thread.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from libs.common.journal_reading import (
    end_of,
    end_of_last_line,
    identify,
    journal_path,
    read_entries,
    segment_folder,
)
from libs.common.log import get_log
from libs.common.segments import (
    AWAY,
    Segment,
    close_segment,
    digests,
    read_ids,
    segments_of,
    sync_folder,
    write_ids,
)

SEGMENT_BYTES = 32 * 1024**2
"""An open part of this size is closed."""


class Line(NamedTuple):
    """An event on its way into a journal."""

    run_id: str
    id: str
    data: bytes  # its JSON


class Journal:
    """
    One open journal. There must be one writer for each file.

    Raises:
        OSError: the disk fails; what the call had written is taken back.
    """

    def __init__(self, path: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.path, self._segment_bytes = path, segment_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = segment_folder(path)
        segments = segments_of(self._folder)
        self.base = segments[-1].end if segments else 0  # bytes before the open part
        self._closed = _held_by(segments)
        self._file = path.open("ab", buffering=0)
        try:
            with path.open("rb") as file:
                self._size = end_of_last_line(file)
            self.cut_bytes = path.stat().st_size - self._size
            self._restore()
            self._ids = {entry.id for entry in read_entries(path, self.base)}
        except OSError:
            self._file.close()
            raise

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._ids or event_id in self._known([event_id])

    @property
    def end(self) -> int:
        """Bytes of the journal that are on the disk for good."""
        return self.base + self._size

    def append(self, events: Iterable[tuple[str, bytes]]) -> int:
        """Write events (id, JSON) that are not there yet, sync once, and return their number."""
        fresh = {id_: data for id_, data in events if id_ not in self._ids}
        for known in self._known(fresh):
            del fresh[known]
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
        if self._size >= self._segment_bytes:
            with suppress(OSError):  # it is tried again after the next lines
                self.close_part()
        return len(fresh)

    def close_part(self) -> None:
        """Make a segment of the open part, if there is anything in it."""
        if self._size == 0:
            return
        close_segment(self.path, self._folder, self.base, self.end, self._ids)
        self._file.close()
        self._closed = np.union1d(self._closed, digests(self._ids))
        self.base, self._size, self._ids = self.end, 0, set()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _known(self, ids: Iterable[str]) -> list[str]:
        """Those that segments hold; that two ids share eight bytes of digest is left to chance."""
        ids = list(ids)
        if not len(self._closed) or not ids:
            return []
        held = np.isin(digests(ids), self._closed, assume_unique=False)
        return [each for each, there in zip(ids, held.tolist(), strict=True) if there]

    def _write(self, block: bytes) -> None:
        if self._file.closed:  # its part is a segment now
            self._file = self.path.open("ab", buffering=0)
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
        sync_folder(self.path.parent)


def _held_by(segments: Iterable[Segment]) -> NDArray[np.uint64]:
    """Digests of all events of these segments, sorted; what was not written down is made."""
    held = [np.empty(0, np.uint64)]
    for segment in segments:
        known = read_ids(segment)
        if known is None and segment.suffix != AWAY:
            lines = (identify(raw) for raw in segment.lines(segment.start))
            known = write_ids(segment, [names[1] for names in lines if names is not None])
        if known is not None:
            held.append(known)
    return np.sort(np.concatenate(held))


class Journals:
    """All journals of a folder; the least recently used are closed beyond `open_limit`."""

    def __init__(
        self, folder: Path, open_limit: int = 32, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.folder, self._open_limit, self._segment_bytes = folder, open_limit, segment_bytes
        self._lock = threading.Lock()  # a part may be closed by who does not append
        self._closed: set[str] = set()
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
        with self._lock:
            return sum(self._append(run_id, events) for run_id, events in by_run.items())

    def end(self, run_id: str) -> int:
        """Up to which byte a run's journal can be read; safe while another thread appends."""
        journal = self._open.get(run_id)
        return journal.end if journal else end_of(journal_path(self.folder, run_id))

    def close_part(self, run_id: str) -> None:
        """Make a segment of the open part of a journal, however small it is."""
        with self._lock:
            self._journal(run_id).close_part()

    def take_closed(self) -> set[str]:
        """Runs of which a part was closed since this was asked last."""
        closed, self._closed = self._closed, set()
        return closed

    def _append(self, run_id: str, events: list[tuple[str, bytes]]) -> int:
        journal = self._journal(run_id)
        base = journal.base
        try:
            return journal.append(events)
        finally:
            if journal.base != base:
                self._closed.add(run_id)

    def close(self) -> None:
        """Close every journal."""
        while self._open:
            self._open.popitem()[1].close()

    def _journal(self, run_id: str) -> Journal:
        if (journal := self._open.get(run_id)) is None:
            while len(self._open) >= self._open_limit:
                self._open.popitem(last=False)[1].close()
            path = journal_path(self.folder, run_id)
            journal = self._open[run_id] = Journal(path, self._segment_bytes)
            if journal.cut_bytes:
                self._log.warning("torn line cut off", journal=run_id, bytes=journal.cut_bytes)
        self._open.move_to_end(run_id)
        return journal


def _one_line(data: bytes) -> bytes:
    """JSON has line ends only between its tokens: a blank there means the same."""
    return data.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
