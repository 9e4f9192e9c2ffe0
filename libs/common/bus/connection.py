"""One service's connection: publish, request, serve, subscribe, follow."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import stamina
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError, OutboundBufferLimitError
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import BadRequestError

from libs.common.bus.delivery import Handle, Handler, Kept, in_batches, one_by_one
from libs.common.bus.following import batches
from libs.common.bus.framing import join, split
from libs.common.bus.pull import Pull
from libs.common.bus.records import Records
from libs.common.bus.streams import stream_configs
from libs.common.bus.tally import Tally
from libs.common.errors import InvalidInput, StartupFailed, Unavailable
from libs.common.events import (
    ANY,
    Event,
    Message,
    MessageRejected,
    Telemetry,
    Value,
    decode,
    decode_as,
)

CONNECT_S = 5.0
PUBLISH_S = 2.0
"""How long one attempt to store a message may take; the next follows at once."""
RETRY_FOR_S = 300.0
"""How long a publish is repeated while the server is away."""

M = TypeVar("M", bound=Message)
V = TypeVar("V", bound=Value)


@dataclass(frozen=True)
class Received:
    """A message as the stream holds it."""

    message: Message
    data: bytes
    sequence: int


class Bus:
    """One connection of one service."""

    def __init__(self, client: Client, service: str, instance: str) -> None:
        self._client = client
        self._js = client.jetstream(timeout=PUBLISH_S)
        self.service, self.instance = service, instance
        self._subscriptions: list[Pull | Subscription] = []
        self.tally = Tally()

    @classmethod
    async def connect(
        cls, url: str, service: str, instance: str = "", event_stream_max_bytes: int = 2 * 1024**3
    ) -> Self:
        """
        Connect within five seconds and make sure that the streams exist.

        Raises:
            Unavailable: no server answers at this address (a restart may help).
            StartupFailed: the server refuses the credentials (a restart does not help).
        """
        client = Client()
        bus = cls(client, service, instance)

        async def count_reconnect() -> None:
            bus.tally.reconnects += 1

        try:
            async with asyncio.timeout(CONNECT_S):
                await client.connect(
                    url,
                    name=f"{service} {instance}".strip(),
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.25,
                    ping_interval=5,
                    pending_size=16 * 1024**2,
                    error_cb=_ignore,  # what fails is raised where it was asked for
                    reconnected_cb=count_reconnect,
                )
                await bus._ensure_streams(event_stream_max_bytes)
        except (TimeoutError, OSError, NatsError) as error:
            with suppress(Exception):
                await client.close()
            if "authorization" in str(error).lower():
                raise StartupFailed(f"NATS at {_without_secret(url)} refuses the login") from error
            raise Unavailable(
                f"no NATS server with JetStream answers at {_without_secret(url)}: {error!r}"
            ) from error
        return bus

    @property
    def connected(self) -> bool:
        """Whether the server can be reached at this moment."""
        return bool(self._client.is_connected)

    async def close(self) -> None:
        """Send what is pending and close; subscriptions must have been drained before."""
        with suppress(NatsError, TimeoutError, OSError):
            await self._client.close()

    async def drain(self, deadline_s: float) -> None:
        """Stop the intake of every subscription and finish the handlers that are running."""
        pulls = [item for item in self._subscriptions if isinstance(item, Pull)]
        for item in self._subscriptions:
            if not isinstance(item, Pull):
                with suppress(NatsError):
                    await item.unsubscribe()
        await asyncio.gather(*(pull.stop(deadline_s) for pull in pulls))
        self._subscriptions.clear()

    # -- sending ---------------------------------------------------------------------------

    async def publish(self, message: Message) -> int:
        """
        Send a message; a command or an event is stored when this returns.

        Returns its sequence in the stream, 0 for telemetry.

        Raises:
            Unavailable: the server was away for longer than `RETRY_FOR_S`.
        """
        if message.producer not in (ANY, self.service):
            raise TypeError(
                f"{message.type_name} is published by {message.producer}, not {self.service}"
            )
        subject, sequence = message.subject(message.run_id), 0
        if isinstance(message, Telemetry):
            with suppress(OutboundBufferLimitError):
                await self._client.publish(subject, message.encode())
        else:
            sequence = await self._store(subject, message.encode(), {"Nats-Msg-Id": message.id})
        self.tally.sent[message.type_name] += 1
        return sequence

    async def _store(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        if len(data) > (limit := self._client.max_payload):
            raise InvalidInput(f"{subject}: {len(data)} bytes; the server takes {limit}")
        try:
            async for attempt in stamina.retry_context(
                on=(NatsError, TimeoutError), attempts=None, timeout=RETRY_FOR_S, wait_max=2.0
            ):
                with attempt:
                    stored = await self._js.publish(subject, data, headers=headers)
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"{subject} could not be stored: {error!r}") from error
        return int(stored.seq)

    async def request(
        self, message: Telemetry, reply_class: type[M], blob: bytes = b"", timeout_s: float = 5.0
    ) -> tuple[M, bytes]:
        """
        Ask and wait for the answer; both may carry raw bytes behind the JSON.

        Raises:
            Unavailable: nobody answers; asking again is up to the caller.
        """
        try:
            answer = await self._client.request(
                message.subject(message.run_id), join(message, blob), timeout=timeout_s
            )
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"{message.type_name}: no answer ({error!r})") from error
        self.tally.sent[message.type_name] += 1
        return split(reply_class, answer.data)

    async def serve(
        self,
        request_class: type[M],
        handler: Callable[[M, bytes], Coroutine[Any, Any, Message | None]],
        run_id: str,
    ) -> None:
        """
        Answer requests of one run, side by side; a handler that returns None leaves the asker
        waiting.
        """
        tasks: set[asyncio.Task[None]] = set()

        async def receive(raw: Msg) -> None:
            task = asyncio.create_task(answer(raw))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        async def answer(raw: Msg) -> None:
            try:
                with self.tally.handling(request_class.type_name):
                    reply = await handler(*split(request_class, raw.data))
            except InvalidInput as error:
                await self._reject(raw.subject, raw.data, str(error))
                return
            if reply is not None:
                with suppress(ConnectionClosedError):  # who asked will ask another
                    await raw.respond(join(reply, b""))

        self._subscriptions.append(
            await self._client.subscribe(request_class.subject(run_id), cb=receive)
        )
        await self._reach_server()

    # -- receiving -------------------------------------------------------------------------

    async def watch(self, message_class: type[M], handler: Handler[M], run_id: str = ANY) -> Any:
        """
        Follow telemetry; a slow handler loses messages and delays nobody.

        Returns a handle whose `unsubscribe()` coroutine ends it.
        """

        async def receive(raw: Msg) -> None:
            with suppress(InvalidInput), self.tally.handling(message_class.type_name):
                await handler(decode_as(message_class, raw.data))

        subscription = await self._client.subscribe(
            message_class.subject(run_id), cb=receive, pending_msgs_limit=64
        )
        self._subscriptions.append(subscription)
        await self._reach_server()
        return subscription

    async def _reach_server(self) -> None:
        """
        Everything sent so far is with the server when this returns.

        The client writes a PING ahead of what still lies in its buffer, and the buffer out while
        it waits for the PONG: only a second PING is behind all of it.
        """
        await self._client.flush()
        await self._client.flush()

    async def subscribe(
        self,
        message_class: type[M],
        handler: Handler[M],
        *,
        durable: str,
        concurrency: int = 1,
        ack_wait_s: float = 30.0,
        max_deliver: int = 5,
    ) -> None:
        """
        Handle commands or events, each at least once; `durable` names the group that shares them.

        A handler may run for as long as it needs: the server is told that it is in progress.
        `max_deliver` -1 never gives a message up.
        """

        handle = one_by_one(
            message_class, handler, self._reject, self.tally, ack_wait_s, max_deliver
        )
        config = ConsumerConfig(
            durable_name=durable,
            filter_subject=message_class.subject(),
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait_s,
            max_deliver=max_deliver,
            max_ack_pending=1024,
        )
        await self._pull(message_class.stream, config, handle, batch=1, workers=concurrency)

    async def subscribe_batches(
        self,
        handler: Callable[[list[Kept]], Coroutine[Any, Any, None]],
        *,
        durable: str,
        batch: int = 512,
        ack_wait_s: float = 30.0,
    ) -> None:
        """
        Handle every event in the stream's order, in batches that are acknowledged as a whole.

        What the handler raises brings the whole batch back: it must not be half done.
        """

        handle = in_batches(handler, self._reject, self.tally)
        config = ConsumerConfig(
            durable_name=durable,
            filter_subject="dr.evt.>",
            # Not ALL: after a crash new messages come first, and would acknowledge the lost ones.
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait_s,
            max_ack_pending=4 * batch,
        )
        await self._pull(Event.stream, config, handle, batch=batch, workers=1)

    async def follow(
        self,
        run_id: str = ANY,
        *,
        classes: Sequence[type[Message]] = (),
        after: int = 0,
        live: bool = True,
    ) -> AsyncGenerator[Received, None]:
        """
        Events from the stream in order, those stored first and then, if `live`, those to come.

        `after` is the sequence of the last event that the caller has seen. Survives a restart of
        the server.
        """
        subjects = [c.subject(run_id) for c in classes] or [f"dr.evt.*.*.*.{run_id}"]
        while True:
            try:
                async for raws in batches(self._js, Event.stream, subjects, after, live=live):
                    for raw in raws:
                        after = raw.metadata.sequence.stream
                        with suppress(InvalidInput):
                            yield Received(decode(raw.data), raw.data, after)
                        await asyncio.sleep(0)  # a batch takes long: others have their turn
                return
            except (NatsError, OSError) as error:
                if self._client.is_closed:
                    return
                if not live and not self._client.is_reconnecting:
                    raise Unavailable(f"the event stream can't be read: {error!r}") from error
                await asyncio.sleep(0.25)  # the server is on its way back

    async def ids(self, event_class: type[Event], run_id: str) -> set[str]:
        """The ids of all stored events of a class, without fetching their bodies."""
        found: set[str] = set()
        subjects = [event_class.subject(run_id)]
        async for raws in batches(self._js, Event.stream, subjects, headers_only=True, live=False):
            found.update((raw.headers or {}).get("Nats-Msg-Id", "") for raw in raws)
        return found - {""}

    async def records(self, bucket: str, value_class: type[V]) -> Records[V]:
        """A table of values in JetStream, shared by all processes."""
        with suppress(BadRequestError):
            await self._js.create_key_value(bucket=bucket, history=1)
        return Records(self._js, await self._js.key_value(bucket), value_class)

    # -- inside ----------------------------------------------------------------------------

    async def _ensure_streams(self, event_stream_max_bytes: int) -> None:
        for config in stream_configs(event_stream_max_bytes):
            try:
                await self._js.add_stream(config)
            except BadRequestError:  # it exists with other settings, or another service was faster
                await self._js.update_stream(config)

    async def _pull(
        self,
        stream: str,
        config: ConsumerConfig,
        handle: Handle,
        batch: int,
        workers: int,
    ) -> None:
        await self._js.add_consumer(stream, config)
        for _ in range(workers):
            pull = Pull(self._js, stream, config, handle, batch)
            await pull.start()
            self._subscriptions.append(pull)

    async def _reject(self, subject: str, data: bytes, reason: str) -> None:
        self.tally.rejected += 1
        headers = {"Dr-Reason": reason[:512].replace("\n", " ")}
        await self._store(f"dr.dead.{subject}", data, headers)
        await self.publish(
            MessageRejected(
                service=self.service,
                rejected_subject=subject,
                reason=reason,
                excerpt=data[:200].decode(errors="replace"),
            )
        )


async def _ignore(_: Exception) -> None:
    return None


def _without_secret(url: str) -> str:
    scheme, _, rest = url.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
