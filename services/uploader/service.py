"""The uploader: every announced object into a second store, and again until it is there."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from typing import Any

from aiolimiter import AsyncLimiter
from fastapi import FastAPI
from prometheus_client.core import Metric

from libs.common.errors import Conflict, PlatformError, Unavailable
from libs.common.events import (
    PLATFORM,
    REGISTRY,
    ArtifactEvent,
    BestCheckpointChosen,
    CheckpointSaved,
    ObjectBrought,
    ObjectRef,
    ObjectWanted,
    ReplicationAsked,
    ReplicationTold,
    RunDeleted,
    RunEnded,
    RunStarted,
)
from libs.common.metrics import counter, gauge
from libs.common.multipart import Throttle
from libs.common.objects import ObjectStore, split_uri
from libs.common.service import Service
from services.uploader.api import add_routes
from services.uploader.cache import Cache
from services.uploader.config import UploaderSettings
from services.uploader.ledger import Ledger
from services.uploader.mirror import Mirror
from services.uploader.replication import Replication

ACK_WAIT_S = 6.0
"""After this an event that a killed uploader had in hand comes again."""

NO_REMOTE = "no remote is configured: DR_UPLOADER_REMOTE_BUCKET names its bucket"


class ReplicationPending(Exception):
    """Not all objects of an event could be copied: it comes again."""


class Uploader(Service[UploaderSettings]):
    """Mirrors artifacts to the remote that is configured; idles without one."""

    name = "uploader"

    def __init__(self, settings: UploaderSettings) -> None:
        super().__init__(settings)
        self._mirror: Mirror | None = None
        self._cache: Cache | None = None
        self._replication: Replication | None = None
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Subscribe to every event class that announces artifacts."""
        settings = self.settings
        self.ledger = await asyncio.to_thread(Ledger, settings.state_dir / "uploader.sqlite")
        self._stack.callback(self.ledger.close)
        await self.bus.serve(ReplicationAsked, self.on_asked, PLATFORM)
        await self.bus.serve(ObjectWanted, self.on_wanted, PLATFORM)
        if not settings.remote_bucket:
            self.log.info("idle: no remote is configured", variable="DR_UPLOADER_REMOTE_BUCKET")
            return
        remote = await self._stack.enter_async_context(
            ObjectStore(settings.remote, settings.remote_patience_s)
        )
        throttle = Throttle(settings.parts_at_once, _admission(settings.bandwidth_bytes_per_s))
        self._mirror = Mirror(self.objects, remote, self.ledger, settings.remote_prefix, throttle)
        self._replication = Replication(
            self.objects,
            remote,
            self._mirror,
            self.ledger,
            self.place,
            settings.concurrency,
            self.bus.publish,
        )
        self._cache = Cache(self.objects, self._mirror, self.ledger, settings.cache_max_bytes)
        await self._subscribe_to_runs()
        for message_class in REGISTRY.values():
            if issubclass(message_class, ArtifactEvent):
                await self.bus.subscribe(
                    message_class,
                    self.on_artifacts,
                    durable=self._durable(message_class),
                    concurrency=settings.concurrency,
                    ack_wait_s=ACK_WAIT_S,
                    max_deliver=-1,  # an outage may last; the stream is the backlog
                )

    async def _subscribe_to_runs(self) -> None:
        bus, durable = self.bus, self._durable
        await bus.subscribe(RunStarted, self.on_run_started, durable=durable(RunStarted))
        await bus.subscribe(RunEnded, self.on_run_ended, durable=durable(RunEnded))
        await bus.subscribe(RunDeleted, self.on_run_deleted, durable=durable(RunDeleted))

    async def work(self) -> None:
        """Compare both sides now and then: what no event told is copied too."""
        while (replication := self._replication) is not None:
            await replication.compare()
            if not replication.outage:
                await self._trim()
            await replication.pause(self.settings.reconcile_s)

    async def stop(self) -> None:
        """Close the remote."""
        await self._stack.aclose()

    def routes(self, app: FastAPI) -> None:
        """Add the uploads' and the cache's API."""
        add_routes(app, self)

    def problems(self) -> list[str]:
        """A remote that is away: the backlog waits for it."""
        outage = self._replication.outage if self._replication else ""
        return [outage] if outage else []

    @property
    def has_remote(self) -> bool:
        """Whether a remote is configured."""
        return self._mirror is not None

    @property
    def mirror(self) -> Mirror:
        """Raises `Conflict` where no remote is configured."""
        if self._mirror is None:
            raise Conflict(NO_REMOTE)
        return self._mirror

    @property
    def cache(self) -> Cache:
        """Raises `Conflict` where no remote is configured."""
        if self._cache is None:
            raise Conflict(NO_REMOTE)
        return self._cache

    @property
    def place(self) -> str:
        """Where the mirror is, for people."""
        settings = self.settings
        if not settings.remote_bucket:
            return "not configured"
        return f"{settings.remote_endpoint}/{settings.remote_bucket}/{settings.remote_prefix}"

    def detail(self) -> dict[str, Any]:
        """Where the mirror is, and how it stands."""
        done = self._replication
        return {
            "remote": self.place,
            "replicated": done.replicated if done else 0,
            "failing": done.failing if done else 0,
        }

    def measures(self) -> Iterable[Metric]:
        """How the mirror stands."""
        done = self._replication
        yield counter(
            "slipstream_uploads",
            "Objects copied to the remote.",
            done.replicated if done else 0,
        )
        yield counter(
            "slipstream_upload_bytes",
            "Bytes copied to the remote.",
            done.replicated_bytes if done else 0,
        )
        yield gauge(
            "slipstream_uploads_failing",
            "Objects that could not be copied and are tried again.",
            done.failing if done else 0,
        )

    # -- what comes over the bus -------------------------------------------------------------

    async def on_artifacts(self, event: ArtifactEvent) -> None:
        """Copy the objects of one event, all that can be copied."""
        assert self._replication is not None
        bring = self._replication.bring
        ours = [artifact for artifact in event.artifacts if self._is_ours(artifact)]
        with suppress(Unavailable):  # a full disk must not keep the objects from being copied
            await self._protect(event, ours)
        done = [await bring(artifact, event.run_id, event.id) for artifact in ours]
        await self._protect(event, ours)
        if not all(done):
            raise ReplicationPending(f"{done.count(False)} of {len(done)} objects of {event.id}")

    async def _protect(self, event: ArtifactEvent, artifacts: list[ObjectRef]) -> None:
        """The newest checkpoints of a run that goes on are never evicted."""
        if isinstance(event, CheckpointSaved | BestCheckpointChosen):
            keys = [split_uri(artifact.uri)[1] for artifact in artifacts]
            protect, at_s = self.ledger.protect, event.at.timestamp()
            await asyncio.to_thread(protect, event.run_id, event.noun, at_s, keys)

    async def on_wanted(self, request: ObjectWanted, _: bytes) -> ObjectBrought:
        """Bring an evicted object back for a service that reads it."""
        problem = ""
        try:
            await self.cache.bring_back(request.key)
        except PlatformError as error:
            problem = str(error)
        return ObjectBrought(run_id=PLATFORM, cause=request.id, key=request.key, problem=problem)

    async def on_asked(self, request: ReplicationAsked, _: bytes) -> ReplicationTold:
        """Tell whether the remote has an object, as far as it was seen."""
        known = await asyncio.to_thread(self.ledger.get, request.key)
        replicated = known is not None and known.state in ("replicated", "evicted")
        return ReplicationTold(
            run_id=PLATFORM,
            cause=request.id,
            key=request.key,
            remote=self.has_remote,
            replicated=replicated,
        )

    async def on_run_started(self, event: RunStarted) -> None:
        """Its newest checkpoint stays here."""
        await asyncio.to_thread(self.ledger.resume_run, event.run_id, event.at.timestamp())

    async def on_run_ended(self, event: RunEnded) -> None:
        """All of it may be evicted now."""
        await asyncio.to_thread(self.ledger.end_run, event.run_id, event.at.timestamp())

    async def on_run_deleted(self, event: RunDeleted) -> None:
        """It is no longer ours to tell of; the remote keeps what it has."""
        await asyncio.to_thread(self.ledger.forget_run, event.run_id)

    def _durable(self, message_class: Any) -> str:
        return f"{self.name}-{message_class.noun}-{message_class.verb}"

    def _is_ours(self, artifact: ObjectRef) -> bool:
        ours = split_uri(artifact.uri)[0] == self.objects.bucket
        if not ours:
            self.log.warning("not mirrored: it lies in another bucket", uri=artifact.uri)
        return ours

    async def _trim(self) -> None:
        """Give up the oldest objects where the cache holds more than it should."""
        try:
            moved = await self.cache.trim()
        except PlatformError as error:
            self.log.warning("the cache can't be trimmed", reason=str(error))
            return
        gone = [each.size_bytes for each in moved if not each.problem]
        if gone:
            self.log.info("evicted from the local store", objects=len(gone), bytes=sum(gone))


def _admission(bytes_per_s: int) -> Any:
    """Waits until so many bytes may be sent; None where there is no limit."""
    if not bytes_per_s:
        return None
    limiter = AsyncLimiter(bytes_per_s, 1.0)

    async def admit(size_bytes: int) -> None:
        while size_bytes > 0:
            piece = min(size_bytes, bytes_per_s)
            await limiter.acquire(piece)
            size_bytes -= piece

    return admit
