"""The live page: follows the runs that someone looks at, and pushes what changes."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from prometheus_client.core import Metric

from libs.common.errors import NotFound, StartupFailed, Unavailable
from libs.common.events import CameraSeen, CarsMoved, FilmWish, ServiceBeat
from libs.common.metrics import gauge
from libs.common.service import Service
from libs.common.tasks import end
from libs.common.tracks import load_built_in, parse_npy
from services.streamer.air import Air
from services.streamer.api import add_routes
from services.streamer.assets import plotly_script
from services.streamer.broadcast import BroadcastRequest, BroadcastShown
from services.streamer.catalogue import Catalogue, RunList
from services.streamer.config import StreamerSettings
from services.streamer.films import FilmDesk, FilmShown, FilmsShown
from services.streamer.heartbeats import Heartbeats, ServiceShown, ServicesShown, Targets
from services.streamer.life import LIFE_EVENTS
from services.streamer.relay import Relay
from services.streamer.run_watch import RunWatch
from services.streamer.track_shape import TrackShape, shape_of
from services.streamer.viewers import Topic, Viewer

ANNOUNCE_S = 2.0
"""Simulators publish poses and pictures for 5 s after they heard that a run is watched."""
TIDY_S = 1.0
KEEP_ALIVE_S = 15.0
"""Something is sent at least so often, so that no proxy takes a quiet stream for a dead one."""
SEND_BUFFER_BYTES = 128 * 1024
"""Of each viewer's socket: what lies there is old when a slow viewer comes to take it."""
PUSHED_RUNS = 200
"""So many runs are in the picker; `GET /v1/runs` gives more."""


