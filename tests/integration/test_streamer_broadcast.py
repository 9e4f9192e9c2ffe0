"""A run as video: real ffmpeg, read back with ffprobe."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from libs.common.events import FilmEpisode, FilmFailed, FilmMade, ObjectRef
from libs.common.tasks import end
from tests.conftest import Connect
from tests.mirror_stage import wait
from tests.servers import NatsServer, S3Server, free_port
from tests.service_process import ServiceProcess
from tests.staged_run import StagedRun

pytestmark = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffmpeg is not installed")

RUN = "filmed"


@pytest.fixture
async def http(
    connect: Connect, nats_server: NatsServer, s3_server: S3Server, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """The API of a streamer, while a run goes on."""
    run = StagedRun(await connect("trainer"), await connect("simulator"), RUN)
    streamer = ServiceProcess(
        "streamer",
        nats_server,
        s3_server,
        tmp_path,
        bucket="broadcast-tests",
        PATH="/usr/local/bin:/usr/bin:/bin",
        DR_STREAMER_STREAM_KEY="top-secret",
    )
    with streamer:
        await run.queue()
        await run.start()
        driving = asyncio.create_task(run.keep_moving())
        async with httpx.AsyncClient(base_url=f"{streamer.url}/v1", timeout=30) as client:
            await known(client)
            yield client
        await end(driving)


@wait
async def known(http: httpx.AsyncClient) -> None:
    assert RUN in (await http.get("/runs")).text


async def begin(http: httpx.AsyncClient, **asked: object) -> dict[str, Any]:
    answer = await http.post(f"/runs/{RUN}/broadcasts", json=asked)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@wait
async def state_of(http: httpx.AsyncClient, name: str, state: str) -> dict[str, Any]:
    shown = {one["id"]: one for one in (await http.get("/broadcasts")).json()}
    assert shown[name]["state"] == state, shown
    return dict(shown[name])


async def probe(source: str, seconds: int = 3) -> dict[str, Any]:
    """What ffprobe finds in some seconds of video."""
    command = ["ffprobe", "-v", "error", "-of", "json", "-select_streams", "v:0"]
    command += ["-read_intervals", f"%+{seconds}", "-show_entries"]
    command += ["stream=codec_name,width,height,r_frame_rate:packet=pts_time", source]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60 + seconds):
        out, _ = await process.communicate()
    found: dict[str, Any] = json.loads(out)
    return found


def assert_is_video(found: dict[str, Any], width: int, height: int, least: int = 15) -> None:
    (stream,) = found["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", width, height)
    assert stream["r_frame_rate"] == "15/1"
    times_s = [float(packet["pts_time"]) for packet in found["packets"]]
    steps_s = [late - early for early, late in zip(times_s, times_s[1:], strict=False)]
    assert len(steps_s) > least
    assert all(abs(step - 1 / 15) < 0.002 for step in steps_s), "a frame is missing"


async def test_a_udp_stream_is_video_without_a_gap(http: httpx.AsyncClient) -> None:
    port = free_port()
    watching = asyncio.create_task(probe(f"udp://127.0.0.1:{port}?timeout=30000000"))
    begun = await begin(http, target=f"udp://127.0.0.1:{port}", size="640x480")
    assert_is_video(await watching, 640, 480)
    assert (await state_of(http, begun["id"], "on air"))["restarts"] == 0
    assert (await http.delete(f"/broadcasts/{begun['id']}")).status_code == 204
    assert (await http.get("/broadcasts")).json() == []


@pytest.mark.slow
async def test_a_minute_of_video_has_no_gap(http: httpx.AsyncClient) -> None:
    port = free_port()
    watching = asyncio.create_task(probe(f"udp://127.0.0.1:{port}?timeout=30000000", seconds=60))
    begun = await begin(http, target=f"udp://127.0.0.1:{port}", size="1280x720")
    assert_is_video(await watching, 1280, 720, least=59 * 15)
    shown = await state_of(http, begun["id"], "on air")
    assert shown["restarts"] == 0
    assert shown["on_air_since_s"] is not None
    assert 14 < shown["frames_per_s"] < 16


@pytest.mark.slow
async def test_hls_is_played_from_the_streamer_and_ffmpeg_that_dies_is_begun_again(
    http: httpx.AsyncClient,
) -> None:
    begun = await begin(http)
    playlist = str(http.base_url).removesuffix("/v1/") + begun["playlist"]
    await playable(playlist)
    assert_is_video(await probe(playlist), 1280, 720)
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "ffmpeg" and begun["id"] in str(process.info["cmdline"]):
            process.kill()
    await restarted(http, begun["id"])
    await playable(playlist)


@wait
async def playable(playlist: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(playlist)
    assert answer.status_code == 200
    assert re.search(r"^index\d+\.ts$", answer.text, re.MULTILINE)


@wait
async def restarted(http: httpx.AsyncClient, name: str) -> None:
    (shown,) = [one for one in (await http.get("/broadcasts")).json() if one["id"] == name]
    assert shown["restarts"] > 0
    assert shown["state"] == "on air"


async def test_a_target_that_is_not_there_is_told_and_tried_again_without_its_key(
    http: httpx.AsyncClient,
) -> None:
    target = f"rtmp://127.0.0.1:{free_port()}/app/{{key}}"
    begun = await begin(http, target=target)
    shown = await state_of(http, begun["id"], "retrying")
    assert shown["problem"].startswith("nobody listens at the target")
    assert "top-secret" not in json.dumps(shown)
    assert shown["target"] == target


@pytest.mark.slow
async def test_a_target_that_hangs_up_makes_one_think_of_the_key(http: httpx.AsyncClient) -> None:
    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        begun = await begin(http, target=f"rtmp://127.0.0.1:{port}/app/{{key}}")
        shown = await state_of(http, begun["id"], "retrying")
    assert "is the key right?" in shown["problem"]
    assert "top-secret" not in shown["problem"]


@pytest.mark.slow
async def test_a_full_disk_is_told_in_words(http: httpx.AsyncClient) -> None:
    port = urlsplit(str(http.base_url)).port
    [streamer] = {
        process.pid
        for process in psutil.process_iter(["cmdline", "environ"])
        if "services.streamer" in (process.info["cmdline"] or ())
        and (process.info["environ"] or {}).get("DR_STREAMER_PORT") == str(port)
    }
    # No file of it, nor of the ffmpeg that it begins, may become larger: as on a disk with a quota.
    psutil.Process(streamer).rlimit(psutil.RLIMIT_FSIZE, (100_000, 100_000))
    begun = await begin(http, size="640x480")
    shown = await state_of(http, begun["id"], "retrying")
    assert shown["problem"].startswith("the disk is full")
    figures = await http.get(f"/runs/{RUN}/scoreboard")
    assert figures.status_code == 200


async def test_other_targets_are_refused(http: httpx.AsyncClient) -> None:
    for target in ("file:///etc/x", "udp://", "http://x/y", "/tmp/x.mp4"):
        answer = await http.post(f"/runs/{RUN}/broadcasts", json={"target": target})
        assert answer.status_code == 422, target
        assert "accepted: hls, udp://" in answer.text


async def test_there_are_no_more_broadcasts_than_may_be(http: httpx.AsyncClient) -> None:
    for _ in range(2):
        await begin(http, target=f"udp://127.0.0.1:{free_port()}", size="640x480")
    answer = await http.post(f"/runs/{RUN}/broadcasts", json={})
    assert answer.status_code == 409
    assert "DR_STREAMER_MOST_BROADCASTS" in answer.text


async def test_a_film_is_asked_for_and_what_came_of_it_is_told(
    http: httpx.AsyncClient, connect: Connect
) -> None:
    wishes: asyncio.Queue[FilmEpisode] = asyncio.Queue()
    simulator = await connect("simulator")
    await simulator.subscribe(FilmEpisode, wishes.put, durable="simulators-films")
    for view in ("camera-pip", "camera-45degree"):
        answer = await http.post(f"/runs/{RUN}/films", json={"episode": 0, "view": view})
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "being made"
        wish = await asyncio.wait_for(wishes.get(), 10)
        assert (wish.wish.view, wish.spec.name) == (view, RUN)
        told = {"run_id": RUN, "film_id": wish.film_id, "wish": wish.wish}
        if view == "camera-pip":
            film = ObjectRef(uri="s3://b/film.mp4", sha256="0" * 64, size_bytes=9)
            made = {"phase": "training", "episode": 0, "path": "mp4/camera-pip/0-video.mp4"}
            lengths = {"pictures": 30, "duration_s": 2.0}
            await simulator.publish(FilmMade(**told, **made, **lengths, artifacts=(film,)))
        else:
            await simulator.publish(FilmFailed(**told, reason="no poses"))
    films = (await http.get(f"/runs/{RUN}/films")).json()["films"]
    states = [(film["state"], film["reason"], film["size_bytes"]) for film in films]
    assert states == [("failed", "no poses", None), ("made", None, 9)]
    for refused in ({"episode": "worst"}, {"view": "camera-7"}, {"size": "641x480"}):
        answer = await http.post(f"/runs/{RUN}/films", json=refused)
        assert answer.status_code == 422, refused
        assert str(next(iter(refused.values()))) in answer.text


async def test_the_camera_comes_as_mjpeg(http: httpx.AsyncClient) -> None:
    pictures, rest = 0, b""
    async with asyncio.timeout(30), http.stream("GET", f"/runs/{RUN}/camera.mjpg") as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
        async for piece in answer.aiter_bytes():
            rest += piece
            if (pictures := rest.count(b"\xff\xd8\xff")) >= 3:
                break
    assert pictures >= 3
    assert rest.startswith(b"--slipstream-picture\r\nContent-Type: image/jpeg")
