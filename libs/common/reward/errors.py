"""How a reward function can break its contract."""

from collections.abc import Mapping
from typing import Any, Literal

from libs.common.errors import PlatformError

FailureKind = Literal[
    "load",  # does not compile, its top level raises, or it has no reward_function(params)
    "raised",
    "not_a_number",
    "not_finite",
    "out_of_range",
    "timeout",
    "memory",
    "died",  # the process ended by itself or was killed from outside
]

FATAL: frozenset[FailureKind] = frozenset({"load", "timeout", "memory", "died"})
"""After these the child is gone."""


class RewardError(PlatformError):
    """
    The reward function broke its contract; the run can't go on with it.

    Attributes:
        kind: what went wrong, for code.
        reason: what went wrong, one sentence.
        line: the line in the user's source, where there is one.
        traceback: the user's frames only.
        params: what the function was called with, without the track's constants.
        index: position in the batch; None where no single call is to blame.
    """

    status_code = 422
    title = "Reward function failed"

    def __init__(
        self,
        reason: str,
        *,
        kind: FailureKind,
        line: int | None = None,
        traceback: str = "",
        params: Mapping[str, Any] | None = None,
        index: int | None = None,
    ) -> None:
        self.reason = reason
        self.kind = kind
        self.line = line
        self.traceback = traceback
        self.params = dict(params or {})
        self.index = index
        at = f"line {line}: " if line is not None else ""
        super().__init__(f"reward function: {at}{reason}")
