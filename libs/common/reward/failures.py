"""What went wrong in user code, told in its own lines. Inside the child: standard library only."""

import traceback
from collections.abc import Iterator
from typing import Any

from libs.common.reward.alarm import OutOfTime
from libs.common.reward.contract import BrokenContract

FILENAME = "reward_function.py"
TRACEBACK_FRAMES = 20
NAME_CHARS, MESSAGE_CHARS, TRACEBACK_CHARS = 100, 500, 10_000


def describe_failure(error: BaseException, kind: str = "raised") -> dict[str, Any]:
    """Kind, reason, line in the user's source, and the user's frames of the traceback."""
    if isinstance(error, MemoryError):
        traceback.clear_frames(error.__traceback__)  # what the function held is free again
    kind, reason = _kind_and_reason(error, kind)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILENAME
    ]
    return {
        "kind": kind,
        "reason": reason,
        "line": _line_of(error, frames),
        "traceback": "".join(_user_traceback(error, frames))[-TRACEBACK_CHARS:],
    }


def _kind_and_reason(error: BaseException, kind: str) -> tuple[str, str]:
    if isinstance(error, OutOfTime):
        return "timeout", str(error)
    if isinstance(error, MemoryError):
        return "memory", "ran out of memory"
    if isinstance(error, BrokenContract):
        return error.kind, str(error)
    return kind, f"raised {_name_of(error)}: {_text_of(error)}"


def _line_of(error: BaseException, frames: list[traceback.FrameSummary]) -> int | None:
    if isinstance(error, BrokenContract):
        return error.line
    if isinstance(error, SyntaxError) and error.filename == FILENAME:
        return error.lineno
    return frames[-1].lineno if frames else None


def _user_traceback(error: BaseException, frames: list[traceback.FrameSummary]) -> Iterator[str]:
    if isinstance(error, BrokenContract | OutOfTime) and not frames:
        return
    yield "Traceback (most recent call last):\n"
    yield from traceback.StackSummary.from_list(frames[-TRACEBACK_FRAMES:]).format()
    if isinstance(error, SyntaxError):
        yield from traceback.format_exception_only(error)
    else:
        yield f"{_name_of(error)}: {_text_of(error)}\n"


def _name_of(error: BaseException) -> str:
    return type(error).__name__[:NAME_CHARS]


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:MESSAGE_CHARS]
    except Exception:
        return "(an exception without a readable message)"
