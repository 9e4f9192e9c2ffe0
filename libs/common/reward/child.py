"""
The child process: `python -m libs.common.reward.child`. Standard library only, for a fast start.

It reads requests from stdin and answers on what was stdout: first the source, limits and constants;
then `layout` (how the columns of batches lie), `constants` (of some cars), both without an answer,
and batches (one step of all cars). Its argument is the descriptor of one shared page, in which it
says which call of a batch is running, even to a parent that gets no answer.
"""

import io
import linecache
import mmap
import os
import random
import struct
import sys
from types import CodeType
from typing import Any

from libs.common.reward import guard, wire
from libs.common.reward.alarm import Alarm
from libs.common.reward.contract import FUNCTION, RewardFunction, checked_reward, find_function
from libs.common.reward.failures import FILENAME, describe_failure
from libs.common.reward.limits import RewardLimits
from libs.common.reward.rows import Constants, constants_of, own_params, read_rows

RESERVE_BYTES = 4 * 2**20


class Sandbox:
    """The loaded reward function, once for each car."""

    def __init__(self, request: dict[str, Any], running: memoryview) -> None:
        self.limits = RewardLimits(**request["limits"])
        self.alarm = Alarm(running)
        self.running = running
        """The index of the call that is running, in its first number."""
        self.rewards: list[float] = []
        """Of the present batch, as far as it has come."""
        self.layout: list[tuple[str, str, list[int]]] = []
        self.printed = BoundedText(self.limits.printed_chars)
        self.seed = request["seed"]
        self.constants: dict[int | None, Constants] = {}
        self.functions: dict[int, RewardFunction] = {}
        self.set_constants(request["constants"], None)
        self.source = source = request["source"]
        lines = source.splitlines(keepends=True)
        linecache.cache[FILENAME] = (len(source), None, lines, FILENAME)
        self.code: CodeType | None = None
        self.reserve = bytearray(RESERVE_BYTES)
        """Let go when memory runs out, so that there is some to say so."""

    def load(self) -> None:
        """Compile the source and run its top level for the first car."""
        sys.stdout = sys.stderr = self.printed
        random.seed(self.seed)
        with self.alarm.after(self.limits.load_s, self.limits.load_s):
            self.code = compile(self.source, FILENAME, "exec", dont_inherit=True)
            self.functions[0] = self._new_function()
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(self.seed)

    def set_constants(self, constants: dict[str, Any], cars: list[int] | None) -> None:
        """Params that stay the same from call to call, of these cars or of all others."""
        for car in [None] if cars is None else cars:
            self.constants[car] = constants_of(constants)

    def call_all(self, body: bytes) -> None:
        """Fill `rewards`: one call after the other, until one breaks its contract."""
        self.rewards.clear()
        self.running[0] = 0
        limits, rows = self.limits, read_rows(body, self.layout)
        with self.alarm.after(limits.call_s, limits.batch_s):
            for index, (car, values) in enumerate(zip(rows.cars, rows.values, strict=True)):
                self.running[0] = index
                function = self.functions.get(car)
                if function is None:
                    function = self.functions[car] = self._new_function()
                constants = self.constants.get(car) or self.constants[None]
                value = function(own_params(constants, rows.keys, values))
                self.rewards.append(checked_reward(value, function))

    def _new_function(self) -> RewardFunction:
        """Run the top level in a namespace of its own: cars must not share globals."""
        assert self.code is not None
        namespace: dict[str, Any] = {
            "__name__": FUNCTION,
            "__builtins__": guard.user_builtins(),
        }
        exec(self.code, namespace)
        return find_function(namespace)


class BoundedText(io.TextIOBase):
    """What user code prints; past the limit it is dropped."""

    def __init__(self, most_chars: int) -> None:
        self.left = self.most_chars = most_chars
        self.parts: list[str] = []

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.left > 0:
            self.parts.append(text[: self.left])
            self.left -= len(text)
        return len(text)

    def take(self) -> str:
        """What was written since the last time."""
        text = "".join(self.parts)
        self.parts.clear()
        self.left = self.most_chars
        return text


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    replies, requests = _take_stdout(), sys.stdin.fileno()
    running = mmap.mmap(int(sys.argv[1]), mmap.PAGESIZE)
    request = wire.read_blocking(requests)
    if request is None:
        return
    sandbox = Sandbox(wire.parse(request), memoryview(running).cast("Q"))
    guard.raise_walls(sandbox.limits, requests)
    wire.write_blocking(replies, _answer_load(sandbox))
    while (request := wire.read_blocking(requests)) is not None:
        if request.startswith(wire.BATCH):
            wire.write_blocking(replies, _answer_batch(sandbox, request))
        else:
            _take_note(sandbox, wire.parse(request))


def _take_stdout() -> int:
    """Keep the pipe of the answers to ourselves; nothing that is printed must get into it."""
    replies = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    os.set_blocking(2, False)  # nobody reads it while we live: never wait for it
    return replies


def _take_note(sandbox: Sandbox, request: dict[str, Any]) -> None:
    if request["do"] == "layout":
        sandbox.layout = request["layout"]
    else:
        sandbox.set_constants(request["constants"], request["cars"])


def _answer_load(sandbox: Sandbox) -> bytes:
    try:
        sandbox.load()
    except BaseException as error:
        return _failure(sandbox, error, "load")
    return wire.LOADED + sandbox.printed.take().encode(errors="replace")


def _answer_batch(sandbox: Sandbox, body: bytes) -> bytes:
    try:
        sandbox.call_all(body)
    except BaseException as error:
        return _failure(sandbox, error, "raised", index=len(sandbox.rewards))
    numbers = struct.pack(f"={len(sandbox.rewards)}d", *sandbox.rewards)
    return wire.REWARDS + numbers + sandbox.printed.take().encode(errors="replace")


def _failure(sandbox: Sandbox, error: BaseException, kind: str, index: int | None = None) -> bytes:
    sandbox.reserve.clear()
    call_s = sandbox.limits.call_s
    with sandbox.alarm.after(call_s, call_s):  # the user's own exception may have methods
        failure = describe_failure(error, kind)
    failure |= {"index": index, "printed": sandbox.printed.take()}
    return wire.FAILURE + wire.to_json(failure)


if __name__ == "__main__":
    main()
