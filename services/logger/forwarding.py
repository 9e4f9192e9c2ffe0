"""
Handing every event on to another system: the small interface that its clients fill in.

Each target has a place of its own in the stream, so that one that is away delays neither the
journal nor another target: what it has not taken waits on the bus.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import httpx
import stamina

from libs.common.bus import Bus, Kept
from libs.common.errors import Unavailable
from libs.common.events import EpisodeEnded
from libs.common.log import get_log

BATCH = 256
TRY_FOR_S = 20.0
"""After this a batch goes back to the bus and comes again: it is never given up."""
ACK_WAIT_S = 60.0

BULKY = {EpisodeEnded.type_name: ("columns",)}
"""Fields that stay out: a step's numbers belong into the simulation trace."""


class Forwarded(NamedTuple):
    """An event as a target gets it."""

    id: str
    run_id: str
    type: str
    at: datetime
    document: dict[str, Any]  # its JSON without what is bulky


class Forwarder(Protocol):
    """A client of one target."""

    name: str

    async def send(self, events: Sequence[Forwarded]) -> None:
        """
        Hand events on, some of which the target may have already.

        Raises:
            Unavailable: it is away; all of them come again.
        """


async def forward(bus: Bus, forwarder: Forwarder) -> None:
    """Subscribe a target to every event."""
    log = get_log()

    @stamina.retry(on=Unavailable, attempts=None, timeout=TRY_FOR_S, wait_max=10.0)
    async def send(events: Sequence[Forwarded]) -> None:
        await forwarder.send(events)

    async def on_events(received: list[Kept]) -> None:
        try:
            await send([_forwarded(one) for one in received])
        except Unavailable as error:
            log.warning("events wait to be forwarded", target=forwarder.name, reason=str(error))
            raise

    await bus.subscribe_batches(
        on_events, durable=f"logger-{forwarder.name}", batch=BATCH, ack_wait_s=ACK_WAIT_S
    )


async def post(http: httpx.AsyncClient, path: str, body: bytes, kind: str) -> httpx.Response:
    """
    Send a body.

    Raises:
        Unavailable: nobody answers, or the answer is that it is too much, forbidden or broken.
    """
    try:
        answer = await http.post(path, content=body, headers={"Content-Type": kind})
    except httpx.TransportError as error:
        raise Unavailable(f"{http.base_url} does not answer: {error!r}") from error
    if answer.status_code in (401, 403, 404, 429) or answer.is_server_error:
        raise Unavailable(f"{answer.url} answers {answer.status_code}: {answer.text[:200]}")
    return answer


def _forwarded(one: Kept) -> Forwarded:
    document = json.loads(one.data)
    for name in BULKY.get(one.envelope.type, ()):
        document.pop(name, None)
    at = datetime.fromisoformat(document["at"])
    return Forwarded(one.envelope.id, one.envelope.run_id, one.envelope.type, at, document)