class Streamer(Service[StreamerSettings]):
    """One process for any number of viewers of any number of runs."""

    name = "streamer"

    def __init__(self, settings: StreamerSettings) -> None:
        super().__init__(settings)
        if not plotly_script().is_file():
            raise StartupFailed("plotly is not installed; install slipstream[streamer]")
        self.viewers: set[Viewer] = set()
        self._catalogue = Catalogue()
        self._listed_until = 0
        self._heartbeats = Heartbeats()
        self._watches: dict[str, tuple[RunWatch, asyncio.Task[None]]] = {}
        self._services_shown: list[ServiceShown] = []
        self._services_told_s = 0.0
        self._runs = Topic.of_value("runs", lambda: self.runs(PUSHED_RUNS))
        self._services = Topic.of_value("services", self.services)
        self._relay: Relay | None = None
        self.air = Air(settings.state_dir / "video", settings.stream_key, settings.most_broadcasts)

    async def start(self) -> None:
        """Read which runs there are, and listen to telemetry."""
        self._films = FilmDesk(self.bus)
        await asyncio.to_thread(self.air.sweep)
        async for received in self.bus.follow(classes=LIFE_EVENTS, live=False):
            self._catalogue.apply(received.message)
            self._listed_until = received.sequence
            await asyncio.sleep(0)
        await self.bus.watch(CarsMoved, self.on_cars_moved)
        await self.bus.watch(CameraSeen, self.on_camera_seen)
        await self.bus.watch(ServiceBeat, self.on_service_beat)

    async def work(self) -> None:
        """Keep the list of runs, ask for telemetry, let go of what nobody looks at."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._announce())
            group.create_task(self._tidy())
            runs = self.bus.follow(classes=LIFE_EVENTS, after=self._listed_until)
            async for received in runs:
                self._catalogue.apply(received.message)
                self._listed_until = received.sequence
                self._runs.change()

    async def stop(self) -> None:
        """End every viewer's stream; pages come back by themselves."""
        if self._relay is not None:
            await self._relay.close()
        await self.air.close_all()
        for viewer in list(self.viewers):
            viewer.close()
        await end(*(task for _, task in self._watches.values()))

    def routes(self, app: FastAPI) -> None:
        """The page and its API."""
        add_routes(app, self)

    def detail(self) -> dict[str, Any]:
        """How many look at how many runs."""
        return {"viewers": len(self.viewers), "watched_runs": len(self._watches)}

    def measures(self) -> Iterable[Metric]:
        """Who looks."""
        yield gauge("slipstream_viewers", "Pages that are open.", len(self.viewers))
        yield gauge("slipstream_watched_runs", "Runs that are followed.", len(self._watches))

    def _bind(self) -> socket.socket:
        listener = super()._bind()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        return listener

    # -- handlers --------------------------------------------------------------------------

    async def on_cars_moved(self, message: CarsMoved) -> None:
        """Poses of a run; of those that nobody looks at they are let go."""
        if watched := self._watches.get(message.run_id):
            watched[0].move(message)

    async def on_camera_seen(self, message: CameraSeen) -> None:
        """A picture of a run."""
        if watched := self._watches.get(message.run_id):
            watched[0].see(message)

    async def on_service_beat(self, message: ServiceBeat) -> None:
        """A service lives."""
        self._heartbeats.beat(message, time.monotonic())

    # -- what the routes ask for -----------------------------------------------------------

    def runs(self, limit: int) -> RunList:
        """What is running first, then the newest."""
        return self._catalogue.newest(limit)

    def services(self) -> ServicesShown:
        """The health of every replica."""
        return ServicesShown(services=self._heartbeats.shown(time.monotonic()))

    def targets(self) -> list[Targets]:
        """Where Prometheus reads the metrics of every replica."""
        return self._heartbeats.targets(time.monotonic())

    async def broadcast(self, run_id: str, asked: BroadcastRequest) -> BroadcastShown:
        """
        Show a run as video from now on.

        Raises:
            NotFound: no such run.
            Conflict: there are as many broadcasts as there may be.
            InvalidInput, Unavailable: no key, or no ffmpeg.
        """
        watch, track = await self.watched(run_id), None
        with suppress(NotFound):
            track = await self.track(run_id)
        return await self.air.begin(watch, track, asked)

    async def film(self, run_id: str, wish: FilmWish) -> FilmShown:
        """
        Have a past episode made into a film.

        Raises:
            NotFound: no such run, or its events no longer tell its track.
        """
        board = (await self.watched(run_id)).scoreboard
        if board.track is None or board.spec is None:
            raise NotFound(f"the events of run {run_id!r} that are kept do not tell its track")
        return await self._films.ask(run_id, wish, board.spec, board.track)

    async def films(self, run_id: str) -> FilmsShown:
        """The films of a run. Raises `NotFound` where there is no such run."""
        self._watch(run_id)  # it is there
        return await self._films.films(run_id)

    def relay(self) -> Relay:
        """Hands requests on to the trainer."""
        if self._relay is None:
            self._relay = Relay(self._url_of)
        return self._relay

    def _url_of(self, service: str) -> str | None:
        set_by_hand = self.settings.trainer_url.rstrip("/") if service == "trainer" else ""
        return set_by_hand or self._heartbeats.url_of(service, time.monotonic())

    async def watched(self, run_id: str) -> RunWatch:
        """
        The run with all its stored events applied; it is followed from now on.

        Raises:
            NotFound: no run has this name.
            Unavailable: the service is starting or stopping.
        """
        watch = self._watch(run_id)
        await watch.caught_up.wait()
        return watch

    async def track(self, run_id: str) -> TrackShape:
        """
        The shape of the run's track, from the built-in ones or the store.

        Raises:
            NotFound: no such run, or its events no longer tell its track.
        """
        board = (await self.watched(run_id)).scoreboard
        if board.track is None or board.spec is None:
            raise NotFound(f"the events of run {run_id!r} that are kept do not tell its track")
        clockwise = board.spec.race.direction == "clockwise"
        name, source = board.track.name, board.track.source
        if source is None:
            return shape_of(await asyncio.to_thread(load_built_in, name), clockwise)
        data = await self.objects.get(source)
        return shape_of(await asyncio.to_thread(parse_npy, name, data), clockwise)

    @asynccontextmanager
    async def viewer(self, run_id: str | None, *, saliency: bool = False) -> AsyncIterator[Viewer]:
        """
        Somebody who looks at this run, or at the list of runs alone.

        With `saliency` they want to see what in the camera's pictures weighs most.
        """
        self._refuse_unless_ready()
        with ExitStack() as wishes:
            viewer = await self._seat(run_id, wishes, saliency)
            self.viewers.add(viewer)
            try:
                yield viewer
            finally:
                viewer.close()
                self.viewers.discard(viewer)

    # -- inside ----------------------------------------------------------------------------

    async def _seat(self, run_id: str | None, wishes: ExitStack, saliency: bool) -> Viewer:
        topics = [self._runs, self._services]
        if run_id is None:
            return Viewer(topics, lambda: self._listed_until)
        watch = self._watch(run_id)  # a long run is shown while it is being read
        watch.touch()
        if saliency:
            wishes.enter_context(watch.wanting_saliency())
        await watch.announce()  # pictures within a moment, not with the next round
        return Viewer([*topics, *watch.topics], lambda: watch.scoreboard.sequence)

    def _watch(self, run_id: str) -> RunWatch:
        self._refuse_unless_ready()
        if run_id not in self._catalogue:
            raise NotFound(f"no run {run_id!r}; GET /v1/runs lists those there are")
        if run_id not in self._watches:
            watch = RunWatch(run_id, self.bus)
            task = asyncio.create_task(watch.follow(), name=f"follow {run_id}")
            self._watches[run_id] = (watch, task)
        return self._watches[run_id][0]

    def _refuse_unless_ready(self) -> None:
        if not self.ready:
            raise Unavailable("the streamer is starting or stopping; try again in a second")

    async def _announce(self) -> None:
        while True:
            for watch, _ in list(self._watches.values()):
                await watch.announce()
            await asyncio.sleep(ANNOUNCE_S)

    async def _tidy(self) -> None:
        while True:
            for run_id, (watch, task) in list(self._watches.items()):
                if task.done():
                    task.result()  # it ends by an error only, and that ends the service
                watch.expire()
                if watch.idle_s() > self.settings.linger_s:
                    del self._watches[run_id]
                    await end(task)
            self._tell_services()
            await asyncio.sleep(TIDY_S)

    def _tell_services(self) -> None:
        shown, now_s = self.services().services, time.monotonic()
        if shown != self._services_shown or now_s - self._services_told_s > KEEP_ALIVE_S:
            self._services_shown, self._services_told_s = shown, now_s
            self._services.change()
