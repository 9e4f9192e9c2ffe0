"""The logger: every event into its run's journal, and DeepRacer's files from the journals."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client.core import Metric

from libs.common.bus import Kept
from libs.common.errors import NotFound, StartupFailed, Unavailable
from libs.common.events import PLATFORM, ReplicationAsked, ReplicationTold
from libs.common.journal import Journals, Line
from libs.common.journal_reading import (
    Entry,
    journal_exists,
    journal_path,
)
from libs.common.metrics import counter, gauge
from libs.common.segments import SegmentAway
from libs.common.service import Service
from services.logger.api import add_routes
from services.logger.archive import Archive
from services.logger.config import LoggerSettings
from services.logger.fluent import FluentInput
from services.logger.forwarding import Forwarder, forward
from services.logger.loki import Loki
from services.logger.opensearch import AwsSignature, OpenSearch
from services.logger.playback import Playback
from services.logger.retention import Retention
from services.logger.run_log import MADE_OF

TARGET_TIMEOUT_S = 10.0


class Logger(Service[LoggerSettings]):
    """Writes first, acknowledges then; files are made behind that and hold nothing up."""

    name = "logger"

    def __init__(self, settings: LoggerSettings) -> None:
        super().__init__(settings)
        self._journals = Journals(
            settings.journal_dir, settings.open_journals, settings.segment_bytes
        )
        self._grown = asyncio.Condition()
        self._closing = False
        self._disk_problem = ""
        self._written = self._bytes = 0
        self._fluent: FluentInput | None = None
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Subscribe to everything."""
        await asyncio.to_thread(self.settings.journal_dir.mkdir, parents=True, exist_ok=True)
        self._archive = Archive(self._journals, self.objects, self.bus.publish)
        self._retention = Retention(self.settings, self._journals, self._archive, self._is_safe)
        for forwarder in self._forwarders():
            await forward(self.bus, forwarder)
        await self._listen()
        await self.bus.subscribe_batches(
            self.on_events,
            durable=self.name,
            batch=self.settings.batch,
            ack_wait_s=self.settings.ack_wait_s,
        )

    async def work(self) -> None:
        """Make files of what was written, and give up what is kept elsewhere."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._archive.run())
            group.create_task(self._retention.run())

    async def stop(self) -> None:
        """Let the followers go and close the journals."""
        if self._fluent is not None:
            await self._fluent.stop()
        await self._stack.aclose()
        async with self._grown:
            self._closing = True
            self._grown.notify_all()
        await asyncio.to_thread(self._journals.close)

    def routes(self, app: FastAPI) -> None:
        """Add the journals' API."""
        add_routes(app, self)

    def problems(self) -> list[str]:
        """A disk that fails: events wait on the bus until it works."""
        return [self._disk_problem] if self._disk_problem else []

    def detail(self) -> dict[str, Any]:
        """Events written since the start."""
        return {"written": self._written}

    def measures(self) -> Iterable[Metric]:
        """What went into the journals."""
        yield counter(
            "slipstream_journal_events", "Events written into the journals.", self._written
        )
        yield counter(
            "slipstream_journal_bytes", "Bytes of the events that came, repeats too.", self._bytes
        )
        yield gauge(
            "slipstream_journal_failing",
            "1 while the journal can't be written.",
            bool(self._disk_problem),
        )

    async def on_events(self, received: list[Kept]) -> None:
        """Write a batch; what the disk refuses is raised, so that the batch comes again."""
        lines = [Line(one.envelope.run_id, one.envelope.id, one.data) for one in received]
        try:
            self._written += await asyncio.to_thread(self._journals.append, lines)
        except OSError as error:
            self._disk_failed(error)
            raise
        self._disk_problem = ""
        self._bytes += sum(len(line.data) for line in lines)
        grown = [one.envelope.run_id for one in received if one.envelope.type in MADE_OF]
        self._archive.wake(dict.fromkeys([*grown, *self._journals.take_closed()]))
        async with self._grown:
            self._grown.notify_all()

    async def play(
        self, run_id: str, show: Callable[[Entry], bytes], after: int, follow: bool
    ) -> AsyncIterator[bytes]:
        """
        What `show` makes of the journal, in pieces.

        With `follow` it goes on until the reader leaves or the service stops.

        Raises:
            NotFound: nothing was ever written for this run.
        """
        path = journal_path(self.settings.journal_dir, run_id)
        if not await asyncio.to_thread(journal_exists, path):
            raise NotFound(f"no journal of a run {run_id!r}")
        return self._pieces(run_id, Playback(path, show, after), follow)

    async def _pieces(self, run_id: str, playback: Playback, follow: bool) -> AsyncIterator[bytes]:
        while not self._closing:
            written = self._written
            end = await asyncio.to_thread(self._journals.end, run_id)
            try:
                piece = await asyncio.to_thread(playback.next_piece, end)
            except SegmentAway as away:
                await self._archive.fetch(run_id, away.segment)
                continue
            if piece:
                yield piece
            if piece is not None:
                continue
            if not follow:
                return
            async with self._grown:
                await self._grown.wait_for(lambda: self._closing or self._written > written)  # noqa: B023

    def _forwarders(self) -> Iterator[Forwarder]:
        """The targets that are configured."""
        settings = self.settings
        if settings.opensearch_url:
            user, password = settings.opensearch_user, settings.opensearch_password
            auth = (user, password) if user else None
            if region := settings.opensearch_aws_region:
                http = self._client(settings.opensearch_url, AwsSignature(region))
            else:
                http = self._client(settings.opensearch_url, auth)
            yield OpenSearch(http, settings.opensearch_index)
        if settings.loki_url:
            user, password = settings.loki_user, settings.loki_password
            yield Loki(self._client(settings.loki_url, (user, password) if user else None))

    def _client(self, url: str, auth: httpx.Auth | tuple[str, str] | None) -> httpx.AsyncClient:
        http = httpx.AsyncClient(base_url=url, auth=auth, timeout=TARGET_TIMEOUT_S)
        self._stack.push_async_callback(http.aclose)
        return http

    async def _listen(self) -> None:
        """Take foreign logs, where a port is named."""
        settings = self.settings
        if not settings.fluent_port:
            return
        self._fluent = FluentInput(self.bus.publish)
        try:
            port = await self._fluent.start(settings.host, settings.fluent_port)
        except OSError as error:
            raise StartupFailed(
                f"logger can't listen on {settings.host}:{settings.fluent_port} for fluent logs "
                f"({error.strerror}); set DR_LOGGER_FLUENT_PORT to a free port, or to 0"
            ) from error
        self.log.info("takes foreign logs", host=settings.host, port=port)

    async def _is_safe(self, key: str) -> bool:
        """Whether the remote store has an object too, or there is none; unknown is no."""
        asked = ReplicationAsked(run_id=PLATFORM, key=key)
        try:
            told, _ = await self.bus.request(asked, ReplicationTold)
        except Unavailable:
            return False
        return told.replicated or not told.remote

    def _disk_failed(self, error: OSError) -> None:
        if not self._disk_problem:
            self.log.error("the journal can't be written", reason=str(error))
        self._disk_problem = f"the journal can't be written: {error}"
