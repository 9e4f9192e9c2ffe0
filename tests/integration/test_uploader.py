"""The uploader as a process between two real stores, one of which goes away and comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import stamina

from libs.common.bus import Bus
from libs.common.config import load
from libs.common.errors import StartupFailed, Unavailable
from libs.common.events import (
    ArtifactReplicated,
    CheckpointRef,
    CheckpointSaved,
    ObjectRef,
    ReplicationFailed,
    ServiceBeat,
)
from libs.common.objects import PART_BYTES, ObjectStore
from services.uploader.config import UploaderSettings
from tests.conftest import Connect
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess

# A store that was killed answers again before it finds its objects again.
UNTIL = (AssertionError, Unavailable)
wait = stamina.retry(on=UNTIL, attempts=None, timeout=90, wait_initial=0.1, wait_max=0.5)


@pytest.fixture
def far_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A second store, which may be killed."""
    server = S3Server(tmp_path_factory.mktemp("far"))
    server.start()
    yield server
    server.kill()


class Stage:
    """What a test of the mirror needs; `remote` is below the folder `backup` of its bucket."""

    def __init__(
        self, bus: Bus, objects: ObjectStore, remote: ObjectStore, uploader: ServiceProcess
    ) -> None:
        self.bus, self.objects, self.remote, self.uploader = bus, objects, remote, uploader

    async def save(self, number: int, data: bytes, run_id: str = "r1") -> str:
        """Put an object and announce it, as a checkpoint's policy; returns its key."""
        key = f"runs/{run_id}/model/model_{number}.pb"
        policy = await self.objects.put(key, data)
        await self.bus.publish(saved(run_id, number, policy))
        return key

    async def told(self, message_class: Any, run_id: str = "r1") -> list[Any]:
        """All events of a class so far."""
        stored = self.bus.follow(run_id, classes=[message_class], live=False)
        return [item.message async for item in stored]

    @wait
    async def wait_for_copy(self, key: str, data: bytes) -> None:
        there = await self.remote.head(f"backup/{key}")
        assert there is not None
        assert await self.remote.get(there) == data

    @wait
    async def wait_for_told(self, message_class: Any, *keys: str) -> None:
        told = [event.source.uri for event in await self.told(message_class)]
        assert sorted(told) == sorted(self.objects.uri(key) for key in keys)


def saved(run_id: str, number: int, *artifacts: ObjectRef) -> CheckpointSaved:
    checkpoint = CheckpointRef(
        name=f"{number}_Step-10.ckpt", number=number, env_steps=10, files=(), policy=artifacts[0]
    )
    return CheckpointSaved(
        run_id=run_id, checkpoint=checkpoint, iteration=number, artifacts=artifacts
    )


def remote_variables(server: S3Server, bucket: str) -> dict[str, str]:
    return {
        "DR_UPLOADER_REMOTE_ENDPOINT": server.endpoint,
        "DR_UPLOADER_REMOTE_BUCKET": bucket,
        "DR_UPLOADER_REMOTE_PREFIX": "backup/",
        "DR_UPLOADER_REMOTE_ACCESS_KEY": server.access_key,
        "DR_UPLOADER_REMOTE_SECRET_KEY": server.secret_key,
        "DR_UPLOADER_REMOTE_PATIENCE_S": "0.5",
    }


