"""A learner process as the trainer sees it; `order.py` tells the protocol."""

import asyncio
import contextlib
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
        """Start the process and give it its order; what it logs goes where our own log goes."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, limit=MOST_LINE_BYTES
        )
        handle = cls(process)
        handle._say(order.model_dump_json())
        return handle

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
    def exit_code(self) -> int | None:
        """As `subprocess` has it: negative for a signal, None while it runs."""
        return self._process.returncode

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
