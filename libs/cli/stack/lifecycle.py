"""Starting, stopping and looking at the stack as a whole."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import psutil
import stamina

from libs.cli.config import StackSettings
from libs.cli.stack.description import (
    StackDescription,
    claims_of,
    describe,
    read_description,
    variables_of,
)
from libs.cli.stack.ports import check_ports
from libs.cli.stack.processes import Process, build_table, supervisor_port
from libs.cli.stack.readiness import ReadinessWatch, obstacle
from libs.cli.stack.state import (
    StateFolder,
    find_state,
    open_state,
    write_private,
    write_s3_identities,
)
from libs.cli.stack.supervision import (
    ProcessState,
    Supervisor,
    count_crashes,
    end_strays,
    launch,
)
from libs.common.errors import NotFound, PlatformError, StartupFailed

STOP_DEADLINE_S = 30.0


@dataclass(frozen=True)
class ProcessReport:
    """One row of `status`."""

    name: str
    state: str
    ready: bool
    port: int
    pid: int
    uptime_s: int
    crashes: int


@dataclass(frozen=True)
class StartReport:
    """What `up` did."""

    was_up: bool
    seconds: float
    description: StackDescription


@dataclass
class Progress:
    """Told how a start comes along. The default says nothing."""

    on_note: Callable[[str], None] = field(default=lambda text: None)
    on_ready: Callable[[Process], None] = field(default=lambda process: None)
    on_waiting: Callable[[Sequence[str]], None] = field(default=lambda names: None)


class _StillRunning(Exception):
    pass


class Stack:
    """The stack of one state folder. `table` takes the place of the usual processes."""

    def __init__(
        self,
        settings: StackSettings,
        state: StateFolder,
        table: Sequence[Process] | None = None,
    ) -> None:
        self.settings = settings
        self.state = state
        self._table = table
        self.description = read_description(state)
        self._watch_port(
            self.description.supervisor_port if self.description else supervisor_port(settings)
        )

    @classmethod
    def open(cls, settings: StackSettings) -> "Stack":
        """The stack of the settings' state folder, which is made if there is none."""
        return cls(settings, open_state(settings.state_dir, settings.min_free_mb))

    @classmethod
    def find(cls, settings: StackSettings) -> "Stack | None":
        """The stack of the settings' state folder, if that exists."""
        state = find_state(settings.state_dir)
        return cls(settings, state) if state else None

    @property
    def is_running(self) -> bool:
        """Whether its supervisor answers."""
        return self.supervisor.pid() is not None

    def start(self, progress: Progress) -> StartReport:
        """
        Make sure that everything runs and is ready; harmless where it does already.

        Raises:
            Conflict: a port is taken.
            StartupFailed: something does not become ready; what this call started is stopped.
        """
        began = time.monotonic()
        with self.state.lock():
            was_up = self.is_running
            if was_up and self.description:
                self._note_other_settings(self.description, progress)
                self._bring_up(self.description.processes, progress)
            else:
                self._start_afresh(progress)
        assert self.description is not None
        return StartReport(was_up, time.monotonic() - began, self.description)

    def stop(self) -> bool:
        """Stop services, then servers, then the supervisor. False: nothing was running."""
        with self.state.lock():
            was_up = self.is_running
            if was_up:
                self._stop_all()
            strays = end_strays(self.state.credentials.stack_id)
        return was_up or bool(strays)

    def restart(self, name: str, progress: Progress) -> list[str]:
        """Restart a process, or all of those called `name`-1, `name`-2 ...; the names."""
        chosen = self.select(name)
        for process in chosen:
            self.supervisor.stop(process.name, wait=True)
        self._bring_up(chosen, progress)
        return [process.name for process in chosen]

    def select(self, name: str) -> list[Process]:
        """
        The processes that a name means: `simulator` is all simulators.

        Raises:
            NotFound: no process has that name; says which there are.
        """
        processes = self.description.processes if self.description else self._build_table()
        chosen = [
            process
            for process in processes
            if process.name == name or process.name.rpartition("-")[0] == name
        ]
        if not chosen:
            known = ", ".join(process.name for process in processes)
            raise NotFound(f"no process is called {name!r}; there are: {known}")
        return chosen

    def report(self) -> list[ProcessReport]:
        """The state of every process; empty where the stack does not run."""
        if not self.description or not self.is_running:
            return []
        states = self.supervisor.states()
        crashes = count_crashes(self.state.log_file("supervisor"))
        return [
            _report(process, states[process.name], crashes[process.name])
            for process in self.description.processes
        ]

    def _start_afresh(self, progress: Progress) -> None:
        strays = end_strays(self.state.credentials.stack_id)
        if strays:
            progress.on_note(f"ended {len(strays)} processes left over from an earlier start")
        table = self._build_table()
        check_ports(claims_of(table, self.settings), self.settings.host, self.settings.port_base)
        write_s3_identities(self.state)
        self._watch_port(supervisor_port(self.settings))
        launch(self.state, table, variables_of(self.settings, self.state))
        self.description = describe(table, self.settings)
        write_private(self.state.description, self.description.model_dump_json(indent=2))
        try:
            self._await_supervisor()
            self._bring_up(table, progress)
        except PlatformError:
            self._stop_all()
            raise

    def _note_other_settings(self, running: StackDescription, progress: Progress) -> None:
        now, then = self._build_table(), running.processes
        if {(p.name, p.port) for p in now} != {(p.name, p.port) for p in then}:
            progress.on_note(
                "it runs with the settings of its start, which were others than the present ones: "
                "`slipstream down`, then `up`, applies these"
            )

    def _bring_up(self, table: Sequence[Process], progress: Progress) -> None:
        """Start what does not run, the services only when the servers are ready."""
        watch = ReadinessWatch(
            self.supervisor,
            self.state,
            progress.on_ready,
            progress.on_waiting,
            progress.on_note,
        )
        deadline = time.monotonic() + self.settings.ready_deadline_s
        for stage in _stages(table):
            for process in stage:
                self.supervisor.start(process.name)
            watch.wait(stage, max(1.0, deadline - time.monotonic()))

    def _stop_all(self) -> None:
        pid = self.supervisor.pid()
        services = [name for name in self.supervisor.states() if not self._is_server(name)]
        for name in services:
            self.supervisor.stop(name)
        self._await_stopped(services)
        self.supervisor.shut_down()
        if pid:
            _await_end(pid)

    def _await_stopped(self, names: Iterable[str]) -> None:
        for attempt in _until(_StillRunning, STOP_DEADLINE_S):
            with attempt:
                states = self.supervisor.states()
                if not all(states[name].is_stopped for name in names):
                    raise _StillRunning

    def _await_supervisor(self) -> None:
        try:
            for attempt in _until(_StillRunning, 10.0):
                with attempt:
                    if not self.is_running:
                        raise _StillRunning
        except _StillRunning:
            log = self.state.log_file("supervisor")
            raise StartupFailed(f"the supervisor does not answer; see {log}") from None

    def _is_server(self, name: str) -> bool:
        processes = self.description.processes if self.description else ()
        return any(process.is_server and process.name == name for process in processes)

    def _build_table(self) -> Sequence[Process]:
        return build_table(self.settings, self.state) if self._table is None else self._table

    def _watch_port(self, port: int) -> None:
        credentials = self.state.credentials
        self.supervisor = Supervisor(
            port, credentials.supervisor_user, credentials.supervisor_password
        )


def _stages(table: Sequence[Process]) -> list[list[Process]]:
    servers = [process for process in table if process.is_server]
    services = [process for process in table if not process.is_server]
    return [stage for stage in (servers, services) if stage]


def _report(process: Process, state: ProcessState, crashes: int) -> ProcessReport:
    return ProcessReport(
        name=process.name,
        state=state.state.lower(),
        ready=state.state == "RUNNING" and obstacle(process) is None,
        port=process.port,
        pid=state.pid,
        uptime_s=state.uptime_s,
        crashes=crashes,
    )


def _until(not_yet: type[Exception], timeout_s: float) -> Iterable[stamina.Attempt]:
    return stamina.retry_context(
        on=not_yet,
        attempts=None,
        timeout=timeout_s,
        wait_initial=0.05,
        wait_max=0.2,
        wait_jitter=0.0,
    )


def _await_end(pid: int) -> None:
    try:
        psutil.Process(pid).wait(STOP_DEADLINE_S)
    except psutil.NoSuchProcess:
        return
