"""One run that someone looks at: its events and telemetry, shared by all its viewers."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import stamina

from libs.common.bus import Bus, Received
from libs.common.errors import Unavailable
from libs.common.events import CameraSeen, CarsMoved, RunWatched
from services.streamer.camera import Camera
from services.streamer.scoreboard import SCORED_EVENTS, Scoreboard
from services.streamer.shown import Shown
from services.streamer.traffic import CarShown, Traffic
from services.streamer.viewers import Topic

TOUCHED_FOR_S = 5.0
"""Whoever fetches single pictures looks for so long; simulators stop as long after `RunWatched`."""


class CarsShown(Shown):
    """All cars that drive now."""

    cars: list[CarShown]


class RunWatch:
    """Follows one run, from its first event on."""

    def __init__(self, run_id: str, bus: Bus) -> None:
        self.run_id = run_id
        self.scoreboard = Scoreboard(run_id)
        self.camera = Camera()
        self.caught_up = asyncio.Event()
        self._bus = bus
        self._traffic = Traffic()
        self._wanted_at_s = time.monotonic()
        self._touched_at_s = -TOUCHED_FOR_S
        self._curious = 0  # viewers who want to see what weighs most in the pictures
        board = self.scoreboard
        self._cars = Topic.of_value("cars", lambda: CarsShown(cars=self._traffic.cars()))
        self._pictures = Topic.of_value("camera", self.camera.shown)
        self._scores = [
            Topic.of_value("figures", lambda: board.figures(self.caught_up.is_set())),
            Topic("curves", board.curves.since),
            Topic("paths", board.paths.since),
        ]

    @property
    def topics(self) -> list[Topic]:
        """What a viewer of this run sees."""
        return [*self._scores, self._cars, self._pictures]

    def cars(self) -> list[CarShown]:
        """Every car that drives now."""
        return self._traffic.cars()

    @property
    def looked_at(self) -> bool:
        """Whether poses and pictures are wanted now."""
        touched = time.monotonic() - self._touched_at_s < TOUCHED_FOR_S
        return touched or bool(self._cars.viewers)

    def touch(self) -> None:
        """Someone comes, or fetched a single picture and may come again for the next."""
        self._touched_at_s = time.monotonic()

    def idle_s(self) -> float:
        """How long nobody has looked; who waits for the first figures looks, too."""
        now_s = time.monotonic()
        if self.looked_at or not self.caught_up.is_set():
            self._wanted_at_s = now_s
        return now_s - self._wanted_at_s

    async def follow(self) -> None:
        """Apply what is stored, then what comes, until cancelled."""
        await self._replay()
        self.caught_up.set()
        self._change()
        after = self.scoreboard.sequence
        await self._apply(self._bus.follow(self.run_id, classes=SCORED_EVENTS, after=after))

    @stamina.retry(on=Unavailable, attempts=None, timeout=None, wait_max=2.0)
    async def _replay(self) -> None:
        after = self.scoreboard.sequence
        past = self._bus.follow(self.run_id, classes=SCORED_EVENTS, after=after, live=False)
        await self._apply(past)

    async def _apply(self, events: AsyncIterator[Received]) -> None:
        async for received in events:
            self.scoreboard.apply(received.message, received.sequence)
            self._change()
            await asyncio.sleep(0)  # a whole batch of episodes would hold the event loop up

    async def announce(self) -> None:
        """Ask the simulators for poses and pictures, as long as someone looks."""
        if self.looked_at:
            await self._bus.publish(RunWatched(run_id=self.run_id, saliency=self._curious > 0))

    @contextmanager
    def wanting_saliency(self) -> Iterator[None]:
        """One viewer more who wants to see what weighs most in the pictures."""
        self._curious += 1
        try:
            yield
        finally:
            self._curious -= 1

    def move(self, message: CarsMoved) -> None:
        """Cars drove on."""
        self._traffic.move(message, time.monotonic())
        self._cars.change()

    def see(self, message: CameraSeen) -> None:
        """The first car's camera took a picture."""
        self.camera.seen = message
        self._pictures.change()

    def expire(self) -> None:
        """Take cars off the map that nobody tells of any more."""
        if self._traffic.expire(time.monotonic()):
            self._cars.change()

    def _change(self) -> None:
        for topic in self._scores:
            topic.change()
