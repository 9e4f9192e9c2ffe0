"""
Put on `PYTHONPATH`, tells on stderr of every callback that held the main thread's event loop.

It is asyncio's own debug measurement, callback by callback, with one correction: the time for
which work waited for a processor, as Linux counts it, or a virtual machine's host gave the
processors to others, is not the callback's fault on a machine that does other things too. (Who
waits may be a thread of ours that has the interpreter's lock, so that counting the main thread's
own waits is not enough.) What the main thread computed is its fault in any case.
"""

import asyncio.events
import os
import sys
import threading
import time

LIMIT_S = 0.05
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STAT = os.open("/proc/stat", os.O_RDONLY)
PRESSURE = os.open("/proc/pressure/cpu", os.O_RDONLY)
run = asyncio.events.Handle._run


def stolen_s() -> float:
    """Seconds that the host took from all processors together."""
    return int(os.pread(STAT, 200, 0).split()[8]) / TICKS_PER_S


def waited_s() -> float:
    """Seconds for which anything on this machine waited for a processor."""
    some, _, _ = os.pread(PRESSURE, 200, 0).partition(b"\n")
    return int(some.rpartition(b"total=")[2]) / 1e6


def watched(handle: asyncio.events.Handle) -> None:
    """Run a callback and tell if it took too long."""
    if threading.current_thread() is not threading.main_thread():
        return run(handle)
    stolen, waited = stolen_s(), waited_s()
    began_s, computed_s = time.perf_counter(), time.thread_time()
    run(handle)
    held_s = time.perf_counter() - began_s
    if held_s > LIMIT_S:
        computed_s = time.thread_time() - computed_s
        held_s = max(computed_s, held_s - (waited_s() - waited)) - (stolen_s() - stolen)
    if held_s > LIMIT_S:
        sys.stderr.write(
            f"HELD {sys.argv[0]} {held_s:.3f} s, computed {computed_s:.3f}: {handle!r}\n"
        )
    return None


asyncio.events.Handle._run = watched  # type: ignore[method-assign]
