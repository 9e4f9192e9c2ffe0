"""The uploader: every announced object into a second store, and again until it is there."""

import asyncio
import hashlib
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

from prometheus_client.core import Metric

from libs.common.errors import PlatformError
from libs.common.events import (
    PLATFORM,
    REGISTRY,
    RUN_ID_PATTERN,
    ArtifactEvent,
    ArtifactReplicated,
    ObjectRef,
    ReplicationFailed,
)
from libs.common.metrics import counter, gauge
from libs.common.objects import ObjectStore, split_uri
from libs.common.service import Service
from services.uploader.config import UploaderSettings
from services.uploader.mirror import Mirror, Mirrored

MIRRORED = ("runs/", "tracks/")
"""What is compared as a whole, beside what events announce."""

ACK_WAIT_S = 6.0
"""After this an event that a killed uploader had in hand comes again."""


class ReplicationPending(Exception):
    """Not all objects of an event could be copied: it comes again."""


class Uploader(Service[UploaderSettings]):
    """Mirrors artifacts to the remote that is configured; idles without one."""

    name = "uploader"

    def __init__(self, settings: UploaderSettings) -> None:
        super().__init__(settings)
        self._mirror: Mirror | None = None
        self._remote: ObjectStore | None = None
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._stack = AsyncExitStack()
        self._replicated = self._replicated_bytes = 0
        self._failing: set[str] = set()  # keys whose failure was told

    async def start(self) -> None:
        """Subscribe to every event class that announces artifacts."""
        settings = self.settings
        if not settings.remote_bucket:
            self.log.info("idle: no remote is configured", variable="DR_UPLOADER_REMOTE_BUCKET")
            return
        self._remote = await self._stack.enter_async_context(_remote_store(settings))
        self._mirror = Mirror(self.objects, self._remote, settings.remote_prefix)
        for message_class in REGISTRY.values():
            if issubclass(message_class, ArtifactEvent):
                await self.bus.subscribe(
                    message_class,
                    self.on_artifacts,
                    durable=f"{self.name}-{message_class.noun}-{message_class.verb}",
                    concurrency=settings.concurrency,
                    ack_wait_s=ACK_WAIT_S,
                    max_deliver=-1,  # an outage may last; the stream is the backlog
                )

    async def work(self) -> None:
        """Compare both sides now and then: what no event told is copied too."""
        while self._mirror is not None:
            await self._reconcile(self._mirror)
            await asyncio.sleep(self.settings.reconcile_s)

    async def stop(self) -> None:
        """Close the remote."""
        await self._stack.aclose()

    def detail(self) -> dict[str, Any]:
        """Where the mirror is, and how it stands."""
        settings = self.settings
        place = f"{settings.remote_endpoint}/{settings.remote_bucket}/{settings.remote_prefix}"
        return {
            "remote": place if settings.remote_bucket else "not configured",
            "replicated": self._replicated,
            "failing": len(self._failing),
        }

    def measures(self) -> Iterable[Metric]:
        """How the mirror stands."""
        yield counter("slipstream_uploads", "Objects copied to the remote.", self._replicated)
        yield counter(
            "slipstream_upload_bytes", "Bytes copied to the remote.", self._replicated_bytes
        )
        yield gauge(
            "slipstream_uploads_failing",
            "Objects that could not be copied and are tried again.",
            len(self._failing),
        )

    async def on_artifacts(self, event: ArtifactEvent) -> None:
        """Copy the objects of one event, all that can be copied."""
        done = [
            await self._bring(artifact, event.run_id, event.id)
            for artifact in event.artifacts
            if self._is_ours(artifact)
        ]
        if not all(done):
            raise ReplicationPending(f"{done.count(False)} of {len(done)} objects of {event.id}")

    def _is_ours(self, artifact: ObjectRef) -> bool:
        ours = split_uri(artifact.uri)[0] == self.objects.bucket
        if not ours:
            self.log.warning("not mirrored: it lies in another bucket", uri=artifact.uri)
        return ours

    async def _bring(self, artifact: ObjectRef, run_id: str, cause: str | None) -> bool:
        """Whether the object is on both sides now, or gone."""
        assert self._mirror is not None
        key = split_uri(artifact.uri)[1]
        try:
            async with self._slots:
                mirrored = await self._mirror.bring(key)
        except PlatformError as error:
            await self._tell_failure(artifact, run_id, cause, str(error))
            return False
        self._failing.discard(key)
        if mirrored is not None:
            await self._tell(mirrored, run_id, cause)
        return True

    async def _tell(self, mirrored: Mirrored, run_id: str, cause: str | None) -> None:
        """Once for each content: a repeat has the same id."""
        if mirrored.copied:
            self._replicated += 1
            self._replicated_bytes += mirrored.source.size_bytes
        name = f"{mirrored.remote_uri} {mirrored.source.sha256}"
        await self.bus.publish(
            ArtifactReplicated(
                id=hashlib.sha256(name.encode()).hexdigest()[:32],
                run_id=run_id,
                cause=cause,
                source=mirrored.source,
                remote_uri=mirrored.remote_uri,
            )
        )

    async def _tell_failure(
        self, artifact: ObjectRef, run_id: str, cause: str | None, reason: str
    ) -> None:
        """Once for each object and outage, however often it is tried."""
        key = split_uri(artifact.uri)[1]
        if key in self._failing:
            return
        self._failing.add(key)
        self.log.warning("not mirrored yet", run_id=run_id, key=key, reason=reason)
        await self.bus.publish(
            ReplicationFailed(run_id=run_id, cause=cause, source=artifact, reason=reason)
        )

    async def _reconcile(self, mirror: Mirror) -> None:
        """Copy what differs; an outage ends the pass, the next one goes on."""
        assert self._remote is not None
        try:
            await self._remote.ensure_bucket()
            for prefix in MIRRORED:
                keys = [key async for key in mirror.differing(prefix)]
                await self._bring_all(keys)
        except PlatformError as error:
            self.log.warning("both sides can't be compared", reason=str(error))

    async def _bring_all(self, keys: list[str]) -> None:
        waiting = iter(keys)

        async def work_off() -> None:
            for key in waiting:
                artifact = ObjectRef(uri=self.objects.uri(key), sha256="", size_bytes=0)
                if not await self._bring(artifact, _run_of(key), None):
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(self.settings.concurrency):
                group.create_task(work_off())


def _run_of(key: str) -> str:
    """The run that a key belongs to, as far as it tells."""
    folder, _, rest = key.partition("/")
    run_id = rest.partition("/")[0]
    return run_id if folder == "runs" and re.match(RUN_ID_PATTERN, run_id) else PLATFORM


def _remote_store(settings: UploaderSettings) -> ObjectStore:
    return ObjectStore(
        settings.remote_endpoint,
        settings.remote_access_key,
        settings.remote_secret_key,
        settings.remote_region,
        settings.remote_bucket,
        settings.remote_patience_s,
    )
