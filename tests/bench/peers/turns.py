"""
Taking turns: the processes of all simulators are there at once, but only one of them works.

A process says on its standard output what it is once it has driven its first step, then waits.
For each line with a number of seconds it drives for so long and answers with what it did.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any


def serve(about: str, step: Callable[[], int]) -> None:
    """Drive whenever it is this process's turn; `step` returns how many camera steps it made."""
    step()
    _say({"about": about})
    for line in sys.stdin:
        _say(drive_for(float(line), step))


def drive_for(seconds: float, step: Callable[[], int]) -> dict[str, float]:
    """Camera steps, and the wall-clock and the processor time that they took."""
    began_s, processor_s, steps = time.perf_counter(), time.process_time(), 0
    while (spent_s := time.perf_counter() - began_s) < seconds:
        steps += step()
    return {
        "steps": steps,
        "seconds": spent_s,
        "processor_s": time.process_time() - processor_s,
    }


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


class LeftOut(Exception):
    """A simulator that can't run here, and why."""


class Simulator:
    """One or more processes of one simulator. A context manager; leaving it ends them."""

    def __init__(
        self, module: str, *arguments: str, processes: int = 1, environment: Sequence[str] = ()
    ) -> None:
        """`environment` is added to that of the processes, as NAME=value."""
        python = [sys.executable, "-m", f"tests.bench.peers.{module}", *arguments]
        self._command = ["env", *environment, *python] if environment else python
        self._count = processes
        self._running: list[subprocess.Popen[str]] = []
        self._open = ExitStack()
        self.about = ""

    def __enter__(self) -> "Simulator":
        """Start the processes. Raises `LeftOut` where one does not come up."""
        with ExitStack() as started:
            for _ in range(self._count):
                process = started.enter_context(_start(self._command))
                started.callback(process.kill)
                self._running.append(process)
            self.about = [hear(process)["about"] for process in self._running][0]
            self._open = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def drive(self, seconds: float) -> tuple[float, float]:
        """Camera steps per second of wall-clock, and per second of processor time."""
        for process in self._running:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        turns = [hear(process) for process in self._running]
        wall = sum(turn["steps"] / turn["seconds"] for turn in turns)
        return wall, _total(turns, "steps") / _total(turns, "processor_s")


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def hear(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The process's next answer."""
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stdout:
        if line.startswith("{"):  # some libraries print greetings
            answer: dict[str, Any] = json.loads(line)
            return answer
    last = process.stderr.read().strip().splitlines() or ["it said nothing"]
    raise LeftOut(last[-1])


def _total(turns: Sequence[dict[str, Any]], key: str) -> float:
    return float(sum(turn[key] for turn in turns))
