"""Which services live: the last heartbeat of each."""

import time

from libs.common.events import ServiceBeat

SILENT_S = 5.0
"""A service that was not heard for so long is told as silent."""
FORGOTTEN_S = 600.0


class Heartbeats:
    """The last sign of life of every instance of every service."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[ServiceBeat, float]] = {}

    async def hear(self, beat: ServiceBeat) -> None:
        """Note one; an instance that took over an address replaces the one before it."""
        replaced = [key for key, (old, _) in self._last.items() if old.url == beat.url]
        for key in replaced:
            del self._last[key]
        self._last[beat.service, beat.instance] = (beat, time.monotonic())

    def all(self) -> list[tuple[ServiceBeat, float]]:
        """Each with its age in seconds; what was silent for ten minutes is forgotten."""
        now = time.monotonic()
        self._last = {
            key: (beat, heard)
            for key, (beat, heard) in self._last.items()
            if now - heard < FORGOTTEN_S
        }
        return [(beat, now - heard) for _, (beat, heard) in sorted(self._last.items())]
