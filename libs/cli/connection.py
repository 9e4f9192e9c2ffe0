"""A connection to one of the services' APIs."""

from types import TracebackType
from typing import Self

import httpx

CONNECT_S = 3.0
LOOPBACK = ("127.0.0.1", "localhost")


def open_http(base_url: str, below: str, answer_s: float | None) -> httpx.Client:
    """A client of what lies below a path of a service; None waits for answers for ever."""
    return httpx.Client(
        base_url=f"{base_url}{below}",
        timeout=httpx.Timeout(answer_s, connect=CONNECT_S),
        # A proxy is never asked for an address on this machine.
        trust_env=httpx.URL(base_url).host not in LOOPBACK,
    )


class Connection:
    """
    What the clients of all services share. Use as a context manager.

    Args:
        base_url: of the service, without `/v1`.
        answer_s: that a request waits for its answer.
    """

    def __init__(self, base_url: str, answer_s: float) -> None:
        self.base_url = base_url
        self._http = open_http(base_url, "/v1", answer_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()
