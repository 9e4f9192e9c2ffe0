"""The streamer as a process on the real bus and store, asked as a browser asks."""

import asyncio
import json
import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse

from libs.common.bus import Bus
from libs.common.events import CameraSeen, RunWatched, TrackRef
from libs.common.objects import ObjectStore
from libs.common.tracks import load_built_in
from services.streamer.paths import POINTS
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess
from tests.staged_run import StagedRun

Check = Callable[[Any], bool]


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One for all tests here, each with a run of its own; one test kills it and starts it anew."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


def streamer_on(nats: NatsServer, s3: S3Server, state: Path) -> ServiceProcess:
    return ServiceProcess("streamer", nats, s3, state, bucket="streamer-tests")


@pytest.fixture(scope="module")
def streamer(
    nats: NatsServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    with streamer_on(nats, s3_server, tmp_path_factory.mktemp("streamer")) as process:
        yield process


@pytest.fixture
async def http(streamer: ServiceProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=streamer.url, timeout=20) as client:
        yield client


@pytest.fixture
async def run(nats: NatsServer) -> AsyncIterator[StagedRun]:
    trainer = await Bus.connect(nats.url, "trainer")
    simulator = await Bus.connect(nats.url, "simulator")
    yield StagedRun(trainer, simulator, f"run-{uuid4().hex[:8]}")
    for bus in (trainer, simulator):
        await bus.drain(2.0)
        await bus.close()


@asynccontextmanager
async def events_of(http: httpx.AsyncClient, path: str) -> AsyncIterator["Events"]:
    async with aconnect_sse(http, "GET", path) as source:
        yield Events(source.aiter_sse())


class Events:
    """A stream of server-sent events; each topic is read by itself, in its order."""

    def __init__(self, events: AsyncIterator[ServerSentEvent]) -> None:
        self._events = events
        self._unread: defaultdict[str, deque[Any]] = defaultdict(deque)
        self.ids: list[int] = []

    async def until(self, topic: str, check: Check = lambda _: True) -> Any:
        """The next value of the topic that passes the check."""
        async with asyncio.timeout(20):
            while True:
                while self._unread[topic]:
                    if check(value := self._unread[topic].popleft()):
                        return value
                await self._read()

    async def _read(self) -> None:
        event = await anext(self._events, None)
        assert event is not None, "the stream ended"
        self._unread[event.event].append(json.loads(event.data))
        if event.id:
            self.ids.append(int(event.id))


async def wait_until_listed(http: httpx.AsyncClient, run_id: str) -> None:
    async with events_of(http, "/v1/live") as events:
        await events.until("runs", lambda v: run_id in {run["run_id"] for run in v["runs"]})


async def begin(run: StagedRun, http: httpx.AsyncClient) -> None:
    await run.queue()
    await run.start()
    await wait_until_listed(http, run.run_id)


async def test_a_viewer_gets_what_is_stored_and_then_each_change(
    http: httpx.AsyncClient, run: StagedRun
) -> None:
    await begin(run, http)
    await run.iterate(3, progress_pct=40.0)
    async with events_of(http, f"/v1/live/{run.run_id}") as events:
        hello = await events.until("hello")
        assert hello["run_id"] == run.run_id
        figures = await events.until("figures", lambda v: v["complete"])
        assert figures["session"]["status"] == "running"
        assert figures["session"]["episodes"] == 3
        assert (await events.until("curves", lambda v: v["rows"] != []))["start"] == 0

        await run.iterate(1, progress_pct=100.0)
        curves = await events.until("curves", lambda v: v["rows"] != [])
        assert curves["start"] == 1
        figures = await events.until("figures", lambda v: v["session"]["iterations"] == 2)
        assert figures["peaks"]["fastest_lap_s"]["episode"] == 3
        assert events.ids == sorted(events.ids)


async def test_step_columns_do_not_go_to_the_browser(
    http: httpx.AsyncClient, run: StagedRun
) -> None:
    await begin(run, http)
    await run.iterate(1, progress_pct=100.0)
    async with events_of(http, f"/v1/live/{run.run_id}") as events:
        path = (await events.until("paths", lambda v: v["paths"] != []))["paths"][0]
    assert set(path) == {"episode", "phase", "status", "points", "speeds_mps", "rewards"}
    assert {len(path[name]) <= POINTS for name in ("points", "speeds_mps", "rewards")} == {True}


async def test_poses_and_pictures_are_asked_for_only_while_someone_looks(
    http: httpx.AsyncClient, run: StagedRun
) -> None:
    asked: asyncio.Queue[RunWatched] = asyncio.Queue()
    await run.simulator.watch(RunWatched, asked.put, run.run_id)
    await begin(run, http)
    assert (await http.get(f"/v1/runs/{run.run_id}/scoreboard")).status_code == 200
    async with events_of(http, f"/v1/live/{run.run_id}") as events, asyncio.timeout(20):
        await asked.get()
        assert asked.empty()  # neither the list nor the figures had asked
        await run.move(1.0)
        cars = (await events.until("cars", lambda v: v["cars"] != []))["cars"]
        assert [car["car"] for car in cars] == list(range(8))
        assert (await events.until("camera", lambda v: v["jpeg"] != ""))["width"] == 320
        await asked.get()  # and again, for as long as someone looks


async def test_single_pictures_can_be_fetched(http: httpx.AsyncClient, run: StagedRun) -> None:
    await begin(run, http)
    answer = await http.get(f"/v1/runs/{run.run_id}/camera.jpg")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    async with events_of(http, f"/v1/live/{run.run_id}") as events:
        await run.move(0.0)
        await events.until("camera", lambda v: v["jpeg"] != "")
        picture = await http.get(f"/v1/runs/{run.run_id}/camera.jpg")
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content.startswith(b"\xff\xd8")


async def test_a_slow_viewer_delays_nobody_and_skips_what_is_old(
    http: httpx.AsyncClient, streamer: ServiceProcess, run: StagedRun
) -> None:
    await begin(run, http)
    slow = StalledViewer(streamer.url, f"/v1/live/{run.run_id}")
    async with events_of(http, f"/v1/live/{run.run_id}") as fast:
        await fast.until("curves")
        for number in range(PICTURES):
            await run.simulator.publish(large_picture(run.run_id, number))
            await fast.until("camera", partial(is_of_width, number))
        await run.iterate(2)
        await fast.until("figures", lambda v: v["session"]["iterations"] == 1)
    text = await asyncio.to_thread(slow.read_until, b'"iterations":1')
    assert text.count(b"event: camera") < PICTURES / 2


PICTURES = 40
"""Of 600 kB each: no socket buffers so much for a viewer that takes nothing."""


def is_of_width(width: int, picture: Any) -> bool:
    return bool(picture["width"] == width)


def large_picture(run_id: str, number: int) -> CameraSeen:
    jpeg = b"\xff\xd8" + bytes(450_000)
    return CameraSeen(run_id=run_id, car=0, width=number, height=1, jpeg=jpeg)


class StalledViewer:
    """A browser that opened the stream and then took nothing for long."""

    def __init__(self, url: str, path: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._socket.settimeout(20)
        self._socket.connect((host, int(port)))
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    def read_until(self, mark: bytes) -> bytes:
        """Everything up to the chunk that holds the mark."""
        text = b""
        with self._socket:
            while mark not in text:
                chunk = self._socket.recv(65536)
                assert chunk, "the stream ended"
                text += chunk
        return text


async def test_the_track_comes_from_the_built_in_ones_or_from_the_store(
    http: httpx.AsyncClient, run: StagedRun, objects: ObjectStore
) -> None:
    await begin(run, http)
    shape = (await http.get(f"/v1/runs/{run.run_id}/track")).json()
    assert (shape["name"], shape["length_m"]) == ("loop", 17.694)

    own = load_built_in("oval")
    imported = StagedRun(run.trainer, run.simulator, f"{run.run_id}-own", track=own)
    stored = await objects.put("tracks/own.npy", own.to_npy())
    imported.reference = TrackRef(name="own", source=stored)
    await begin(imported, http)
    shape = (await http.get(f"/v1/runs/{imported.run_id}/track")).json()
    assert (shape["name"], len(shape["centre"])) == ("own", len(own.centre))


async def test_a_run_that_does_not_exist_is_told_as_a_problem(http: httpx.AsyncClient) -> None:
    paths = ("live/nope", "runs/nope/scoreboard", "runs/nope/track", "runs/nope/camera.jpg")
    for path in paths:
        answer = await http.get(f"/v1/{path}")
        assert answer.status_code == 404
        assert "no run 'nope'" in answer.json()["detail"]
    assert (await http.get("/v1/runs/../etc")).status_code == 404
    assert (await http.get("/v1/runs/UPPER/track")).status_code == 422


async def test_everything_of_the_page_is_served_here(http: httpx.AsyncClient) -> None:
    for path in ("/", "/runs/anything"):
        page = await http.get(path)
        assert page.headers["content-security-policy"].startswith("default-src 'self'")
        assert "http://" not in page.text
        assert "https://" not in page.text
    script = await http.get("/static/plotly.min.js")
    assert len(script.content) > 1_000_000
    again = await http.get("/static/app.js")
    unchanged = await http.get("/static/app.js", headers={"If-None-Match": again.headers["etag"]})
    assert unchanged.status_code == 304


async def test_figures_go_on_after_the_bus_was_killed(
    http: httpx.AsyncClient, run: StagedRun, nats: NatsServer
) -> None:
    await begin(run, http)
    await run.iterate(2)
    async with events_of(http, f"/v1/live/{run.run_id}") as events:
        await events.until("figures", lambda v: v["session"]["iterations"] == 1)
        nats.kill()
        publishing = asyncio.create_task(run.iterate(2))
        await asyncio.to_thread(nats.start)
        await publishing
        figures = await events.until("figures", lambda v: v["session"]["iterations"] == 2)
    assert figures["session"]["episodes"] == 4


async def test_a_service_that_is_there_is_shown_ready(http: httpx.AsyncClient) -> None:
    async with events_of(http, "/v1/live") as events:
        shown = await events.until("services", lambda v: v["services"] != [])
    assert [(one["service"], one["state"]) for one in shown["services"]] == [("streamer", "ready")]


async def test_it_ends_cleanly_while_someone_looks(
    nats: NatsServer, s3_server: S3Server, run: StagedRun, tmp_path: Path
) -> None:
    with streamer_on(nats, s3_server, tmp_path) as streamer:
        async with httpx.AsyncClient(base_url=streamer.url, timeout=20) as http:
            await begin(run, http)
            async with events_of(http, f"/v1/live/{run.run_id}") as events:
                await events.until("figures")
                ending = asyncio.create_task(asyncio.to_thread(streamer.end))
                with pytest.raises(AssertionError, match="the stream ended"):
                    await events.until("never")
        assert await ending == 0
        assert "Traceback" not in streamer.log.read_text()
