"""
The child process: `python -m libs.common.reward.child`. Standard library only, for a fast start.

It reads requests from stdin and answers on what was stdout. Three requests: `load` (source, limits,
constants), `constants` (of some cars, no answer), `rewards` (one step of all cars).
"""

import io
import linecache
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Real
from types import CodeType, FrameType
from typing import Any, NoReturn

from libs.common.reward import guard, wire
from libs.common.reward.limits import MAX_REWARD, RewardLimits

FILENAME = "reward_function.py"
FUNCTION = "reward_function"
POINT_LISTS = ("waypoints", "objects_location")
TRACEBACK_FRAMES = 20
QUOTED_CHARS = 80
RESERVE_BYTES = 4 * 2**20
CO_VARARGS = 0x04  # as in `inspect`, which is slow to import

RewardFunction = Callable[[dict[str, Any]], object]


class OutOfTime(BaseException):
    """The alarm rang. No `Exception`, so that a broad `except` in user code lets it through."""


class BrokenContract(Exception):
    """A result that is no reward."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.line: int | None = None


class Sandbox:
    """The loaded reward function, once for each car."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.limits = RewardLimits(**request["limits"])
        self.printed = BoundedText(self.limits.printed_chars)
        self.seed = request["seed"]
        self.constants: dict[int | None, dict[str, Any]] = {}
        self.functions: dict[int, RewardFunction] = {}
        self.set_constants(request["constants"], None)
        source = request["source"]
        lines = source.splitlines(keepends=True)
        linecache.cache[FILENAME] = (len(source), None, lines, FILENAME)
        self.source = source
        self.code: CodeType | None = None
        self.reserve = bytearray(RESERVE_BYTES)
        """Let go when memory runs out, so that there is some to say so."""

    def load(self) -> None:
        """Compile the source and run its top level for the first car."""
        sys.stdout = sys.stderr = self.printed
        random.seed(self.seed)
        with alarm_after(self.limits.load_s):
            self.code = compile(self.source, FILENAME, "exec", dont_inherit=True)
            self.functions[0] = self._new_function()
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(self.seed)

    def set_constants(self, constants: dict[str, Any], cars: list[int] | None) -> None:
        """Params that stay the same from call to call, of these cars or of all others."""
        plain = {key: _with_points(key, value) for key, value in constants.items()}
        if cars is None:
            self.constants[None] = plain
        for car in cars or ():
            self.constants[car] = plain

    def reward(self, car: int, params: dict[str, Any]) -> float:
        """One call, with a copy of everything that the function could change."""
        function = self.functions.get(car)
        if function is None:
            function = self.functions[car] = self._new_function()
        constants = self.constants.get(car) or self.constants[None]
        own = {key: _own_copy(value) for key, value in constants.items()}
        for key, value in params.items():
            own[key] = _with_points(key, value)
        value = function(own)
        try:
            return checked_reward(value)
        except BrokenContract as error:
            error.line = _first_line(function)
            raise

    def _new_function(self) -> RewardFunction:
        """Run the top level in a namespace of its own: cars must not share globals."""
        assert self.code is not None
        namespace: dict[str, Any] = {
            "__name__": FUNCTION,
            "__builtins__": guard.user_builtins(),
        }
        exec(self.code, namespace)
        function = namespace.get(FUNCTION)
        if not callable(function):
            raise BrokenContract("load", f"the source defines no function {FUNCTION}(params)")
        _check_arguments(function)
        return function  # type: ignore[no-any-return]


def _check_arguments(function: Any) -> None:
    """Refuse a plain function that can't be called with one argument."""
    code = getattr(function, "__code__", None)
    if code is None:
        return
    needed = code.co_argcount - len(function.__defaults__ or ())
    if needed > 1 or (code.co_argcount == 0 and not code.co_flags & CO_VARARGS):
        names = ", ".join(code.co_varnames[: code.co_argcount])
        error = BrokenContract("load", f"got {FUNCTION}({names}); accepted: {FUNCTION}(params)")
        error.line = _first_line(function)
        raise error


def _first_line(function: Any) -> int | None:
    line: int | None = getattr(getattr(function, "__code__", None), "co_firstlineno", None)
    return line


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


