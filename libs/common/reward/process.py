"""
The parent's side of the reward function: start the child, one round trip for each step of all cars.

Synchronous: for worker threads, one thread at a time for each `RewardProcess`.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NoReturn, Self, get_args

import numpy as np
import structlog

from libs.common.reward import wire
from libs.common.reward.channel import Channel, Patience
from libs.common.reward.columns import Columns, Layout, columns_of, pack, row_of
from libs.common.reward.errors import FATAL, FailureKind, RewardError
from libs.common.reward.guard import missing_walls
from libs.common.reward.limits import MAX_REWARD, RewardLimits

MAX_REASON_CHARS, MAX_TRACEBACK_CHARS, MAX_LINE = 1000, 10_000, 10_000_000
MAX_TEXT_BYTES = 256 * 2**10
"""Of an answer, beside its numbers."""


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
        _tell_of_missing_walls()
        self._layout: Layout = ()
        self._channel = Channel()
        load = {
            "source": source,
            "constants": dict(constants),
            "limits": self.limits._asdict(),
            "seed": seed,
        }
        try:
            self._load(wire.to_json(load))
        except BaseException:
            self.close()
            raise

    def rewards(
        self,
        params: Columns | Sequence[Mapping[str, Any]],
        cars: Sequence[int] | None = None,
    ) -> list[float]:
        """
        The rewards of one step of all cars, in one round trip.

        Args:
            params: of all calls, without the constants, as one column for each key (`Columns`: the
                fast form), or as one mapping for each call, all with the same keys.
            cars: whose call each is, 0 for the first; by default the position in the batch.

        Raises:
            RewardError: the first call that broke the contract, with `index` and `params`. After
                the kinds `timeout`, `memory` and `died` the child is gone.
        """
        self._check_alive()
        if isinstance(params, Mapping):
            columns = params
        else:
            columns, cars = columns_of(params), cars or range(len(params))
        batch = pack(columns, cars)
        request = wire.frame(batch.body)
        if batch.layout != self._layout:
            note = {"do": "layout", "layout": batch.layout}
            request = wire.frame(wire.to_json(note)) + request
            self._layout = batch.layout
        try:
            return self._call(request, batch.calls)
        except RewardError as error:
            if error.index is not None and error.index >= batch.calls:
                error.index = None  # a child that hangs may have written anything into its page
            if error.index is not None:
                error.params = row_of(columns, error.index)
            raise

    def set_constants(self, constants: Mapping[str, Any], cars: Sequence[int]) -> None:
        """From now on these cars have other constants, as after a change of direction."""
        self._check_alive()
        note = {"do": "constants", "constants": dict(constants), "cars": list(cars)}
        self._channel.send(wire.frame(wire.to_json(note)), Patience(self.limits.batch_s))

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._channel.alive

    @property
    def pid(self) -> int:
        """The child's process id, which is its process group's too."""
        return self._channel.pid

    def close(self) -> None:
        """End the child and whatever it started, and remove its folder. Twice is fine."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _check_alive(self) -> None:
        if self._channel.ended:
            raise RewardError("its process is not running", kind="died")

    def _load(self, request: bytes) -> None:
        patience = Patience(self.limits.load_s)
        self._channel.send(wire.frame(request), patience)
        reply = self._channel.receive(MAX_TEXT_BYTES, patience)
        if not reply.startswith(wire.LOADED):
            self._raise_failure(reply, calls=0)
        self.printed = self._cut(reply[1:])

    def _call(self, request: bytes, calls: int) -> list[float]:
        patience = Patience(self.limits.batch_s, self.limits.call_s)
        self._channel.send(request, patience)
        numbers_end = 1 + calls * wire.NUMBER_BYTES
        reply = self._channel.receive(numbers_end + MAX_TEXT_BYTES, patience)
        if not reply.startswith(wire.REWARDS) or len(reply) < numbers_end:
            self._raise_failure(reply, calls)
        rewards = np.frombuffer(reply, np.float64, calls, offset=1)
        if not (np.abs(rewards) <= MAX_REWARD).all():  # a NaN isn't either
            self._channel.distrust("rewards that its own check refuses")
        self.printed = self._cut(reply[numbers_end:])
        return rewards.tolist()  # type: ignore[no-any-return]

    def _cut(self, text: bytes) -> str:
        return text.decode(errors="replace")[: self.limits.printed_chars]

    def _raise_failure(self, reply: bytes, calls: int) -> NoReturn:
        """Raise what the child says went wrong, believing nothing of its form."""
        try:
            if not reply.startswith(wire.FAILURE):
                raise ValueError("an answer to another question")
            report = wire.parse(reply[1:])
            failure = read_failure(report, calls)
        except ValueError as error:
            self._channel.distrust(str(error))
        self.printed = _text(report, "printed", self.limits.printed_chars)
        if failure.kind in FATAL:
            self.close()
        raise failure


def read_failure(report: Mapping[str, Any], calls: int) -> RewardError:
    """
    The error that a child reports in a batch of so many calls.

    Raises:
        ValueError: no kind that there is.
    """
    kind: FailureKind = report.get("kind")  # type: ignore[assignment]
    if kind not in get_args(FailureKind):
        raise ValueError("a failure of no known kind")
    return RewardError(
        _text(report, "reason", MAX_REASON_CHARS),
        kind=kind,
        line=_whole(report, "line", MAX_LINE),
        traceback=_text(report, "traceback", MAX_TRACEBACK_CHARS),
        index=_whole(report, "index", calls - 1),
    )


def _text(report: Mapping[str, Any], key: str, most_chars: int) -> str:
    """A text that can be sent on: half characters (surrogates) can't."""
    return str(report.get(key, ""))[:most_chars].encode(errors="replace").decode()


def _whole(report: Mapping[str, Any], key: str, most: int) -> int | None:
    value = report.get(key)
    return value if type(value) is int and 0 <= value <= most else None


@cache
def _tell_of_missing_walls() -> None:
    """Once in this process."""
    missing = missing_walls()
    if missing:
        structlog.get_logger().warning(
            "the kernel can't shut reward functions in; Python's own walls remain", missing=missing
        )
