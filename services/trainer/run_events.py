"""The events of a run for a follower: those so far, then those to come, until its end."""

import asyncio
from collections.abc import AsyncGenerator

from libs.common.bus import Bus, Received
from libs.common.events import RunDeleted, RunEnded
from libs.common.tasks import end
from services.trainer.run_table import RunTable
from services.trainer.runs import RunRecord


async def run_events(
    bus: Bus, table: RunTable, record: RunRecord, after: int, stopping: asyncio.Event
) -> AsyncGenerator[Received, None]:
    """
    Events behind the stream's sequence `after`; of a run that has ended those so far.

    A run of the same name that was deleted before is not told of.
    """
    live = not record.ended or bool(record.outbox)
    after = max(after, record.since - 1)
    async for received in _until(stopping, bus.follow(record.run_id, after=after, live=live)):
        yield received
        if live and await _is_last(table, received):
            return


async def _is_last(table: RunTable, received: Received) -> bool:
    """Whether this event is the valid end: a run may have been resumed after an older one."""
    message = received.message
    if not isinstance(message, RunEnded):
        return isinstance(message, RunDeleted)
    record = await table.get(message.run_id)
    return record.end_event == message.id


async def _until(
    stopping: asyncio.Event, items: AsyncGenerator[Received, None]
) -> AsyncGenerator[Received, None]:
    """The items until the service stops: a follower must not hold up its end."""
    stop = asyncio.create_task(stopping.wait())
    following = asyncio.create_task(_next(items))
    try:
        while True:
            await asyncio.wait({stop, following}, return_when=asyncio.FIRST_COMPLETED)
            if stop.done() or (item := following.result()) is None:
                return
            yield item
            following = asyncio.create_task(_next(items))
    finally:
        await end(stop, following)
        await items.aclose()


async def _next(items: AsyncGenerator[Received, None]) -> Received | None:
    return await anext(items, None)
