"""The limit on request bodies, as an ASGI server drives it."""

import asyncio
import json
from collections.abc import Iterator

from starlette.types import Message, Receive, Scope, Send

from services.trainer.body_limit import BodyLimit


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers with the number of bytes it got."""
    size = 0
    while True:
        message = await receive()
        size += len(message["body"])
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


class Exchange:
    """One request with a body in pieces."""

    def __init__(self, pieces: list[bytes], declared: int | None = None, path: str = "/") -> None:
        headers = [] if declared is None else [(b"content-length", str(declared).encode())]
        self.scope = {"type": "http", "path": path, "headers": headers}
        self.left: Iterator[bytes] = iter(pieces)
        self.count = len(pieces)
        self.answer: list[Message] = []

    async def receive(self) -> Message:
        self.count -= 1
        return {"type": "http.request", "body": next(self.left), "more_body": self.count > 0}

    async def send(self, message: Message) -> None:
        self.answer.append(message)

    def run(self) -> tuple[int, bytes]:
        asyncio.run(
            BodyLimit(read_all, 10, larger={"/models": 20})(self.scope, self.receive, self.send)
        )
        body = b"".join(message.get("body", b"") for message in self.answer)
        return self.answer[0]["status"], body


def test_a_body_at_the_limit_passes() -> None:
    assert Exchange([b"12345", b"67890"]).run() == (200, b"10")


def test_a_body_that_is_declared_too_large_is_answered_before_it_is_read() -> None:
    exchange = Exchange([b"x"], declared=11)
    status, body = exchange.run()
    assert status == 413
    assert json.loads(body)["detail"] == "the request has 11 bytes or more; accepted: up to 10"


def test_a_body_that_grows_too_large_is_answered_and_thrown_away() -> None:
    exchange = Exchange([b"123456"] * 5)
    assert exchange.run()[0] == 413
    assert exchange.count == 0


def test_a_path_may_have_a_larger_limit_of_its_own() -> None:
    assert Exchange([b"123456"] * 3, path="/models").run() == (200, b"18")
    assert Exchange([b"x"], declared=21, path="/models").run()[0] == 413
