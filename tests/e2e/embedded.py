"""The whole stack as a user starts it: `slipstream up` on a folder and ports of its own."""

import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import stamina

from libs.common.events import Message
from libs.common.journal_reading import (
    journal_path,
    read_events,
)
from tests.servers import BIN, is_free

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "models" / "starter"
PORTS = (0, 1, 2, 3, 4, 5, 10, 22, *range(33, 38))


class EmbeddedStack:
    """NATS, S3 and all six services under the supervisor."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.state = folder / "state"
        self._environment = os.environ | {  # noqa: TID251 - what a user's shell has
            "DR_STATE_DIR": str(self.state),
            "DR_PORT_BASE": str(_free_base()),
            **variables,
        }

    def up(self) -> None:
        """Start it and wait until all is ready."""
        self.cli("up")

    def down(self) -> None:
        """Stop it."""
        self.cli("down")

    def cli(self, *arguments: str, code: int = 0) -> Any:
        """Run `slipstream ARGUMENTS --json`; its document, or its documents when it follows."""
        done = subprocess.run(
            [BIN / "slipstream", *arguments, "--json"],
            env=self._environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{arguments} ended with {done.returncode}: {done.stderr}"
        documents = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        return documents[0] if len(documents) == 1 else documents

    def start(self, folder: Path, *options: str) -> str:
        """Queue a run; its id."""
        document = self.cli("train", str(folder), *options)
        run_id: str = document["id"]
        return run_id

    def wait_for_end(self, run_id: str) -> dict[str, Any]:
        """The run's document when it is over."""
        return self._when(run_id, lambda document: document["ended_at"] is not None)

    def wait_for_steps(self, run_id: str, env_steps: int) -> dict[str, Any]:
        """The run's document when it has so many camera steps."""
        return self._when(run_id, lambda found: found["progress"]["env_steps"] >= env_steps)

    def wait_for_checkpoint(self, run_id: str) -> dict[str, Any]:
        """The run's document when it has one."""
        return self._when(run_id, lambda found: found["last"] is not None)

    def _when(self, run_id: str, holds: Any) -> dict[str, Any]:
        for attempt in stamina.retry_context(
            on=AssertionError, attempts=None, timeout=240, wait_initial=0.2, wait_max=0.5
        ):
            with attempt:
                document: dict[str, Any] = self.cli("show", run_id)
                assert holds(document), document
        return document

    def processes(self) -> dict[str, dict[str, Any]]:
        """What the supervisor says of each process, by its name."""
        return {process["name"]: process for process in self.cli("status")["processes"]}

    def kill(self, name: str) -> int:
        """SIGKILL a process, or the trainer's `learner`; returns the pid that died."""
        pid = self._learner() if name == "learner" else int(self.processes()[name]["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def _learner(self) -> int:
        trainer = psutil.Process(int(self.processes()["trainer"]["pid"]))
        learners = []
        for child in trainer.children():
            with suppress(psutil.Error):  # it is over by now
                command = " ".join(child.cmdline())
                if "learner" in command or "services.trainer.coach" in command:
                    learners.append(child)
        assert learners, "no learner is running"
        # A spare is never older: none waits while the one place is taken.
        return min(learners, key=psutil.Process.create_time).pid

    def journal(self, run_id: str) -> Iterator[Message]:
        """Every event of a run, as the logger wrote it."""
        return read_events(journal_path(self.state / "journal", run_id))

    @stamina.retry(on=AssertionError, attempts=None, timeout=60, wait_initial=0.2, wait_max=0.5)
    def wait_for_journal(self, run_id: str, *kinds: type[Message]) -> list[Message]:
        """A run's journal as soon as it holds an event of each of these classes."""
        events = list(self.journal(run_id))
        assert set(kinds) <= {type(event) for event in events}
        return events


def _free_base() -> int:
    while True:
        base = random.randrange(12_000, 30_000)
        ports = [base + port for port in PORTS]
        if all(is_free(port) for port in (*ports, *(port + 10_000 for port in ports[-5:]))):
            return base
