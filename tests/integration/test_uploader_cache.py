"""The local store as a cache: objects go, are still listed, and come back when they are read."""

import asyncio
import io
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from libs.cli.__main__ import app
from libs.common.errors import Unavailable
from libs.common.events import PLATFORM, ObjectBrought, ObjectWanted, RunEnded
from libs.common.multipart import PART_BYTES
from libs.common.objects import ObjectStore
from tests.mirror_stage import Stage, wait
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess

SIZES = (5, PART_BYTES + 5)


@wait
async def wait_for_trim(stage: Stage, size_bytes: int) -> None:
    assert (await stage.ask("/cache"))["size_bytes"] <= size_bytes


async def end_run(stage: Stage, run_id: str = "r1") -> None:
    """End it, and wait until the uploader knows."""
    await stage.bus.publish(RunEnded(run_id=run_id, outcome="finished", reason="done"))
    await wait_for_unprotected(stage)


@wait
async def wait_for_unprotected(stage: Stage) -> None:
    assert (await stage.ask("/cache"))["protected_objects"] == 0


async def test_what_was_evicted_is_listed_and_comes_back_whole(stage: Stage) -> None:
    contents = {f"runs/r1/model/model_{size}.pb": bytes(size) for size in SIZES}
    with stage.uploader:
        for key, data in contents.items():
            await stage.objects.put(key, data)
            assert await stage.save(len(data), data) == key
            await stage.wait_for_state(key, "replicated")
        await end_run(stage)
        before = [entry async for entry in stage.objects.keys("runs/")]
        assert await stage.move("evict") == dict.fromkeys(contents, "")
        assert [entry async for entry in stage.objects.keys("runs/")] == before
        assert (await stage.ask("/cache"))["size_bytes"] == 0
        assert await stage.move("evict") == {}
        for key, data in contents.items():
            with pytest.raises(Unavailable, match="was evicted"):
                await stage.objects.get_key(key)
            wanted = ObjectWanted(run_id=PLATFORM, key=key)
            answer, _ = await stage.bus.request(wanted, ObjectBrought)
            assert answer.problem == ""
            assert await stage.objects.get_key(key) == data
            await stage.wait_for_state(key, "replicated")


async def test_a_service_reads_what_was_evicted_as_if_it_were_there(
    stage: Stage, nats_server: NatsServer, s3_server: S3Server, tmp_path: Path
) -> None:
    angles = np.linspace(0, 2 * np.pi, 60)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    road = io.BytesIO()
    np.save(road, np.hstack([3 * ring, 2.6 * ring, 3.4 * ring]))
    trainer = ServiceProcess(
        "trainer", nats_server, s3_server, tmp_path, bucket=stage.objects.bucket
    )
    stage.uploader.set(DR_UPLOADER_RECONCILE_S="0.5")  # no event tells of a track
    with stage.uploader, trainer:
        async with httpx.AsyncClient(base_url=f"{trainer.url}/v1", timeout=60) as http:
            added = await http.post("/tracks", params={"name": "mine"}, content=road.getvalue())
            assert added.status_code == 201, added.text
            asked = await http.get("/tracks/mine/track.npy")
            key = "tracks/mine.npy"
            await stage.wait_for_state(key, "replicated")
            assert list(await stage.move("evict")) == [key]
            await asyncio.to_thread(trainer.kill)  # what it has in memory
            await asyncio.to_thread(trainer.start)
            again = await http.get("/tracks/mine/track.npy")
            assert again.status_code == 200, again.text
            assert again.content == asked.content


async def test_the_newest_checkpoint_of_a_run_that_goes_on_stays(stage: Stage) -> None:
    with stage.uploader:
        keys = [await stage.save(number, b"weights") for number in (1, 2, 3)]
        for key in keys:
            await stage.wait_for_state(key, "replicated")
        assert await stage.move("evict") == dict.fromkeys(keys[:2], "")
        await end_run(stage)
        assert await stage.move("evict") == {keys[2]: ""}


async def test_nothing_goes_of_which_the_remote_has_no_such_copy(stage: Stage) -> None:
    with stage.uploader:
        keys = [await stage.save(number, b"same size") for number in (1, 2)]
        for key in keys:
            await stage.wait_for_state(key, "replicated")
        await end_run(stage)
        await stage.objects.put("runs/r1/unknown", b"never announced")
        await stage.remote.put(f"backup/{keys[0]}", b"emas size")
        await stage.remote.delete(f"backup/{keys[1]}")
        assert await stage.move("evict") == {}
        assert await stage.objects.get_key(keys[0]) == b"same size"


async def test_above_its_limit_the_cache_gives_up_the_oldest(stage: Stage) -> None:
    stage.uploader.set(DR_UPLOADER_CACHE_MAX_BYTES="2500", DR_UPLOADER_RECONCILE_S="0.2")
    with stage.uploader:
        keys = []
        for number in range(4):
            keys.append(await stage.save(number, bytes(1000)))
            await stage.wait_for_copy(keys[-1], bytes(1000))
        await wait_for_trim(stage, 2500)
        await stage.wait_for_state(keys[0], "evicted")
        assert (await stage.state_of(keys[-1]))["state"] == "replicated"


async def test_a_local_store_that_was_cleared_is_pulled_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DR_UPLOADER_URL", stage.uploader.url)
    with stage.uploader:
        key, other = await stage.save(1, b"one"), await stage.save(1, b"two", "r2")
        for each in (key, other):
            await stage.wait_for_state(each, "replicated")
        for each in (key, other):
            await stage.objects.delete(each)
        pulled = await asyncio.to_thread(CliRunner().invoke, app, ["cache", "pull", "r1"])
        assert pulled.exit_code == 0, pulled.output
        assert await stage.objects.get_key(key) == b"one"
        assert await stage.objects.head(other) is None
        shown = await asyncio.to_thread(CliRunner().invoke, app, ["cache", "status", "--json"])
        assert json.loads(shown.stdout)["objects"] == 1


async def test_without_the_remote_it_is_told_why_an_object_does_not_come_back(
    stage: Stage, far_server: S3Server
) -> None:
    with stage.uploader:
        key = await stage.save(1, b"one")
        await stage.wait_for_state(key, "replicated")
        await end_run(stage)
        await stage.move("evict")
        far_server.kill()
        wanted = ObjectWanted(run_id=PLATFORM, key=key)
        answer, _ = await stage.bus.request(wanted, ObjectBrought, timeout_s=30)
        assert "does not answer" in answer.problem


async def test_without_a_remote_the_cache_is_refused(
    objects: ObjectStore, nats_server: NatsServer, s3_server: S3Server, tmp_path: Path
) -> None:
    with ServiceProcess(
        "uploader", nats_server, s3_server, tmp_path, bucket=objects.bucket
    ) as uploader:
        async with httpx.AsyncClient(base_url=f"{uploader.url}/v1", timeout=60) as http:
            answer = await http.post("/cache/evict", json={})
            assert answer.status_code == 409
            assert "DR_UPLOADER_REMOTE_BUCKET" in answer.text
            assert (await http.get("/uploads")).json()["remote"] == "not configured"
