"""Waiting until processes answer that they are ready."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import httpx
import stamina

from libs.cli.stack.logs import last_lines
from libs.cli.stack.processes import Process
from libs.cli.stack.state import StateFolder
from libs.cli.stack.supervision import Supervisor, count_crashes
from libs.common.errors import StartupFailed

PROBE_TIMEOUT_S = 2.0
CRASHES_THAT_ARE_A_LOOP = 3
LOG_LINES_SHOWN = 15


class _StillWaiting(Exception):
    """Not all are ready yet; those are named that are not."""


@dataclass(frozen=True)
class Obstacle:
    """Why a process is not ready, in a few words."""

    reason: str
    started: bool = False  # the process itself is there; the reason lies outside


def obstacle(process: Process) -> Obstacle | None:
    """What keeps the process from being ready; None where it is."""
    try:
        # No proxy that the environment names is asked for an address on this machine.
        answer = httpx.get(process.ready_url, timeout=PROBE_TIMEOUT_S, trust_env=False)
    except httpx.TransportError:
        return Obstacle("does not answer")
    if answer.status_code == 200:
        return None
    try:
        body = answer.json()
        return Obstacle(", ".join(body["missing"]), body.get("started", False))
    except (ValueError, KeyError, TypeError):
        return Obstacle(f"answers {answer.status_code}")


class ReadinessWatch:
    """Waits for a set of processes, and gives up early on one that will not come."""

    def __init__(
        self,
        supervisor: Supervisor,
        state: StateFolder,
        on_ready: Callable[[Process], None],
        on_waiting: Callable[[Sequence[str]], None],
        on_note: Callable[[str], None] = lambda note: None,
    ) -> None:
        self._supervisor = supervisor
        self._state = state
        self._on_ready = on_ready
        self._on_waiting = on_waiting
        self._on_note = on_note
        self._log = state.log_file("supervisor")
        self._reasons: dict[str, str] = {}
        self._crashes_before = count_crashes(self._log)

    def wait(self, processes: Iterable[Process], deadline_s: float) -> None:
        """
        Return when every process is ready, or has started and tells of a problem outside of it.

        Raises:
            StartupFailed: one is not by the deadline, or ended; with the last lines of its log.
        """
        waiting = list(processes)
        try:
            for attempt in stamina.retry_context(
                on=_StillWaiting,
                attempts=None,
                timeout=deadline_s,
                wait_initial=0.1,
                wait_max=0.3,
                wait_jitter=0.0,
            ):
                with attempt:
                    waiting = self._ask(waiting)
        except _StillWaiting:
            raise self._failure(waiting, f"not ready after {deadline_s:.0f} s") from None

    def _ask(self, waiting: list[Process]) -> list[Process]:
        left = []
        for process in waiting:
            found = obstacle(process)
            if found is None:
                self._on_ready(process)
            elif found.started:
                self._on_note(f"{process.name} has started, but {found.reason}")
            else:
                self._reasons[process.name] = found.reason
                left.append(process)
        self._on_waiting([process.name for process in left])
        self._give_up_on_the_dead(left)
        waiting[:] = left
        if left:
            raise _StillWaiting
        return left

    def _give_up_on_the_dead(self, waiting: list[Process]) -> None:
        states = self._supervisor.states()
        crashes = count_crashes(self._log) - self._crashes_before
        for process in waiting:
            if states[process.name].stays_stopped:
                code = states[process.name].exit_code
                raise self._failure([process], f"ended with exit code {code}")
            if crashes[process.name] >= CRASHES_THAT_ARE_A_LOOP:
                raise self._failure([process], f"crashed {crashes[process.name]} times")

    def _failure(self, processes: Sequence[Process], what: str) -> StartupFailed:
        parts = []
        for process in processes:
            reason, file = self._reasons[process.name], self._state.log_file(process.name)
            parts += [f"{process.name}: {what} ({reason}). The last lines of {file}:"]
            parts += [f"  {line}" for line in last_lines(file, LOG_LINES_SHOWN)]
        return StartupFailed("\n".join(parts))