def checked_reward(value: object) -> float:
    """
    The function's result as a reward: a finite number within +-1e5.

    A truth value is refused although Python would count with it: it is a comparison that was
    returned by mistake. An array of no dimensions is a number, as numpy returns one at times.
    """
    if getattr(value, "shape", None) == ():
        value = value.item()  # type: ignore[attr-defined]
    if isinstance(value, bool) or not isinstance(value, Real):
        shown = _quote(value)
        kind = type(value).__name__
        raise BrokenContract("not_a_number", f"returned {shown} ({kind}); accepted: a number")
    reward = float(value)
    if not abs(reward) < float("inf"):
        raise BrokenContract("not_finite", f"returned {reward}; accepted: a finite number")
    if abs(reward) > MAX_REWARD:
        accepted = f"accepted: {-MAX_REWARD:g} to {MAX_REWARD:g}"
        raise BrokenContract("out_of_range", f"returned {reward:g}; {accepted}")
    return reward


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    replies = _take_stdout()
    guard.die_with_parent(sys.stdin.fileno())
    request = wire.read_blocking(sys.stdin.fileno())
    if request is None:
        return
    sandbox = Sandbox(request)
    signal.signal(signal.SIGALRM, _ring)
    guard.set_limits(sandbox.limits)
    guard.refuse_side_effects()
    wire.write_blocking(replies, _answer_load(sandbox))
    while (request := wire.read_blocking(0)) is not None:
        if request["do"] == "constants":
            sandbox.set_constants(request["constants"], request["cars"])
        else:
            wire.write_blocking(replies, _answer_rewards(sandbox, request))


def _take_stdout() -> int:
    """Keep the pipe of the answers to ourselves; nothing that is printed must get into it."""
    replies = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    os.set_blocking(2, False)  # nobody reads it while we live: never wait for it
    return replies


def _answer_load(sandbox: Sandbox) -> dict[str, Any]:
    try:
        sandbox.load()
    except BaseException as error:
        sandbox.reserve.clear()
        return {"failure": describe_failure(error, sandbox.limits.load_s, kind="load")}
    return {"loaded": True, "printed": sandbox.printed.take()}


def _answer_rewards(sandbox: Sandbox, request: dict[str, Any]) -> dict[str, Any]:
    rewards: list[float] = []
    try:
        for car, params in zip(request["cars"], request["batch"], strict=True):
            signal.setitimer(signal.ITIMER_REAL, sandbox.limits.call_s)
            rewards.append(sandbox.reward(car, params))
        signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as error:
        sandbox.reserve.clear()
        with alarm_after(sandbox.limits.call_s):  # the user's own exception may have methods
            failure = describe_failure(error, sandbox.limits.call_s)
        failure["index"] = len(rewards)
        return {"failure": failure, "printed": sandbox.printed.take()}
    return {"rewards": rewards, "printed": sandbox.printed.take()}


@contextmanager
def alarm_after(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` inside the block after so many seconds."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(number: int, at: FrameType | None) -> NoReturn:
    raise OutOfTime


def describe_failure(error: BaseException, limit_s: float, kind: str = "raised") -> dict[str, Any]:
    """What went wrong, where in the user's source, and the user's frames of the traceback."""
    if isinstance(error, MemoryError):
        traceback.clear_frames(error.__traceback__)  # what the function held is free again
    kind, reason = _kind_and_reason(error, limit_s, kind)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILENAME
    ]
    line = frames[-1].lineno if frames else None
    if isinstance(error, BrokenContract):
        line = error.line
    if isinstance(error, SyntaxError) and error.filename == FILENAME:
        line = error.lineno
    return {
        "kind": kind,
        "reason": reason,
        "line": line,
        "traceback": "".join(_user_traceback(error, frames)),
    }


def _kind_and_reason(error: BaseException, limit_s: float, kind: str) -> tuple[str, str]:
    if isinstance(error, OutOfTime):
        return "timeout", f"took longer than {limit_s:g} s; accepted: up to {limit_s:g} s a call"
    if isinstance(error, MemoryError):
        return "memory", "ran out of memory"
    if isinstance(error, BrokenContract):
        return error.kind, str(error)
    name = type(error).__name__
    return kind, f"raised {name}: {_text_of(error)}"


def _user_traceback(error: BaseException, frames: list[traceback.FrameSummary]) -> Iterator[str]:
    if isinstance(error, BrokenContract | OutOfTime) and not frames:
        return
    yield "Traceback (most recent call last):\n"
    yield from traceback.StackSummary.from_list(frames[-TRACEBACK_FRAMES:]).format()
    if isinstance(error, SyntaxError):
        yield from traceback.format_exception_only(error)
    else:
        yield f"{type(error).__name__}: {_text_of(error)}\n"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except Exception:
        return "(an exception without a readable message)"


def _quote(value: object) -> str:
    try:
        return repr(value)[:QUOTED_CHARS]
    except Exception:
        return "a value without a readable form"


def _with_points(key: str, value: Any) -> Any:
    """JSON has no tuples; DeepRacer's lists of points have them."""
    return [tuple(point) for point in value] if key in POINT_LISTS else value


def _own_copy(value: Any) -> Any:
    return value.copy() if isinstance(value, list) else value


if __name__ == "__main__":
    main()
