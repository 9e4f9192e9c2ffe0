"""A limit on request bodies that holds before they are read."""

import asyncio
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.common.errors import TooLarge
from libs.common.health import problem

MAX_BODY_BYTES = 8 * 2**20
MAX_MODEL_BYTES = 4 * 2**30
"""Five checkpoints of DeepRacer's largest network with an optimiser's slots."""
LINGER_S = 5.0
LINGER_BYTES = 64 * 2**20


class BodyLimit:
    """
    ASGI middleware: a body over the limit is answered with 413 and never kept.

    The answer goes out first; the rest of the body is then thrown away for a while, because a
    connection that is closed while the client still sends loses the answer on its way.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit_bytes: int = MAX_BODY_BYTES,
        larger: Mapping[str, int] | None = None,
    ) -> None:
        self._app, self._limit_bytes = app, limit_bytes
        self._larger = larger or {}  # limits of other paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting what it sends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes = self._larger.get(scope["path"], self._limit_bytes)
        if (declared := _declared_bytes(scope)) > limit_bytes:
            await self._refuse(declared, limit_bytes, receive, send)
        else:
            await self._count(scope, limit_bytes, receive, send)

    async def _count(self, scope: Scope, limit_bytes: int, receive: Receive, send: Send) -> None:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit_bytes:
                raise TooLarge("the body is over the limit")
            return message

        async def unless_refused(message: Message) -> None:
            if received <= limit_bytes:
                await send(message)

        try:
            await self._app(scope, counted, unless_refused)
        except TooLarge:
            if received <= limit_bytes:
                raise
        if received > limit_bytes:
            await self._refuse(received, limit_bytes, receive, send)

    async def _refuse(
        self, size_bytes: int, limit_bytes: int, receive: Receive, send: Send
    ) -> None:
        answer = problem(
            TooLarge.status_code,
            TooLarge.title,
            f"the request has {size_bytes:,} bytes or more; accepted: up to {limit_bytes:,}",
        )
        answer.headers["connection"] = "close"
        start = {"type": "http.response.start", "status": answer.status_code}
        await send({**start, "headers": answer.raw_headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        await _throw_away(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _throw_away(receive: Receive) -> None:
    thrown, more = 0, True
    try:
        async with asyncio.timeout(LINGER_S):
            while more and thrown < LINGER_BYTES:
                message = await receive()
                thrown += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        return


def _declared_bytes(scope: Scope) -> int:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    return int(declared) if declared.isdigit() else 0
