"""
Put on `PYTHONPATH`, tells on stderr of every callback that held the main thread's event loop.

It is asyncio's own debug measurement, callback by callback, with one correction: the time for
which the thread was ready and had no processor, as Linux counts it, is not the callback's fault on
a machine that does other things too, nor is the time for which a virtual machine's host gave the
processors to others. Waiting for the interpreter's lock is.
"""

import asyncio.events
import os
import sys
import threading
import time

LIMIT_S = 0.05
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STAT = os.open("/proc/stat", os.O_RDONLY)
SCHEDSTAT = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
run = asyncio.events.Handle._run


def unserved_s() -> float:
    """Seconds for which the main thread was ready to run and no processor was free, or stolen."""
    waited_ns = int(os.pread(SCHEDSTAT, 100, 0).split()[1])
    stolen_ticks = int(os.pread(STAT, 200, 0).split()[8])  # of all processors: at most too much
    return waited_ns / 1e9 + stolen_ticks / TICKS_PER_S


def watched(handle: asyncio.events.Handle) -> None:
    """Run a callback and tell if it took too long."""
    if threading.current_thread() is not threading.main_thread():
        return run(handle)
    waited_s, began_s = unserved_s(), time.perf_counter()
    run(handle)
    held_s = time.perf_counter() - began_s
    if held_s > LIMIT_S and (held_s := held_s - (unserved_s() - waited_s)) > LIMIT_S:
        sys.stderr.write(f"HELD {sys.argv[0]} {held_s:.3f} s: {handle!r}\n")
    return None


asyncio.events.Handle._run = watched  # type: ignore[method-assign]
