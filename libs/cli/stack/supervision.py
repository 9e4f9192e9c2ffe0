"""The supervisor: its configuration, its start, and a typed client of its XML-RPC interface."""

import configparser
import http.client
import os
import re
import shlex
import subprocess
import sys
import xmlrpc.client
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from libs.cli.config import CHECKOUT
from libs.cli.stack.processes import Process
from libs.cli.stack.state import StateFolder, write_private
from libs.common.errors import Conflict, NotFound, PlatformError, StartupFailed, Unavailable

EXPECTED_EXIT_CODES = (0, 3)
"""0: ended as it should; 3: can't start, and a restart would not help."""

STOPPED_STATES = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})

_CALL_TIMEOUT_S = 10.0
_BAD_NAME = 10  # the supervisor's fault codes
_ALREADY_STARTED = 60
_NOT_RUNNING = 70


@dataclass(frozen=True)
class ProcessState:
    """What the supervisor knows about one process."""

    name: str
    state: str  # STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL UNKNOWN
    pid: int
    uptime_s: int
    exit_code: int

    @property
    def is_stopped(self) -> bool:
        """It does not run now."""
        return self.state in STOPPED_STATES

    @property
    def stays_stopped(self) -> bool:
        """It does not run and the supervisor will not start it again."""
        comes_back = self.state == "EXITED" and self.exit_code not in EXPECTED_EXIT_CODES
        return self.is_stopped and not comes_back


class Supervisor:
    """A client of one supervisor."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._proxy = xmlrpc.client.ServerProxy(
            f"http://{user}:{password}@127.0.0.1:{port}/RPC2", transport=_TimedTransport()
        )

    def pid(self) -> int | None:
        """The supervisor's process id, or None where no supervisor takes our password."""
        try:
            return int(self._call("getPID"))
        except PlatformError:
            return None

    def states(self) -> dict[str, ProcessState]:
        """All processes by name."""
        return {item["name"]: _parse(item) for item in self._call("getAllProcessInfo")}

    def start(self, name: str) -> None:
        """Start a process and return at once; it may run already."""
        self._call("startProcess", name, False, accepted=_ALREADY_STARTED)

    def stop(self, name: str, wait: bool = False) -> None:
        """Ask a process to end; it may have ended already."""
        self._call("stopProcess", name, wait, accepted=_NOT_RUNNING)

    def shut_down(self) -> None:
        """End everything and the supervisor itself."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: object, accepted: int | None = None) -> Any:
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == accepted:
                return None
            if fault.faultCode == _BAD_NAME:
                raise NotFound(f"the running stack has no process {arguments[0]!r}") from fault
            raise Conflict(
                f"the supervisor refused {method}{arguments}: {fault.faultString}"
            ) from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise Unavailable(f"the supervisor does not answer: {error}") from error
        finally:
            self._proxy("close")()


class _TimedTransport(xmlrpc.client.Transport):
    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = _CALL_TIMEOUT_S
        return connection


def _parse(item: Mapping[str, Any]) -> ProcessState:
    runs = item["statename"] in ("RUNNING", "STARTING", "STOPPING")
    return ProcessState(
        name=item["name"],
        state=item["statename"],
        pid=item["pid"],
        uptime_s=item["now"] - item["start"] if runs else 0,
        exit_code=item["exitstatus"],
    )


def launch(state: StateFolder, table: Iterable[Process], variables: Mapping[str, str]) -> None:
    """
    Start the supervisor as a daemon, with no process of the table running yet.

    Raises:
        StartupFailed: it refused its configuration or its port.
    """
    write_private(state.programs, render_programs(table, state))
    command = [sys.executable, "-m", "supervisor.supervisord"]
    command += ["--configuration", str(CHECKOUT / "deploy" / "supervisord.conf")]
    if os.getuid() == 0:
        command += ["--user", "0"]  # it warns where root is not asked for by name
    result = subprocess.run(
        command,
        env=child_environment(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,  # the daemon lets go of these pipes
        text=True,
        check=False,
    )
    if result.returncode:
        raise StartupFailed(f"the supervisor did not start: {result.stderr or result.stdout}")


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process with some variables set: what a child inherits."""
    inherited = os.environ  # noqa: TID251 - passed on whole to a child, no setting is read
    return {**inherited, **variables}


def render_programs(table: Iterable[Process], state: StateFolder) -> str:
    """The supervisor's program sections for a process table."""
    parser = configparser.RawConfigParser()
    for position, process in enumerate(table):
        parser[f"program:{process.name}"] = _program(process, position, state)
    lines: list[str] = []
    for section in parser.sections():
        lines += [f"[{section}]", *(f"{key}={value}" for key, value in parser.items(section)), ""]
    return "\n".join(lines)


def _program(process: Process, position: int, state: StateFolder) -> dict[str, str]:
    environment = ",".join(f'{key}="{value}"' for key, value in process.environment.items())
    options: dict[str, object] = {
        "command": shlex.join(process.command),
        "directory": process.directory,
        "environment": environment,
        "priority": 10 + position if process.is_server else 100 + position,
        # `up` starts them itself, the services only when the servers answer.
        "autostart": "false",
        "autorestart": "unexpected",
        "exitcodes": ",".join(str(code) for code in EXPECTED_EXIT_CODES),
        # Running from the first moment: otherwise exit code 3 soon after the start is retried.
        "startsecs": 0,
        "stopsignal": "TERM",
        "stopwaitsecs": process.stop_wait_s,
        # SIGTERM goes to the service, which ends its children; SIGKILL goes to all of them.
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": state.log_file(process.name),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 2,
    }
    return {key: str(value).replace("%", "%%") for key, value in options.items()}


def count_crashes(supervisor_log: Path) -> Counter[str]:
    """How often each process ended unexpectedly since the present supervisor began."""
    try:
        text = supervisor_log.read_text(errors="replace")
    except FileNotFoundError:
        return Counter()
    since_start = text.rpartition("supervisord started with pid")[2]
    return Counter(re.findall(r"exited: (\S+) \(.*; not expected\)", since_start))


def end_strays(stack_id: str, spared: Iterable[int] = ()) -> list[int]:
    """
    Kill processes of this state folder that no supervisor looks after any more.

    They are left where a supervisor was killed; their ports and files would be in the way.
    """
    kept = {os.getpid(), *spared}
    strays = [process for process in psutil.process_iter() if _belongs(process, stack_id, kept)]
    for process in strays:
        _kill(process)
    psutil.wait_procs(strays, timeout=5)
    return [process.pid for process in strays]


def _belongs(process: psutil.Process, stack_id: str, kept: set[int]) -> bool:
    try:
        return process.pid not in kept and process.environ().get("DR_STACK_ID") == stack_id
    except (psutil.Error, OSError):
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
