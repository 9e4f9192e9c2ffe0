"""
The parent's end of the pipes to a child that nobody trusts: messages with deadlines.

A child can hang, die, send rubbish, close its pipes or flood them; each ends here as a
`RewardError`, with the child gone.
"""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import NoReturn

from libs.common.reward import wire
from libs.common.reward.errors import RewardError

GRACE_S = 1.0
"""The child ends a call by itself first; this is how much later the parent ends the child."""

LOOKS = 8
"""In the limit of a call, to see whether it is still the same one that runs."""

PIPE_BYTES = 65536  # what a pipe holds
STDERR_CHARS = 2000
PAGE_BYTES = 65536  # at least one page of memory, on every machine
INDEX_BYTES = 8

CHILD_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "PYTHONHASHSEED": "0",  # a set's order must not differ from run to run
    # The child may start no threads; each would also reserve address space.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""All that the child sees of the environment: it inherits no secrets."""


class Patience:
    """How long to wait for an answer: altogether, and for one call to make way for the next."""

    def __init__(self, total_s: float, call_s: float | None = None) -> None:
        """Begin to wait; without `call_s` no call is running, and the total alone counts."""
        self.calls = call_s is not None
        self.accepted = f"up to {total_s:g} s"
        if call_s is not None:
            self.accepted = f"up to {call_s:g} s a call and {total_s:g} s a step"
        self._call_s = total_s if call_s is None else call_s
        self._running, self._since_s = -1, time.monotonic()
        self._until_s = self._since_s + total_s + GRACE_S
        self.look_every_ms = 1000 * self._call_s / LOOKS
        """How often to see which call is running."""

    def is_over(self, running: int) -> bool:
        """Whether to give up while that call is running."""
        now_s = time.monotonic()
        if running != self._running:
            self._running, self._since_s = running, now_s
        return now_s > min(self._until_s, self._since_s + self._call_s + GRACE_S)


class Channel:
    """A child process and its pipes. One thread at a time."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="reward-")
        # The child maps this page and says in it which call is running. It is only ever read as a
        # file: a child that cuts it short can't hurt us.
        self._page = tempfile.TemporaryFile()  # noqa: SIM115
        self._page.truncate(PAGE_BYTES)
        self._process = _start_child(self._scratch.name, self._page.fileno())
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin.fileno()
        self._replies = self._process.stdout.fileno()
        self._writable, self._readable = select.poll(), select.poll()
        self._writable.register(self._requests, select.POLLOUT)
        self._readable.register(self._replies, select.POLLIN)

    @property
    def ended(self) -> bool:
        """Whether it is known, without asking, that the child is gone."""
        return self._process.returncode is not None

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The child's process id, which is its process group's too."""
        return self._process.pid

    def send(self, messages: bytes, patience: Patience) -> None:
        """Write all of it, as fast as the child takes it."""
        rest = memoryview(messages)
        while rest:
            try:
                rest = rest[os.write(self._requests, rest) :]
            except BlockingIOError:
                self._wait(self._writable, patience)
            except BrokenPipeError:
                self._raise_death()

    def receive(self, most_bytes: int, patience: Patience) -> bytes:
        """The next message, and nothing behind it."""
        parts = self._read(b"", wire.LENGTH_BYTES, patience)
        try:
            end = wire.LENGTH_BYTES + wire.body_length(parts[: wire.LENGTH_BYTES], most_bytes)
        except ValueError as error:
            self.distrust(str(error))
        parts = self._read(parts, end, patience)
        if len(parts) > end:
            self.distrust("more than it was asked for")
        return parts[wire.LENGTH_BYTES :]

    def distrust(self, what: str) -> NoReturn:
        """End a child that sent what no honest one sends."""
        self.close()
        raise RewardError(f"its process sent {what}", kind="died")

    def close(self) -> None:
        """End the child and whatever it started, and remove its folder. Twice is fine."""
        if self.alive:
            # Its own process group: nothing that it may have started is left behind.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._page.close()
        self._scratch.cleanup()

    def _read(self, parts: bytes, count: int, patience: Patience) -> bytes:
        """Go on behind these bytes until there are so many at least."""
        while len(parts) < count:
            self._wait(self._readable, patience)
            part = os.read(self._replies, PIPE_BYTES)
            if not part:
                self._raise_death()
            parts += part
        return parts

    def _running_call(self) -> int:
        """The index of the call that the child says it is in."""
        return int.from_bytes(os.pread(self._page.fileno(), INDEX_BYTES, 0), sys.byteorder)

    def _wait(self, poll: select.poll, patience: Patience) -> None:
        while not poll.poll(patience.look_every_ms):
            running = self._running_call()
            if patience.is_over(running):
                self.close()
                reason = "did not come back and had to be ended; accepted: " + patience.accepted
                index = running if patience.calls else None
                raise RewardError(reason, kind="timeout", index=index)

    def _raise_death(self) -> NoReturn:
        """Say how the child ended; whatever it last wrote to stderr tells more."""
        try:
            code = self._process.wait(GRACE_S)
            how = f"ended with signal {signal.Signals(-code).name}" if code < 0 else ""
            how = how or f"ended with exit code {code}"
        except subprocess.TimeoutExpired:
            how = "closed its pipes and had to be ended"
        last = self._last_words()
        self.close()
        raise RewardError(f"its process {how}", kind="died", traceback=last)

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        words = self._process.stderr.read(PIPE_BYTES) or b""
        return words.decode(errors="replace")[-STDERR_CHARS:]


def _start_child(folder: str, page: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-P", "-s", "-B", "-m", "libs.common.reward.child", str(page)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        env=CHILD_ENVIRONMENT,
        start_new_session=True,
        pass_fds=(page,),
    )
    assert child.stdin is not None
    os.set_blocking(child.stdin.fileno(), False)  # a child that does not read must not hold us
    return child
