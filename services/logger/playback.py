"""Reading a journal for people: from a line on, only what they asked for, piece by piece."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from libs.common.errors import InvalidInput
from libs.common.events import REGISTRY, Event, LogWritten, MessageRejected
from libs.common.journal_reading import (
    Entry,
    read_entries,
)
from libs.common.segments import SegmentAway

PIECE_BYTES = 256 * 1024

Level = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: tuple[Level, ...] = get_args(Level)

_OF_ANY_SERVICE = {LogWritten.type_name, MessageRejected.type_name}


@dataclass(frozen=True)
class Selection:
    """Which lines are wanted; what is empty accepts all."""

    service: str = ""  # the line's or the event's
    level: Level | None = None  # only log lines, from this level on
    types: Collection[str] = ()

    def accepts(self, entry: Entry) -> bool:
        """Whether the line is wanted."""
        if self.types and entry.type not in self.types:
            return False
        if self.level is not None and not self._is_loud_enough(entry):
            return False
        return not self.service or self.service == _service_of(entry)

    def __call__(self, entry: Entry) -> bytes:
        """The line, if it is wanted."""
        return entry.data + b"\n" if self.accepts(entry) else b""

    def _is_loud_enough(self, entry: Entry) -> bool:
        if self.level is None or entry.type != LogWritten.type_name:
            return False
        level = json.loads(entry.data).get("level")
        return level in LEVELS[LEVELS.index(self.level) :]


@dataclass
class Playback:
    """
    A place in a journal. `skip` of its lines are passed over first.

    `show` says what is read of an entry; it sees those that are passed over, too.
    """

    path: Path
    show: Callable[[Entry], bytes] = Selection()
    skip: int = 0
    offset: int = field(default=0, init=False)

    def next_piece(self, end: int) -> bytes | None:
        """
        The wanted lines of the next piece before byte `end`; None where there is none left.

        Raises:
            SegmentAway: what comes next has to be fetched first.
        """
        begin, wanted = self.offset, []
        try:
            for entry in read_entries(self.path, self.offset, end):
                self.offset = entry.end
                shown = self.show(entry)
                if self.skip > 0:
                    self.skip -= 1
                else:
                    wanted.append(shown)
                if self.offset - begin >= PIECE_BYTES:
                    break
        except SegmentAway:
            if self.offset == begin:
                raise
        return b"".join(wanted) if self.offset > begin else None


def event_types(names: Collection[str]) -> frozenset[str]:
    """
    Types of events by class (`RunEnded`) or type (`evt.run.ended.v1`).

    Raises:
        InvalidInput: there is no such event; every one is named.
    """
    known = {c.__name__: c.type_name for c in REGISTRY.values() if issubclass(c, Event)}
    known |= {type_name: type_name for type_name in known.values()}
    if unknown := sorted(set(names) - set(known)):
        accepted = ", ".join(sorted(name for name in known if "." not in name))
        raise InvalidInput([f"no event {name!r}; accepted: {accepted}" for name in unknown])
    return frozenset(known[name] for name in names)


def _service_of(entry: Entry) -> str:
    if entry.type in _OF_ANY_SERVICE:
        return str(json.loads(entry.data).get("service", ""))
    event = REGISTRY.get(entry.type)
    return event.producer if event is not None else ""
