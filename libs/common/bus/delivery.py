"""How what was fetched from a work queue is handled: acknowledged, brought back, or given up."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from libs.common.bus.tally import Tally
from libs.common.errors import InvalidInput, PlatformError, Unavailable
from libs.common.events import Envelope, Message, decode_as, read_envelope

BATCH = "batch"
"""Under which `Tally` counts what comes in batches of all types."""

READ_AT_ONCE = 16
"""Messages of a batch that are read before others have their turn."""

M = TypeVar("M", bound=Message)
Handler = Callable[[M], Coroutine[Any, Any, None]]
Handle = Callable[[list[Msg]], Coroutine[Any, Any, None]]
"""Takes what one fetch has brought."""
Reject = Callable[[str, bytes, str], Coroutine[Any, Any, None]]
"""Lays a message aside for good: its subject, its bytes, and why."""


@dataclass(frozen=True)
class Kept:
    """A message for those who keep it as it is, unread but for its envelope."""

    envelope: Envelope
    data: bytes


def one_by_one(
    message_class: type[M],
    handler: Handler[M],
    reject: Reject,
    tally: Tally,
    ack_wait_s: float,
    max_deliver: int,
) -> Handle:
    """Each message by itself; the server is told that it is in progress for as long as it is."""

    async def handle(raws: list[Msg]) -> None:
        await asyncio.gather(*(handle_one(raw) for raw in raws))

    async def handle_one(raw: Msg) -> None:
        ticking = asyncio.create_task(_keep_in_progress(raw, ack_wait_s / 3))
        try:
            with tally.handling(message_class.type_name):
                await handler(decode_as(message_class, raw.data))
        except Exception as error:
            hopeless = isinstance(error, PlatformError) and not isinstance(error, Unavailable)
            if hopeless or 0 < max_deliver <= raw.metadata.num_delivered:
                await reject(raw.subject, raw.data, f"{type(error).__name__}: {error}")
                await raw.term()
            else:
                await raw.nak(delay=min(2.0 ** min(raw.metadata.num_delivered, 7) / 4, 30.0))
        else:
            await raw.ack()
        finally:
            ticking.cancel()

    return handle


def in_batches(
    handler: Callable[[list[Kept]], Coroutine[Any, Any, None]], reject: Reject, tally: Tally
) -> Handle:
    """All of a fetch at once; what the handler raises brings all of it back."""

    async def handle(raws: list[Msg]) -> None:
        received = []
        for number, raw in enumerate(raws):
            if (item := await read(raw)) is not None:
                received.append(item)
            if number % READ_AT_ONCE == 0:  # a batch of long episodes must not hold the loop
                await asyncio.sleep(0)
        try:
            if received:
                with tally.handling(BATCH):
                    await handler(received)
        except Exception:
            for raw in raws:
                await raw.nak()  # at once: what follows must not overtake them
            raise
        for raw in raws:
            await raw.ack()

    async def read(raw: Msg) -> Kept | None:
        try:
            return Kept(read_envelope(raw.data), raw.data)
        except InvalidInput as error:
            await reject(raw.subject, raw.data, str(error))
            return None

    return handle


async def _keep_in_progress(raw: Msg, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        with suppress(NatsError, TimeoutError):
            await raw.in_progress()
