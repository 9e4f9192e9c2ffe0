"""The bus on a real nats-server."""

import asyncio

import nats
import pytest

from libs.common.bus import Bus
from libs.common.errors import Conflict, InvalidInput, NotFound, Unavailable
from libs.common.events import (
    ActionReply,
    ActionRequest,
    CarStep,
    MessageRejected,
    RunEnded,
    RunWatched,
    StopRun,
    TrackRef,
    decode_as,
)
from tests.conftest import Connect
from tests.servers import NatsServer, free_port


def run_ended(name: str, **fields: object) -> RunEnded:
    return RunEnded(run_id=name, outcome="finished", reason="done", **fields)


class Collector:
    """A handler that keeps what it is given and can be waited for."""

    def __init__(self, got: asyncio.Queue[object] | None = None) -> None:
        self.got: asyncio.Queue[object] = got or asyncio.Queue()

    async def __call__(self, message: object) -> None:
        self.got.put_nowait(message)

    async def next(self) -> object:
        async with asyncio.timeout(10):
            return await self.got.get()


async def test_a_published_event_reaches_every_durable_once(connect: Connect) -> None:
    trainer, logger = await connect("trainer"), await connect("logger")
    one, two = Collector(), Collector()
    await logger.subscribe(RunEnded, one, durable="one")
    await logger.subscribe(RunEnded, two, durable="two")
    sent = run_ended("r1")
    await trainer.publish(sent)
    await trainer.publish(sent)  # a retry with the same id
    await trainer.publish(run_ended("r2"))
    for handler in (one, two):
        assert await handler.next() == sent
        assert (await handler.next()).run_id == "r2"  # type: ignore[attr-defined]


async def test_a_command_goes_to_one_of_the_workers_that_share_it(connect: Connect) -> None:
    bus = await connect("trainer")
    shared: asyncio.Queue[object] = asyncio.Queue()
    for handler in (Collector(shared), Collector(shared)):
        await bus.subscribe(StopRun, handler, durable="runs")
    for _ in range(10):
        await bus.publish(StopRun(run_id="r1"))

    everything = Collector(shared)
    told = [(await everything.next()).id for _ in range(10)]  # type: ignore[attr-defined]
    assert len(set(told)) == 10


async def test_only_its_producer_may_publish_an_event(connect: Connect) -> None:
    bus = await connect("streamer")
    with pytest.raises(TypeError, match=r"published by trainer, not streamer"):
        await bus.publish(run_ended("r1"))


async def test_a_message_that_is_no_event_is_dead_lettered_and_the_rest_goes_on(
    connect: Connect, nats_server: NatsServer
) -> None:
    trainer, logger = await connect("trainer"), await connect("logger")
    ended, rejected = Collector(), Collector()
    await logger.subscribe(RunEnded, ended, durable="ended")
    await logger.subscribe(MessageRejected, rejected, durable="rejected")
    stranger = await nats.connect(nats_server.url)
    await stranger.jetstream().publish("dr.evt.run.ended.v1.r1", b"no event")
    await stranger.close()
    await trainer.publish(run_ended("r2"))
    assert (await ended.next()).run_id == "r2"  # type: ignore[attr-defined]
    told = await rejected.next()
    assert isinstance(told, MessageRejected)
    assert told.rejected_subject == "dr.evt.run.ended.v1.r1"
    assert told.excerpt == "no event"


async def test_a_handler_that_fails_gets_the_message_again(connect: Connect) -> None:
    bus = await connect("trainer")
    seen, failed = Collector(), set[str]()

    async def fail_once(message: StopRun) -> None:
        await seen(message)
        if message.id not in failed:
            failed.add(message.id)
            raise RuntimeError("the first time fails")

    await bus.subscribe(StopRun, fail_once, durable="runs")
    await bus.publish(StopRun(run_id="r1"))
    assert (await seen.next()) == (await seen.next())


async def test_a_handler_that_always_fails_is_given_up_and_told(connect: Connect) -> None:
    bus = await connect("trainer")
    rejected = Collector()

    async def fail(message: StopRun) -> None:
        raise RuntimeError("never works")

    await bus.subscribe(MessageRejected, rejected, durable="rejected")
    await bus.subscribe(StopRun, fail, durable="runs", max_deliver=2)
    await bus.publish(StopRun(run_id="r1"))
    told = await rejected.next()
    assert isinstance(told, MessageRejected)
    assert "never works" in told.reason


async def test_batches_hold_every_event_in_the_order_of_the_stream(connect: Connect) -> None:
    trainer, logger = await connect("trainer"), await connect("logger")
    for number in range(30):
        await trainer.publish(run_ended("r1", episodes=number))
    batches = Collector()
    await logger.subscribe_batches(batches, durable="journal", batch=8)
    episodes: list[int] = []
    while len(episodes) < 30:
        batch = await batches.next()
        assert {item.envelope.type for item in batch} == {RunEnded.type_name}
        episodes += [decode_as(RunEnded, item.data).episodes for item in batch]
    assert episodes == list(range(30))


