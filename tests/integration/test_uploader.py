"""The uploader as a process between two real stores, one of which goes away and comes back."""

import asyncio
import json
import random
import resource
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from libs.cli.__main__ import app
from libs.common.config import load
from libs.common.errors import StartupFailed
from libs.common.events import (
    ArtifactReplicated,
    ObjectRef,
    ReplicationFailed,
    ServiceBeat,
)
from libs.common.multipart import PART_BYTES
from libs.common.objects import ObjectStore
from services.uploader.config import UploaderSettings
from tests.conftest import Connect
from tests.faulty_line import FaultyLine
from tests.mirror_stage import Stage, saved, wait
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess


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


@pytest.mark.slow
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


async def test_an_upload_in_parts_goes_on_where_a_crash_left_it(stage: Stage) -> None:
    large = random.Random(1).randbytes(6 * PART_BYTES + 5)
    stage.uploader.set(
        DR_UPLOADER_BANDWIDTH_BYTES_PER_S=str(2 * PART_BYTES), DR_UPLOADER_PARTS_AT_ONCE="1"
    )
    with stage.uploader:
        key = await stage.save(1, large)
        await wait_for_sent(stage, 2 * PART_BYTES)
        stage.uploader.kill()
        await asyncio.to_thread(stage.uploader.start)
        await stage.wait_for_copy(key, large)
        await stage.wait_for_told(ArtifactReplicated, key)
    resumed = [line for line in stage.uploader.log.read_text().splitlines() if "resumed" in line]
    assert len(resumed) == 1
    assert int(json.loads(resumed[0])["parts"]) >= 2


@wait
async def wait_for_sent(stage: Stage, size_bytes: int) -> None:
    transfers = (await stage.ask("/uploads"))["transfers"]
    assert transfers
    assert transfers[0]["sent_bytes"] >= size_bytes


@pytest.mark.slow
async def test_an_object_that_changes_during_its_upload_is_copied_as_it_is_in_the_end(
    stage: Stage,
) -> None:
    before, after = (random.Random(seed).randbytes(4 * PART_BYTES) for seed in (1, 2))
    stage.uploader.set(
        DR_UPLOADER_BANDWIDTH_BYTES_PER_S=str(2 * PART_BYTES), DR_UPLOADER_PARTS_AT_ONCE="1"
    )
    with stage.uploader:
        key = await stage.save(1, before)
        await wait_for_sent(stage, PART_BYTES)
        await stage.objects.put(key, after)
        await stage.wait_for_copy(key, after)
        await stage.wait_for_state(key, "replicated")


@pytest.mark.slow
async def test_a_connection_that_is_reset_again_and_again_loses_nothing(
    stage: Stage, far_server: S3Server
) -> None:
    large = random.Random(3).randbytes(3 * PART_BYTES)
    port = urlsplit(far_server.endpoint).port
    assert port is not None
    async with FaultyLine(port, breaks_after_bytes=PART_BYTES // 2) as line:
        stage.uploader.set(DR_UPLOADER_REMOTE_ENDPOINT=line.endpoint)
        with stage.uploader:
            key = await stage.save(1, large)
            await stage.wait_for_copy(key, large)
        assert line.broken > 0


@pytest.mark.parametrize("name", ["ü ß 日本.txt", "a+b&c=d?e#f%20.txt", "~(quoted) 'it''s'.txt"])
async def test_odd_characters_of_a_key_are_kept(stage: Stage, name: str) -> None:
    key = f"runs/r1/{name}"
    reference = await stage.objects.put(key, name.encode())
    with stage.uploader:
        await stage.bus.publish(saved("r1", 1, reference))
        await stage.wait_for_copy(key, name.encode())


async def test_a_remote_that_refuses_is_told_and_mended_by_a_restart(stage: Stage) -> None:
    stage.uploader.set(DR_UPLOADER_REMOTE_SECRET_KEY="wrong")
    stage.uploader.launch()
    try:
        key = await stage.save(1, b"1")
        await stage.wait_for_told(ReplicationFailed, key)
        missing = await asyncio.to_thread(stage.uploader.wait_until_not_ready)
        assert "refuses the credentials" in missing
        failing = await stage.wait_for_state(key, "failing")
        assert "refuses the credentials" in failing["reason"]
        assert stage.uploader.end() == 0
        stage.uploader.set(DR_UPLOADER_REMOTE_SECRET_KEY=S3Server.secret_key)
        await asyncio.to_thread(stage.uploader.start)
        await stage.wait_for_copy(key, b"1")
    finally:
        stage.uploader.kill()


async def test_a_ledger_that_is_broken_is_begun_anew(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "uploader.sqlite").write_bytes(b"no database" * 1000)
    with stage.uploader:
        key = await stage.save(1, b"1")
        await stage.wait_for_state(key, "replicated")
    assert (tmp_path / "uploader.broken").exists()


@pytest.mark.slow
async def test_a_full_disk_ends_no_uploader_and_what_it_holds_up_follows(
    stage: Stage, tmp_path: Path
) -> None:
    with stage.uploader:
        first = await stage.save(1, b"1")
        await stage.wait_for_state(first, "replicated")
        pid, unlimited = stage.uploader.process.pid, (resource.RLIM_INFINITY,) * 2
        most = (tmp_path / "uploader.sqlite-wal").stat().st_size  # its log file is smaller
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        second = await stage.save(2, b"2")
        await wait_for_failure(stage, second)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        await stage.wait_for_copy(second, b"2")
        await stage.wait_for_state(second, "replicated")
        assert stage.uploader.process.poll() is None


@wait
async def wait_for_failure(stage: Stage, key: str) -> None:
    told = {event.source.uri for event in await stage.told(ReplicationFailed)}
    assert stage.objects.uri(key) in told


async def test_an_outage_is_told_by_readyz_until_it_is_over(
    stage: Stage, far_server: S3Server
) -> None:
    with stage.uploader:
        far_server.kill()
        key = await stage.save(1, b"1")
        missing = await asyncio.to_thread(stage.uploader.wait_until_not_ready)
        assert "the backlog waits" in missing
        await asyncio.to_thread(far_server.start)
        await stage.wait_for_copy(key, b"1")
        await asyncio.to_thread(stage.uploader.wait_until_ready)


async def test_the_command_line_shows_how_the_mirror_stands(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DR_UPLOADER_URL", stage.uploader.url)
    with stage.uploader:
        key = await stage.save(1, b"small")
        await stage.wait_for_state(key, "replicated")
        shown = await asyncio.to_thread(CliRunner().invoke, app, ["uploads", "--json"])
        assert shown.exit_code == 0, shown.output
        document = json.loads(shown.stdout)
        assert document["totals"]["replicated"] == {"objects": 1, "size_bytes": 5}
        assert [upload["key"] for upload in document["uploads"]] == [key]
        table = await asyncio.to_thread(CliRunner().invoke, app, ["uploads", "--follow"])
        assert "model_1.pb" in table.stdout
        refused = await asyncio.to_thread(CliRunner().invoke, app, ["uploads", "--state", "lost"])
        assert "'lost'" in str(refused.exception)


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
