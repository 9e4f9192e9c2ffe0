"""A typed client of the uploader's REST API."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from libs.cli.answers import check, not_ours, read_one
from libs.cli.connection import CONNECT_S, Connection
from libs.cli.documents import Document
from libs.cli.output import Unreachable

ANSWER_S = 60.0


class Total(Document):
    """The objects of one state."""

    objects: int
    size_bytes: int


class Upload(Document):
    """How one object stands."""

    key: str
    run_id: str
    size_bytes: int
    state: str
    reason: str
    tries: int
    changed_at: float


class Transfer(Document):
    """A copy that is being made."""

    key: str
    size_bytes: int
    sent_bytes: int


class Uploads(Document):
    """How the mirror stands."""

    remote: str
    problem: str
    totals: dict[str, Total]
    transfers: list[Transfer]
    uploads: list[Upload]


class CacheStatus(Document):
    """How full the local store is."""

    objects: int
    size_bytes: int
    evicted_objects: int
    evicted_bytes: int
    protected_objects: int
    max_bytes: int


class Moved(Document):
    """An object that went or came back."""

    key: str
    size_bytes: int
    problem: str


class MirrorClient(Connection):
    """One connection to the uploader. Use as a context manager."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url, ANSWER_S)

    def uploads(self, states: list[str], run: str, limit: int) -> Uploads:
        """How the mirror stands, and some of its objects."""
        query = {"state": states, "run": run, "limit": limit}
        return read_one(Uploads, self._send("GET", "/uploads", params=query))

    def cache(self) -> CacheStatus:
        """How full the local store is."""
        return read_one(CacheStatus, self._send("GET", "/cache"))

    def evict(self, wish: Mapping[str, object]) -> Iterator[Moved]:
        """Give up objects; each as it goes."""
        return self._moved("/cache/evict", wish)

    def pull(self, prefix: str) -> Iterator[Moved]:
        """Bring objects back; each as it comes."""
        return self._moved("/cache/pull", {"prefix": prefix})

    def _moved(self, path: str, body: Mapping[str, object]) -> Iterator[Moved]:
        patience = httpx.Timeout(None, connect=CONNECT_S)  # a large object takes its time
        try:
            with self._http.stream("POST", path, json=dict(body), timeout=patience) as answer:
                check(answer)
                for line in answer.iter_lines():
                    try:
                        yield Moved.model_validate(json.loads(line))
                    except ValueError as error:
                        raise not_ours(answer) from error
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        check(answer)
        return answer

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(
            f"{self._http.base_url} does not answer ({error}); `make up` (or `slipstream up`) "
            "starts the stack, and DR_UPLOADER_URL names an uploader that runs elsewhere"
        )