async def test_a_request_carries_bytes_and_gets_its_reply(connect: Connect) -> None:
    learner, simulator = await connect("trainer"), await connect("simulator")

    async def act(request: ActionRequest, pixels: bytes) -> ActionReply:
        return ActionReply(rollout_id=request.rollout_id, step=len(pixels))

    await learner.serve(ActionRequest, act, "r1")
    request = ActionRequest(
        run_id="r1", rollout_id="x", attempt="a", step=0, cars=(CarStep(),), height=2, width=3
    )
    reply, _ = await simulator.request(request, ActionReply, b"123456")
    assert reply.step == 6


async def test_a_request_that_nobody_serves_is_unavailable(connect: Connect) -> None:
    simulator = await connect("simulator")
    request = ActionRequest(
        run_id="r1", rollout_id="x", attempt="a", step=0, cars=(), height=0, width=0
    )
    with pytest.raises(Unavailable, match="no answer"):
        await simulator.request(request, ActionReply, timeout_s=1)


async def test_telemetry_reaches_who_watches(connect: Connect) -> None:
    streamer, simulator = await connect("streamer"), await connect("simulator")
    seen = Collector()
    await simulator.watch(RunWatched, seen, "r1")
    await streamer.publish(RunWatched(run_id="r2"))
    await streamer.publish(RunWatched(run_id="r1"))
    assert (await seen.next()).run_id == "r1"  # type: ignore[attr-defined]


async def test_following_gives_the_past_and_then_what_comes(connect: Connect) -> None:
    bus = await connect("trainer")
    await bus.publish(run_ended("r1", episodes=0))
    await bus.publish(run_ended("other"))
    past = [item async for item in bus.follow("r1", live=False)]
    assert [item.message.run_id for item in past] == ["r1"]
    await bus.publish(run_ended("r1", episodes=1))
    live = bus.follow("r1", after=past[-1].sequence)
    async with asyncio.timeout(10):
        assert (await anext(live)).message.episodes == 1  # type: ignore[attr-defined]
        await bus.publish(run_ended("r1", episodes=2))
        assert (await anext(live)).message.episodes == 2  # type: ignore[attr-defined]
    await live.aclose()


async def test_ids_are_those_of_all_stored_events_of_the_class(connect: Connect) -> None:
    bus = await connect("trainer")
    sent = [run_ended("r1") for _ in range(300)]
    for event in sent:
        await bus.publish(event)
    await bus.publish(run_ended("r2"))
    assert await bus.ids(RunEnded, "r1") == {event.id for event in sent}
    assert await bus.ids(RunEnded, "nothing") == set()


async def test_records_compare_before_they_set(connect: Connect) -> None:
    bus = await connect("trainer")
    table = await bus.records("tracks", TrackRef)
    revision = await table.create("a", TrackRef(name="first"))
    with pytest.raises(Conflict, match="'a' exists already"):
        await table.create("a", TrackRef(name="second"))
    await table.update("a", TrackRef(name="third"), revision)
    with pytest.raises(Conflict, match="changed by another"):
        await table.update("a", TrackRef(name="fourth"), revision)
    assert (await table.get("a"))[0].name == "third"
    assert list(await table.all()) == ["a"]
    await table.delete("a")
    assert await table.all() == {}
    with pytest.raises(NotFound, match="'a' does not exist"):
        await table.get("a")


async def test_everything_goes_on_after_the_server_was_killed(
    connect: Connect, nats_server: NatsServer
) -> None:
    trainer, logger = await connect("trainer"), await connect("logger")
    handled = Collector()
    await logger.subscribe(RunEnded, handled, durable="ended")
    await trainer.publish(run_ended("r1", episodes=1))
    await handled.next()
    follower = logger.follow("r1")
    async with asyncio.timeout(30):
        await anext(follower)
        nats_server.kill()
        publishing = asyncio.create_task(trainer.publish(run_ended("r1", episodes=2)))
        await asyncio.to_thread(nats_server.start)
        await publishing
        assert (await anext(follower)).message.episodes == 2  # type: ignore[attr-defined]
    assert (await handled.next()).episodes == 2  # type: ignore[attr-defined]
    await follower.aclose()


async def test_an_address_without_a_server_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="no NATS server"):
        await Bus.connect(f"nats://user:secret@127.0.0.1:{free_port()}", "trainer")


async def test_a_message_beyond_the_limit_is_refused_with_both_sizes(connect: Connect) -> None:
    bus = await connect("trainer")
    with pytest.raises(InvalidInput, match=r"\d+ bytes; the server takes 8388608"):
        await bus.publish(StopRun(run_id="r1", reason="x" * 9_000_000))
