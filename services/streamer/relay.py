"""
The services' APIs under the page's own address: the browser talks to one server alone.

    /api/runs…      ->  http://<the trainer that lives>/v1/runs…
    /api/packages   ->  http://<the submitter that lives>/v1/packages

Only what the page needs is handed on. What changes something is taken from our own pages alone: a
page elsewhere that a person happens to look at must not start runs here.
"""

from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from libs.common.errors import PlatformError, Unavailable

SERVICES = {"packages": "submitter"}
"""Whose API it is, by the first word of its path; all others are the trainer's."""

METHODS = ["GET", "POST", "DELETE"]
CONNECT_S, ANSWER_S = 3.0, 120.0
_SENT = ("content-type", "idempotency-key", "accept")
_ANSWERED = ("content-type", "content-length", "location", "retry-after", "content-disposition")


class Foreign(PlatformError):
    """A request that another site's page has made."""

    status_code = 403
    title = "Not from our page"


class Relay:
    """Hands requests on. `find` tells where a service is, None where none lives."""

    def __init__(self, find: Callable[[str], str | None]) -> None:
        self._find = find
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), trust_env=False
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def hand_on(self, path: str, request: Request) -> StreamingResponse:
        """
        The service's answer, as it comes.

        Raises:
            Foreign: it would change something, and comes from another site.
            Unavailable: the service does not live.
        """
        if request.method != "GET":
            check_origin(request)
        service = SERVICES.get(path.partition("/")[0], "trainer")
        base = self._find(service)
        if base is None:
            raise Unavailable(f"no {service} lives; `slipstream status` tells what runs")
        headers = {name: request.headers[name] for name in _SENT if name in request.headers}
        asked = self._http.build_request(
            request.method,
            f"{base}/v1/{path}",
            params=str(request.query_params),
            content=await request.body(),
            headers=headers,
        )
        try:
            answer = await self._http.send(asked, stream=True)
        except httpx.TransportError as error:
            raise Unavailable(f"the {service} at {base} does not answer: {error!r}") from error
        kept = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        return StreamingResponse(_body(answer), answer.status_code, kept)


def add_relay(app: FastAPI, relay: Callable[[], Relay]) -> None:
    """Add `/api`."""

    @app.api_route("/api/{path:path}", methods=METHODS, include_in_schema=False)
    async def hand_on(path: str, request: Request) -> StreamingResponse:
        return await relay().hand_on(path, request)


def check_origin(request: Request) -> None:
    """
    Refuse what a browser says to come from elsewhere; programs say nothing of it.

    Raises:
        Foreign: it does.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not ours or site not in (None, "same-origin", "none"):
        raise Foreign(f"a page of {origin or 'another site'} asks: open this address itself")


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()
