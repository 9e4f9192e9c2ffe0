"""A learner process as the trainer sees it; `order.py` tells the protocol."""

import asyncio
import contextlib
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

from pydantic import ValidationError

from services.trainer.order import LearnerOrder, LearnerReport

MOST_LINE_BYTES = 1024**2
"""A report may quote a long traceback."""


class LearnerHandle:
    """One learner process, from its start to its end."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], order: LearnerOrder) -> "LearnerHandle":
        """Start the process and give it its order."""
        handle = await cls.launch(command)
        handle.give(order)
        return handle

    @classmethod
    async def launch(cls, command: Sequence[str]) -> "LearnerHandle":
        """Start the process alone; what it logs goes where our own log goes."""
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, limit=MOST_LINE_BYTES
            )
        )

    def give(self, order: LearnerOrder) -> None:
        """Let it train this run; once for a process."""
        self._say(order.model_dump_json())

    async def ended(self) -> int:
        """Wait until a process that has got no order is over; its exit code."""
        return await self._process.wait()

    async def report(self) -> LearnerReport | None:
        """Wait until the process has ended; None where it said nothing of how the run ended."""
        last = b""
        assert self._process.stdout is not None
        while line := await self._next_line(self._process.stdout):
            last = line
        await self._process.wait()
        try:
            return LearnerReport.model_validate_json(last)
        except ValidationError:
            return None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """As `subprocess` has it: negative for a signal, None while it runs."""
        return self._process.returncode

    @property
    def alive(self) -> bool:
        """Whether the process runs, also where the event loop has not heard yet that it died."""
        if self.exit_code is not None:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def ask_to_stop(self, reason: str) -> None:
        """Ask for an end after the current update, with a last checkpoint."""
        self._say(f"stop {' '.join(reason.split())}")

    async def leave(self, grace_s: float) -> None:
        """Make it go: by the end of its input, and by force where it does not heed that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(f"{line}\n".encode())

    @staticmethod
    async def _next_line(stdout: asyncio.StreamReader) -> bytes:
        try:
            return await stdout.readline()
        except ValueError:  # over the limit: no report, and dropped
            return b"\n"
