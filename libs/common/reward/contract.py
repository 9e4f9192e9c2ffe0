"""What a reward function has to be and to return. Used inside the child: standard library only."""

from collections.abc import Callable
from numbers import Real
from typing import Any

from libs.common.reward.limits import MAX_REWARD

FUNCTION = "reward_function"
QUOTED_CHARS = 80
CO_VARARGS = 0x04  # as in `inspect`, which is slow to import

RewardFunction = Callable[[dict[str, Any]], object]


class BrokenContract(Exception):
    """A function that can't be called, or a result that is no reward."""

    def __init__(self, kind: str, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.line = line


def find_function(namespace: dict[str, Any]) -> RewardFunction:
    """The reward function that a source defined; refused where it can't take one argument."""
    function = namespace.get(FUNCTION)
    if not callable(function):
        raise BrokenContract("load", f"the source defines no function {FUNCTION}(params)")
    code = getattr(function, "__code__", None)
    if code is not None:
        needed = code.co_argcount - len(function.__defaults__ or ())
        if needed > 1 or (code.co_argcount == 0 and not code.co_flags & CO_VARARGS):
            names = ", ".join(code.co_varnames[: code.co_argcount])
            reason = f"got {FUNCTION}({names}); accepted: {FUNCTION}(params)"
            raise BrokenContract("load", reason, first_line(function))
    return function  # type: ignore[no-any-return]


def checked_reward(value: object, function: RewardFunction) -> float:
    """
    The function's result as a reward: a finite number within +-1e5.

    A truth value is refused although Python would count with it: it is a comparison that was
    returned by mistake. An array of no dimensions is a number, as numpy returns one at times.
    """
    if type(value) is float and -MAX_REWARD <= value <= MAX_REWARD:
        return value
    if getattr(value, "shape", None) == ():
        value = value.item()  # type: ignore[attr-defined]
    if isinstance(value, bool) or not isinstance(value, Real):
        shown, kind = quote(value), type(value).__name__
        reason = f"returned {shown} ({kind}); accepted: a number"
        raise BrokenContract("not_a_number", reason, first_line(function))
    reward = float(value)
    if not abs(reward) < float("inf"):
        reason = f"returned {reward}; accepted: a finite number"
        raise BrokenContract("not_finite", reason, first_line(function))
    if abs(reward) > MAX_REWARD:
        reason = f"returned {reward:g}; accepted: {-MAX_REWARD:g} to {MAX_REWARD:g}"
        raise BrokenContract("out_of_range", reason, first_line(function))
    return reward


def first_line(function: Any) -> int | None:
    """Where a function begins in its source, where it has one."""
    line: int | None = getattr(getattr(function, "__code__", None), "co_firstlineno", None)
    return line


def quote(value: object) -> str:
    """A value as a short text, even where its own methods fail."""
    try:
        return repr(value)[:QUOTED_CHARS]
    except Exception:
        return "a value without a readable form"
