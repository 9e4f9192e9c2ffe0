"""Logger, uploader and all servers are killed fifty times under load: nothing lost or doubled."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from libs.common.bus import Bus
from libs.common.events import LogWritten, ObjectRef
from libs.common.journal_reading import (
    journal_path,
    read_entries,
    segment_folder,
)
from libs.common.objects import ObjectStore
from libs.common.segments import segments_of
from tests.mirror_stage import remote_variables, saved, wait
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess

DEATHS = 50
PAUSE_S = (0.05, 1.0)  # between a return and the next death
SIZES = (100, 40_000, 700_000, 6_000_000)  # the last ones are sent in parts
SEGMENT_BYTES = 200_000


class Load:
    """What is published until it is told to stop."""

    def __init__(self, bus: Bus, objects: ObjectStore, chance: random.Random) -> None:
        self._bus, self._objects, self._chance = bus, objects, chance
        self.stopped = asyncio.Event()
        self.ids: list[str] = []
        self.objects: list[ObjectRef] = []

    async def say(self) -> None:
        """Log lines, as fast as they are stored."""
        while not self.stopped.is_set():
            number = len(self.ids)
            line = LogWritten(
                id=f"line-{number}",
                run_id="r1",
                service="trainer",
                instance="a",
                level="info",
                message=self._chance.randbytes(self._chance.randrange(1, 400)).hex(),
            )
            await self._bus.publish(line)
            self.ids.append(line.id)

    async def save(self) -> None:
        """Objects with their announcements."""
        while not self.stopped.is_set():
            number = len(self.objects)
            data = self._chance.randbytes(self._chance.choice(SIZES))
            reference = await self._objects.put(f"runs/r1/model/model_{number}.pb", data)
            await self._bus.publish(saved("r1", number, reference))
            self.objects.append(reference)


@wait
async def wait_for_lines(path: Path, ids: list[str]) -> None:
    assert not set(ids) - {entry.id for entry in read_entries(path)}


@wait
async def wait_for_copies(remote: ObjectStore, objects: list[ObjectRef]) -> None:
    there = {key async for key, _ in remote.keys("backup/")}
    missing = [one.uri for one in objects if f"backup/{_key(one)}" not in there]
    assert not missing, f"{len(missing)} are missing, as {missing[0]}"


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[NatsServer, S3Server, S3Server]]:
    """A bus and two stores of this test alone."""
    for name in ("nats", "near", "far"):
        (tmp_path / name).mkdir()
    nats = NatsServer(tmp_path / "nats")
    near, far = S3Server(tmp_path / "near"), S3Server(tmp_path / "far")
    try:
        for server in (nats, near, far):
            await asyncio.to_thread(server.start)
        yield nats, near, far
    finally:
        for server in (nats, near, far):
            server.kill()


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_fifty_deaths_lose_nothing_and_double_nothing(
    servers: tuple[NatsServer, S3Server, S3Server], tmp_path: Path
) -> None:
    nats, near, far = servers
    chance, path = random.Random(), journal_path(tmp_path / "journal", "r1")
    logger = ServiceProcess(
        "logger", nats, near, tmp_path, bucket="near", DR_LOGGER_SEGMENT_BYTES=str(SEGMENT_BYTES)
    )
    variables = remote_variables(far, "far") | {"DR_UPLOADER_RECONCILE_S": "5"}
    uploader = ServiceProcess("uploader", nats, near, tmp_path, bucket="near", **variables)
    victims = {"logger": logger, "uploader": uploader, "nats": nats, "near": near, "far": far}
    async with AsyncExitStack() as stack:
        local = await stack.enter_async_context(ObjectStore(near.address("near")))
        remote = await stack.enter_async_context(ObjectStore(far.address("far")))
        await local.ensure_bucket()
        stack.enter_context(logger)
        stack.enter_context(uploader)
        bus = await Bus.connect(nats.url, "trainer")
        stack.push_async_callback(bus.close)
        load = Load(bus, local, chance)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.say())
            group.create_task(load.save())
            died = Counter[str]()
            for _ in range(DEATHS):
                await asyncio.sleep(chance.uniform(*PAUSE_S))
                died[name := chance.choice(list(victims))] += 1
                victims[name].kill()
                if isinstance(victim := victims[name], ServiceProcess):
                    victim.launch()  # whether it gets ready depends on the others
                else:
                    await asyncio.to_thread(victim.start)
            load.stopped.set()
        await wait_for_lines(path, load.ids)
        await wait_for_copies(remote, load.objects)
        for reference in load.objects:
            there = await remote.head(f"backup/{_key(reference)}")
            assert there is not None
            assert there.sha256 == reference.sha256
            await remote.get(there)  # compares the bytes with the checksum
    counted = Counter(entry.id for entry in read_entries(path))
    assert set(counted.values()) == {1}, died
    assert len(segments_of(segment_folder(path))) > 1
    assert died.total() == DEATHS


def _key(reference: ObjectRef) -> str:
    return reference.uri.removeprefix("s3://near/")
