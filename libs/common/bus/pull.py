"""One worker of a durable JetStream consumer."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig
from nats.js.errors import FetchTimeoutError

FETCH_S = 2.0
"""How long one fetch waits for messages."""


class Pull:
    """One worker of a durable consumer: fetches, hands on, never has more than it works on."""

    def __init__(
        self,
        js: Any,
        stream: str,
        config: ConsumerConfig,
        handle: Callable[[list[Msg]], Coroutine[Any, Any, None]],
        batch: int,
    ) -> None:
        self._js, self._stream, self._config = js, stream, config
        self._handle, self._batch = handle, batch
        self._stopping = False
        self._in_hand: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._subscription = await self._js.pull_subscribe_bind(
            stream=self._stream, consumer=self._config.durable_name
        )
        self._task = asyncio.create_task(self._run(), name=f"pull {self._config.durable_name}")

    async def stop(self, deadline_s: float) -> None:
        self._stopping = True
        if self._in_hand is not None:
            await asyncio.wait([self._in_hand], timeout=deadline_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with suppress(NatsError, TimeoutError):
            await self._subscription.unsubscribe()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                raws = await self._subscription.fetch(self._batch, FETCH_S)
                self._in_hand = asyncio.create_task(self._handle(raws))
                await asyncio.shield(self._in_hand)
            except (FetchTimeoutError, TimeoutError):
                continue
            except asyncio.CancelledError:
                if self._in_hand is not None:
                    self._in_hand.cancel()
                raise
            except Exception:  # the server or the handler of a batch: it comes again
                await asyncio.sleep(0.25)
            finally:
                self._in_hand = None
