"""
Who looks, and what each viewer has not seen yet.

Nothing is queued for a viewer. It knows which topics changed since it last looked, at most one
entry for each, and reads the newest value when it comes round: a slow viewer skips what is old,
costs no memory and holds nobody up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from services.streamer.shown import Shown

Read = Callable[[Any], tuple[Shown | str, Any]]
"""Takes a viewer's cursor (None at first), gives what it lacks and its next cursor."""


class Push(NamedTuple):
    """One message to one viewer; `data` is JSON, as of the stream's `sequence`."""

    topic: str
    data: str
    sequence: int


class Topic:
    """One thing that is shown, as figures, curves or the camera, with the viewers that see it."""

    def __init__(self, name: str, read: Read) -> None:
        self.name = name
        self.viewers: set[Viewer] = set()
        self._read = read
        self._encoded: dict[Any, tuple[str, Any]] = {}

    @classmethod
    def of_value(cls, name: str, newest: Callable[[], Shown | str]) -> "Topic":
        """A topic whose newest value is all there is to it."""
        return cls(name, lambda _: (newest(), None))

    def change(self) -> None:
        """There is something new: wake who looks."""
        self._encoded.clear()
        for viewer in self.viewers:
            viewer.mark(self)

    def read(self, cursor: Any) -> tuple[str, Any]:
        """The JSON for a viewer with this cursor, encoded once for all that have the same."""
        if cursor not in self._encoded:
            value, after = self._read(cursor)
            data = value if isinstance(value, str) else value.model_dump_json()
            self._encoded[cursor] = (data, after)
        return self._encoded[cursor]


class Viewer:
    """One page that is open somewhere; `sequence` tells up to where the events are applied."""

    def __init__(self, topics: list[Topic], sequence: Callable[[], int]) -> None:
        self._sequence = sequence
        self._cursors: dict[Topic, Any] = dict.fromkeys(topics)
        self._stale: dict[Topic, None] = {}
        self._wake = asyncio.Event()
        self._closed = False
        for topic in topics:
            topic.viewers.add(self)
            self.mark(topic)

    def mark(self, topic: Topic) -> None:
        """This topic has changed."""
        self._stale[topic] = None
        self._wake.set()

    def close(self) -> None:
        """Leave all topics; `pushes` ends."""
        for topic in self._cursors:
            topic.viewers.discard(self)
        self._closed = True
        self._wake.set()

    async def pushes(self, every_s: float) -> AsyncIterator[Push]:
        """Everything once, then what changes, each topic at most once in `every_s`."""
        while not self._closed:
            await self._wake.wait()
            self._wake.clear()
            for topic in list(self._stale):
                if self._closed:
                    return
                yield self._take(topic)
            await asyncio.sleep(every_s)

    def _take(self, topic: Topic) -> Push:
        del self._stale[topic]
        data, self._cursors[topic] = topic.read(self._cursors[topic])
        return Push(topic.name, data, self._sequence())
