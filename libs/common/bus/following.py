"""Reading a stream in its order, from any point on."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import FetchTimeoutError

from libs.common.bus.pull import FETCH_S

BATCH = 256


async def batches(
    js: Any,
    stream: str,
    subjects: list[str],
    after: int = 0,
    *,
    headers_only: bool = False,
    live: bool,
) -> AsyncIterator[list[Msg]]:
    """
    Messages of these subjects behind the sequence `after`; with `live` those to come, too.

    Raises nats' errors where the server is away or has forgotten the consumer in a restart.
    """
    config = ConsumerConfig(
        filter_subjects=subjects,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.NONE,
        headers_only=headers_only or None,
        inactive_threshold=60.0,
        mem_storage=True,
    )
    consumer = await js.add_consumer(stream, config)
    pull = await js.pull_subscribe_bind(stream=stream, consumer=consumer.name)
    try:
        pending = consumer.num_pending or 0
        while live or pending > 0:
            try:
                # A fetch waits until it has all it asked for: more than what is there would wait.
                raws = await pull.fetch(min(BATCH, max(1, pending)), FETCH_S)
            except (FetchTimeoutError, TimeoutError):
                if not live:
                    return
                await pull.consumer_info()  # raises where a restart has forgotten the consumer
                continue
            pending = raws[-1].metadata.num_pending if raws else 0
            yield raws
    finally:
        with suppress(NatsError, TimeoutError):
            await pull.unsubscribe()
