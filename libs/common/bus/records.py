"""Tables of typed values in JetStream: the state that processes share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import stamina
from nats.errors import Error as NatsError
from nats.js.errors import BadRequestError
from nats.js.errors import NotFoundError as NatsNotFoundError

from libs.common.bus.following import batches
from libs.common.errors import Conflict, NotFound, Unavailable
from libs.common.events import Value

V = TypeVar("V", bound=Value)


@dataclass(frozen=True)
class Row(Generic[V]):
    """A key as the table has it now; `value` is None where it was deleted."""

    key: str
    value: V | None
    revision: int


class Records(Generic[V]):
    """
    A table of typed values: last value for each key, with a revision for compare-and-set.

    Keys are run ids or other words of `[a-z0-9-]`.
    """

    def __init__(self, js: Any, bucket: Any, value_class: type[V]) -> None:
        self._js, self._bucket, self._class = js, bucket, value_class

    async def get(self, key: str) -> tuple[V, int]:
        """The value and its revision. Raises `NotFound`."""
        try:
            entry = await _patiently(lambda: self._bucket.get(key))
        except NatsNotFoundError as error:
            raise NotFound(f"{key!r} does not exist") from error
        return self._class.model_validate_json(entry.value), entry.revision

    async def create(self, key: str, value: V) -> int:
        """Store a new key and return its revision. Raises `Conflict` where it exists."""
        try:
            revision: int = await self._bucket.create(key, value.model_dump_json().encode())
        except BadRequestError as error:
            raise Conflict(f"{key!r} exists already; choose another name") from error
        return revision

    async def update(self, key: str, value: V, revision: int) -> int:
        """Replace a value that has not changed since. Raises `Conflict` where it has."""
        data = value.model_dump_json().encode()
        try:
            new: int = await _patiently(lambda: self._bucket.update(key, data, last=revision))
        except BadRequestError as error:
            raise Conflict(f"{key!r} was changed by another process meanwhile") from error
        return new

    async def delete(self, key: str) -> None:
        """Forget a key."""
        await _patiently(lambda: self._bucket.purge(key))

    async def all(self) -> dict[str, tuple[V, int]]:
        """
        Every key with its value and revision.

        Read from the stream: the client's own listing may end before it began, when the server
        says that nothing is pending ahead of the last values that it has just sent.
        """
        found: dict[str, tuple[V, int]] = await _patiently(self._read_all)
        return found

    async def _read_all(self) -> dict[str, tuple[V, int]]:
        found: dict[str, tuple[V, int]] = {}
        async for row in self._rows(after=0, live=False):
            if row.value is None:
                found.pop(row.key, None)
            else:
                found[row.key] = (row.value, row.revision)
        return found

    async def follow(self) -> AsyncIterator[Row[V]]:
        """
        Every key once, then each change as it happens. Survives a restart of the server.

        Between two looks of the reader only a key's last value counts.
        """
        after = 0
        while True:
            try:
                async for row in self._rows(after, live=True):
                    after = row.revision
                    yield row
            except (NatsError, OSError):
                await asyncio.sleep(0.25)  # the server is on its way back

    async def _rows(self, after: int, *, live: bool) -> AsyncIterator[Row[V]]:
        prefix, stream = self._bucket._pre, self._bucket._stream
        async for raws in batches(self._js, stream, [f"{prefix}>"], after, live=live):
            for raw in raws:
                deleted = "KV-Operation" in (raw.headers or {})
                value = None if deleted else self._class.model_validate_json(raw.data)
                key = raw.subject.removeprefix(prefix)
                yield Row(key, value, raw.metadata.sequence.stream)
                await asyncio.sleep(0)  # a batch takes long: others have their turn


async def _patiently(call: Callable[[], Awaitable[Any]]) -> Any:
    """A JetStream call, repeated while the server is away."""

    def passes(error: Exception) -> bool:
        known = isinstance(error, NatsNotFoundError | BadRequestError)
        return isinstance(error, NatsError | TimeoutError) and not known

    try:
        async for attempt in stamina.retry_context(
            on=passes, attempts=None, timeout=60.0, wait_max=1.0
        ):
            with attempt:
                return await call()
    except (NatsNotFoundError, BadRequestError):
        raise
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"NATS does not answer: {error!r}") from error
