"""Reading the log files of processes: the end of one, and what is added to it."""

import os
import time
from collections import deque
from collections.abc import Generator, Iterable
from itertools import chain
from pathlib import Path
from typing import TextIO

POLL_S = 0.2


def last_lines(file: Path, count: int) -> list[str]:
    """The last lines of a log file; none where it was never written."""
    try:
        with file.open(errors="replace") as lines:
            return [line.rstrip("\n") for line in deque(lines, maxlen=count)]
    except FileNotFoundError:
        return []


def follow_lines(file: Path, count: int) -> Generator[str]:
    """The last lines, then every new one as it is written, over rotations, without an end."""
    file.touch()
    with file.open(errors="replace") as handle:
        yield from _lines_until_rotation(file, handle, deque(handle, maxlen=count))
    while True:
        with file.open(errors="replace") as handle:
            yield from _lines_until_rotation(file, handle, ())


def _lines_until_rotation(file: Path, handle: TextIO, first: Iterable[str]) -> Generator[str]:
    pending = ""
    for piece in chain(first, _pieces_until_rotation(file, handle)):
        pending += piece
        if pending.endswith("\n"):
            yield pending.rstrip("\n")
            pending = ""


def _pieces_until_rotation(file: Path, handle: TextIO) -> Generator[str]:
    """What is read as it comes; a line that is being written may come in several pieces."""
    while True:
        piece = handle.readline()
        if piece:
            yield piece
        elif _was_rotated(file, handle.fileno()):
            return
        else:
            time.sleep(POLL_S)


def _was_rotated(file: Path, descriptor: int) -> bool:
    try:
        return file.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
