"""
The child's own clock: ends a call that takes too long, where Python still runs.

One timer for a whole batch, that rings several times in a call's limit, costs two system calls a
batch instead of one a call. It rings again and again: code that catches everything is interrupted
every time. What it can't interrupt, a loop inside a C library, the parent ends from outside.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

RINGS = 8
"""In the limit of a call: it ends at most one eighth late."""


class OutOfTime(BaseException):
    """The alarm rang. No `Exception`, so that a broad `except` in user code lets it through."""


@contextmanager
def alarm(
    call_s: float, total_s: float, running_call: Callable[[], int] = lambda: 0
) -> Iterator[None]:
    """
    Raise `OutOfTime` inside the block once a call, or all of them, have taken too long.

    Args:
        call_s: seconds in which `running_call` has to change.
        total_s: seconds for the whole block.
        running_call: the number of the call that is running.
    """
    ring_s = call_s / RINGS
    rings, began, running = 0, 0, running_call()

    def ring(number: int, at: FrameType | None) -> None:
        nonlocal rings, began, running
        rings += 1
        if running_call() != running:
            running, began = running_call(), rings
        if rings - began >= RINGS:
            raise OutOfTime(f"took longer than {call_s:g} s; accepted: up to {call_s:g} s a call")
        if rings * ring_s >= total_s:
            raise OutOfTime(f"took longer than {total_s:g} s with all cars' calls of one step")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, ring_s, ring_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
