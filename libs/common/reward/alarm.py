"""
The child's own clock: ends a call that takes too long, where Python still runs.

One timer for a whole batch, that rings several times in a call's limit, costs two system calls a
batch instead of one a call. It rings again and again: code that catches everything is interrupted
every time. What it can't interrupt, a loop inside a C library, the parent ends from outside.
"""

import signal
from types import FrameType
from typing import Self

RINGS = 8
"""In the limit of a call: it ends at most one eighth late."""


class OutOfTime(BaseException):
    """The alarm rang. No `Exception`, so that a broad `except` in user code lets it through."""


class Alarm:
    """
    Raises `OutOfTime` inside a `with` block once a call, or all of them, have taken too long.

        with alarm.after(call_s, total_s):
    """

    def __init__(self, running: memoryview) -> None:
        """`running`: its first number changes with every call."""
        self._running = running
        self._call_s = self._total_s = 1.0
        self._rings = self._began = self._call = 0
        signal.signal(signal.SIGALRM, self._ring)

    def after(self, call_s: float, total_s: float) -> Self:
        """With these limits, in seconds."""
        self._call_s, self._total_s = call_s, total_s
        return self

    def __enter__(self) -> None:
        self._rings, self._began, self._call = 0, 0, self._running[0]
        ring_s = self._call_s / RINGS
        signal.setitimer(signal.ITIMER_REAL, ring_s, ring_s)

    def __exit__(self, *exc_info: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, number: int, at: FrameType | None) -> None:
        self._rings += 1
        call_s, total_s = self._call_s, self._total_s
        if self._running[0] != self._call:
            self._call, self._began = self._running[0], self._rings
        if self._rings - self._began >= RINGS:
            raise OutOfTime(f"took longer than {call_s:g} s; accepted: up to {call_s:g} s")
        if self._rings * call_s / RINGS >= total_s:
            reason = f"took longer than {total_s:g} s with all cars' calls of one step"
            raise OutOfTime(f"{reason}; accepted: up to {total_s:g} s")
