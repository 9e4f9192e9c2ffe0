"""One open stream of a run's events, as server-sent events."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

import httpx
from httpx_sse import EventSource, ServerSentEvent, connect_sse

from libs.cli.answers import check, not_ours
from libs.common.errors import PlatformError


class EventStream:
    """
    A stream that was opened and accepted; iterate inside a `with` block.

    Raises:
        httpx.TransportError: the connection failed, or was silent for `silence_s`.
        PlatformError: the service refused, or is no such service.
    """

    def __init__(
        self, http: httpx.Client, path: str, last_id: str, connect_s: float, silence_s: float
    ) -> None:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        timeout = httpx.Timeout(silence_s, connect=connect_s)
        self._connection = connect_sse(http, "GET", path, headers=headers, timeout=timeout)
        self._source: EventSource = self._connection.__enter__()
        try:
            _check_kind(self._source.response)
        except PlatformError:
            self._connection.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[ServerSentEvent]:
        """Events with something in them; a keep-alive looks like one without."""
        return (event for event in self._source.iter_sse() if event.data)


def _check_kind(answer: httpx.Response) -> None:
    check(answer)
    if "text/event-stream" not in answer.headers.get("content-type", ""):
        answer.read()
        raise not_ours(answer)
