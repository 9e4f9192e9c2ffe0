"""Ending asyncio tasks for certain."""

import asyncio
from typing import Any

AGAIN_S = 0.5


async def end(*tasks: asyncio.Task[Any]) -> None:
    """
    Cancel tasks until they are over; what they raise is theirs alone.

    Once is not enough: before Python 3.12 `asyncio.wait_for` loses a cancellation that arrives
    together with the result, and then the task goes on.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen: asyncio need not complain
