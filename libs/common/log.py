"""
Structured logs: to the console for people, to the bus for the journal.

Event name first, data as keys: `log.info("checkpoint saved", checkpoint=name)`. A line that
carries `run_id` belongs to that run's journal, any other to the platform's.
"""

import asyncio
import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from libs.common.events import PLATFORM, LogWritten

Log = structlog.stdlib.BoundLogger

QUEUE_LINES = 10_000
"""Lines that wait for the bus; what comes while it is full is only on the console, and counted."""


class BusLines:
    """A structlog processor that queues each line for the bus; any thread may log."""

    def __init__(self, service: str, instance: str) -> None:
        self._service, self._instance = service, instance
        self._queue: asyncio.Queue[LogWritten] = asyncio.Queue(QUEUE_LINES)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.dropped = 0

    def attach(self) -> None:
        """Begin to queue; called on the event loop that will read."""
        self._loop = asyncio.get_running_loop()

    async def next(self) -> LogWritten:
        """The oldest line that has not been read."""
        return await self._queue.get()

    def next_nowait(self) -> LogWritten | None:
        """The oldest line, or None where there is none."""
        return None if self._queue.empty() else self._queue.get_nowait()

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, self._message(method, line))
        return line

    def _message(self, method: str, line: Mapping[str, Any]) -> LogWritten:
        fields = {k: _plain(v) for k, v in line.items() if k not in _ENVELOPE}
        return LogWritten(
            run_id=line.get("run_id") or PLATFORM,
            service=self._service,
            instance=self._instance,
            level={"exception": "error", "warn": "warning"}.get(method, method),
            message=str(line.get("event", "")),
            fields=fields,
        )

    def _put(self, line: LogWritten) -> None:
        try:
            self._queue.put_nowait(line)
        except asyncio.QueueFull:
            self.dropped += 1


_ENVELOPE = ("event", "run_id", "level", "timestamp", "service", "instance", "exc_info")


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def configure(level: str, lines: BusLines | None = None) -> None:
    """
    Set up structlog and the standard library's logging for this process.

    Pretty on a terminal, JSON lines otherwise; libraries' own loggers are let through from
    warnings on.
    """
    threshold = getattr(logging, level.upper())
    renderer: Any = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([lines] if lines is not None else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)


def get_log(**bound: Any) -> Any:
    """A logger with these keys on every line."""
    return structlog.get_logger(**bound)