@pytest.fixture
async def stage(
    connect: Connect,
    nats_server: NatsServer,
    s3_server: S3Server,
    far_server: S3Server,
    objects: ObjectStore,
    tmp_path: Path,
) -> AsyncIterator[Stage]:
    bucket = f"far-{uuid4().hex[:12]}"
    remote = ObjectStore(
        far_server.endpoint, far_server.access_key, far_server.secret_key, "us-east-1", bucket, 0.5
    )
    variables = remote_variables(far_server, bucket)
    uploader = ServiceProcess(
        "uploader", nats_server, s3_server, tmp_path, bucket=objects.bucket, **variables
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(remote)
        yield Stage(await connect("trainer"), objects, remote, uploader)


async def test_announced_objects_are_copied_verified_and_told_once(stage: Stage) -> None:
    large = bytes(range(256)) * (PART_BYTES // 256) + b"and a second part"
    with stage.uploader:
        small_key = await stage.save(1, b"small")
        large_key = await stage.save(2, large)
        await stage.wait_for_copy(small_key, b"small")
        await stage.wait_for_copy(large_key, large)
        await stage.wait_for_told(ArtifactReplicated, small_key, large_key)
        await stage.save(1, b"small")  # announced again: the same copy
        third_key = await stage.save(3, b"third")
        await stage.wait_for_told(ArtifactReplicated, small_key, large_key, third_key)
        assert stage.uploader.end() == 0
    # Copies are made side by side, so that any of them may have been told first.
    told = {event.source: event.remote_uri for event in await stage.told(ArtifactReplicated)}
    small = await stage.objects.head(small_key)
    assert small is not None
    assert told[small] == stage.remote.uri(f"backup/{small_key}")


async def test_a_changed_object_is_copied_again(stage: Stage) -> None:
    with stage.uploader:
        key = await stage.save(1, b"old")
        await stage.wait_for_copy(key, b"old")
        await stage.save(1, b"new")
        await stage.wait_for_copy(key, b"new")


async def test_a_remote_that_was_away_gets_everything_when_it_is_back(
    stage: Stage, far_server: S3Server
) -> None:
    with stage.uploader:
        first = await stage.save(1, b"1")
        await stage.wait_for_copy(first, b"1")
        far_server.kill()
        second = await stage.save(2, b"2")
        await stage.wait_for_told(ReplicationFailed, second)
        third = await stage.save(3, b"3")
        await stage.wait_for_told(ReplicationFailed, second, third)
        stage.uploader.kill()  # the backlog is on the bus
        await asyncio.to_thread(stage.uploader.start)
        await asyncio.to_thread(far_server.start)
        for number, key in enumerate((first, second, third), 1):
            await stage.wait_for_copy(key, str(number).encode())
        await stage.wait_for_told(ArtifactReplicated, first, second, third)


async def test_an_outage_is_told_once_for_each_object(stage: Stage, far_server: S3Server) -> None:
    far_server.kill()
    with stage.uploader:
        key = await stage.save(1, b"1")
        await stage.wait_for_told(ReplicationFailed, key)
        # Another object that fails later: the first was tried again meanwhile.
        other = await stage.save(2, b"2")
        await stage.wait_for_told(ReplicationFailed, key, other)
        await asyncio.to_thread(far_server.start)
        await stage.wait_for_copy(other, b"2")
        await stage.wait_for_copy(key, b"1")
    await stage.wait_for_told(ReplicationFailed, key, other)


async def test_what_no_event_told_is_found_by_comparing_both_sides(stage: Stage) -> None:
    await stage.objects.put("tracks/mine.npy", b"track")
    await stage.objects.put("runs/r1/reward_function.py", b"code")
    await stage.objects.put("other/file", b"not ours to copy")
    await stage.remote.ensure_bucket()
    await stage.remote.put("backup/runs/r1/reward_function.py", b"edoc")  # same size, other content
    await stage.remote.put("backup/runs/old/model.pb", b"only there")
    with stage.uploader:
        await stage.wait_for_copy("tracks/mine.npy", b"track")
        await stage.wait_for_copy("runs/r1/reward_function.py", b"code")
    there = {key async for key, _ in stage.remote.keys("")}
    assert there == {
        "backup/tracks/mine.npy",
        "backup/runs/r1/reward_function.py",
        "backup/runs/old/model.pb",  # nothing is ever deleted there
    }


async def test_an_object_that_is_gone_holds_nothing_up(stage: Stage) -> None:
    with stage.uploader:
        gone = ObjectRef(uri=stage.objects.uri("runs/r1/gone"), sha256="0", size_bytes=1)
        elsewhere = ObjectRef(uri="s3://elsewhere/runs/r1/x", sha256="0", size_bytes=1)
        await stage.bus.publish(saved("r1", 1, gone, elsewhere))
        key = await stage.save(2, b"2")
        await stage.wait_for_told(ArtifactReplicated, key)
    assert await stage.told(ReplicationFailed) == []


async def test_without_a_remote_it_is_ready_and_says_that_it_idles(
    connect: Connect,
    nats_server: NatsServer,
    s3_server: S3Server,
    objects: ObjectStore,
    tmp_path: Path,
) -> None:
    bus, beats = await connect("trainer"), asyncio.Queue[ServiceBeat]()
    await bus.watch(ServiceBeat, beats.put, "platform")
    with ServiceProcess("uploader", nats_server, s3_server, tmp_path, bucket=objects.bucket):
        async with asyncio.timeout(20):
            while not (beat := await beats.get()).ready:
                continue
    assert beat.detail["remote"] == "not configured"


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"REMOTE_ENDPOINT": "http://far"}, "http://far needs a bucket"),
        (
            {"REMOTE_ENDPOINT": "http://127.0.0.1:8333", "REMOTE_BUCKET": "slipstream"},
            "this platform's own bucket",
        ),
    ],
)
def test_a_remote_that_can_not_work_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], problem: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"DR_UPLOADER_{name}", value)
    with pytest.raises(StartupFailed, match=problem):
        load(UploaderSettings)
