"""
The parent's side of the reward function: start the child, one round trip for each step of all cars.

Synchronous: for worker threads, one thread at a time for each `RewardProcess`.
"""

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NoReturn, Self

from libs.common.reward import wire
from libs.common.reward.errors import FATAL, RewardError
from libs.common.reward.limits import RewardLimits

GRACE_S = 1.0
"""The child ends a call by itself first; this is how much later the parent ends the child."""

STDERR_CHARS = 2000

CHILD_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "PYTHONHASHSEED": "0",  # a set's order must not differ from run to run
    # One core's worth: each thread of these libraries would also reserve address space.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""All that the child sees of the environment: it inherits no secrets."""


class RewardProcess:
    """
    A reward function that runs in a child process. A context manager; `close` ends the child.

    Each car has its own copy of the user's module, so that what a function keeps in globals between
    its calls is about one car, as it is on DeepRacer.
    """

    def __init__(
        self,
        source: str,
        constants: Mapping[str, Any],
        *,
        limits: RewardLimits | None = None,
        seed: int = 0,
    ) -> None:
        """
        Start the child and load the source.

        Args:
            source: Python text that defines `reward_function(params)`.
            constants: the params that do not change from step to step (waypoints, track_length …).
            limits: what the function may use up.
            seed: of `random` and `numpy.random` in the child.

        Raises:
            RewardError: the source does not load (kind `load`, `timeout`, `memory` or `died`).
        """
        self.limits = limits or RewardLimits()
        self.printed = ""
        """What `print` wrote in the last batch (or while loading), cut at the limit."""
        self._scratch = tempfile.TemporaryDirectory(prefix="reward-")
        self._child = _start_child(self._scratch.name)
        load = {
            "source": source,
            "constants": dict(constants),
            "limits": asdict(self.limits),
            "seed": seed,
        }
        try:
            self._exchange(load, self.limits.load_s)
        except BaseException:
            self.close()
            raise

    def rewards(
        self, batch: Sequence[Mapping[str, Any]], cars: Sequence[int] | None = None
    ) -> list[float]:
        """
        The rewards of one step of all cars, in one round trip.

        Args:
            batch: the params of each call without the constants; numpy values are fine.
            cars: whose call each is, 0 for the first; by default the position in the batch.

        Raises:
            RewardError: the first call that broke the contract, with `index` and `params`. After
                the kinds `timeout`, `memory` and `died` the child is gone.
        """
        if not self.alive:
            raise RewardError("its process is not running", kind="died")
        who = list(cars) if cars is not None else list(range(len(batch)))
        request = {"do": "rewards", "cars": who, "batch": list(batch)}
        try:
            reply = self._exchange(request, self._time_for(len(batch)))
        except RewardError as error:
            if error.index is not None and error.index < len(batch):
                error.params = dict(batch[error.index])
            raise
        rewards: list[float] = reply["rewards"]
        return rewards

    def set_constants(self, constants: Mapping[str, Any], cars: Sequence[int]) -> None:
        """From now on these cars have other constants, as after a change of direction."""
        if not self.alive:
            raise RewardError("its process is not running", kind="died")
        request = {"do": "constants", "constants": dict(constants), "cars": list(cars)}
        self._send(wire.frame(request), time.monotonic() + GRACE_S)

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._child.poll() is None

    @property
    def pid(self) -> int:
        """The child's process id, which is its process group's too."""
        return self._child.pid

    def close(self) -> None:
        """End the child and whatever it started, and remove its folder. Twice is fine."""
        if self.alive:
            # Its own process group: nothing that it may have started is left behind.
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _time_for(self, calls: int) -> float:
        return min(self.limits.call_s * max(calls, 1), self.limits.batch_s)

    def _exchange(self, request: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """One request and its answer."""
        deadline_s = time.monotonic() + limit_s + GRACE_S
        self._send(wire.frame(request), deadline_s)
        head = self._receive(wire.LENGTH_BYTES, deadline_s)
        try:
            reply = wire.parse(self._receive(wire.body_length(head), deadline_s))
        except ValueError as error:
            self.close()
            raise RewardError(f"its process sent {error}", kind="died") from error
        self.printed = reply.get("printed", "")
        if "failure" in reply:
            self._fail(reply["failure"])
        return reply

    def _send(self, data: bytes, deadline_s: float) -> None:
        """Write all of it, as fast as the child takes it."""
        assert self._child.stdin is not None
        rest = memoryview(data)
        while rest:
            self._wait_for(self._child.stdin.fileno(), select.POLLOUT, deadline_s)
            try:
                rest = rest[os.write(self._child.stdin.fileno(), rest) :]
            except BrokenPipeError:
                self._raise_death()

    def _receive(self, count: int, deadline_s: float) -> bytes:
        """Exactly so many bytes."""
        assert self._child.stdout is not None
        parts = bytearray()
        while len(parts) < count:
            self._wait_for(self._child.stdout.fileno(), select.POLLIN, deadline_s)
            part = os.read(self._child.stdout.fileno(), count - len(parts))
            if not part:
                self._raise_death()
            parts += part
        return bytes(parts)

    def _wait_for(self, descriptor: int, event: int, deadline_s: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if poll.poll(max(deadline_s - time.monotonic(), 0) * 1000):
            return
        self.close()
        reason = "did not come back and had to be ended; accepted: "
        limits = f"up to {self.limits.call_s:g} s a call and {self.limits.batch_s:g} s a step"
        raise RewardError(reason + limits, kind="timeout")

    def _raise_death(self) -> NoReturn:
        """Say how the child ended; whatever it last wrote to stderr tells more."""
        assert self._child.stderr is not None
        code = self._child.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last = self._child.stderr.read().decode(errors="replace")[-STDERR_CHARS:]
        self.close()
        raise RewardError(f"its process ended with {how}", kind="died", traceback=last)

    def _fail(self, failure: dict[str, Any]) -> NoReturn:
        error = RewardError(**failure)
        if error.kind in FATAL:
            self.close()
        raise error


def _start_child(folder: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-P", "-s", "-B", "-m", "libs.common.reward.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        env=CHILD_ENVIRONMENT,
        start_new_session=True,
    )
    assert child.stdin is not None
    os.set_blocking(child.stdin.fileno(), False)  # a child that does not read must not hold us
    return child
