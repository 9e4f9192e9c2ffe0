"""Bringing objects to the remote, one by one or all that differ, and telling how it went."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress

from libs.common.errors import InvalidInput, PlatformError, Unavailable
from libs.common.events import ArtifactReplicated, Message, ObjectRef, ReplicationFailed
from libs.common.log import get_log
from libs.common.objects import ObjectStore, split_uri
from services.uploader.cache import MIRRORED
from services.uploader.ledger import Ledger, run_of
from services.uploader.mirror import Mirror, Mirrored

OUTAGE_PROBE_S = 5.0
"""How often a remote that was away is asked whether it is back."""


class Replication:
    """
    The work of one uploader.

    Args:
        place: where the remote is, for people.
        concurrency: objects that are copied at once.
        publish: tells what became of them.
    """

    def __init__(
        self,
        local: ObjectStore,
        remote: ObjectStore,
        mirror: Mirror,
        ledger: Ledger,
        place: str,
        concurrency: int,
        publish: Callable[[Message], Awaitable[object]],
    ) -> None:
        self._local, self._remote, self._mirror, self._ledger = local, remote, mirror, ledger
        self._place, self._concurrency, self._publish = place, concurrency, publish
        self._slots = asyncio.Semaphore(concurrency)
        self._log = get_log()
        self.replicated = self.replicated_bytes = self.failing = 0
        self.outage = ""  # what is wrong with the remote

    async def bring(self, artifact: ObjectRef, run_id: str, cause: str | None) -> bool:
        """Whether the object is on both sides now, or gone; a failure is told."""
        key, ledger = split_uri(artifact.uri)[1], self._ledger
        try:
            async with self._slots:
                known = await asyncio.to_thread(ledger.get, key)
                if known is None or known.state == "waiting":
                    size_bytes, digest = artifact.size_bytes, artifact.sha256
                    await asyncio.to_thread(ledger.note, key, "copying", size_bytes, digest)
                mirrored = await self._mirror.bring(key)
            if mirrored is None:
                await asyncio.to_thread(ledger.forget, key)
            else:
                await self._note(key, mirrored)
        except PlatformError as error:
            await self._tell_failure(artifact, run_id, cause, error)
            return False
        self.outage = ""
        if known is not None and known.state == "failing":
            self.failing -= 1
        if mirrored is not None:
            await self._tell(mirrored, run_id, cause)
        return True

    async def compare(self) -> None:
        """Copy what differs; an outage ends the pass, the next one goes on."""
        try:
            await self._remote.ensure_bucket()
            for prefix in MIRRORED:
                keys = [key async for key in self._mirror.differing(prefix)]
                await self._bring_all(keys)
            await self._mirror.forget_strays()
        except PlatformError as error:
            self._note_outage(str(error))
            self._log.warning("both sides can't be compared", reason=str(error))
        else:
            self.outage = ""
        totals = await asyncio.to_thread(self._ledger.totals)
        self.failing = totals["failing"][0]

    async def pause(self, seconds: float) -> None:
        """Until it is time to compare again: in an outage, until the remote can be used."""
        began_in_outage, clock = bool(self.outage), asyncio.get_running_loop().time
        ends_s = clock() + seconds
        while (left_s := ends_s - clock()) > 0:
            await asyncio.sleep(min(left_s, OUTAGE_PROBE_S))
            if not self.outage:
                if began_in_outage:
                    return
                continue
            try:
                await self._remote.ensure_bucket()
            except PlatformError as error:
                self._note_outage(str(error))
            else:
                self.outage = ""
                return

    async def _bring_all(self, keys: list[str]) -> None:
        waiting = iter(keys)

        async def work_off() -> None:
            for key in waiting:
                artifact = ObjectRef(uri=self._local.uri(key), sha256="", size_bytes=0)
                if not await self.bring(artifact, run_of(key), None):
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(work_off())

    async def _note(self, key: str, mirrored: Mirrored) -> None:
        source, held = mirrored.source, await asyncio.to_thread(self._ledger.get, key)
        if held is None or held.state != "evicted" or mirrored.copied:
            await asyncio.to_thread(
                self._ledger.note, key, "replicated", source.size_bytes, source.sha256
            )

    async def _tell(self, mirrored: Mirrored, run_id: str, cause: str | None) -> None:
        """Once for each content: a repeat has the same id."""
        if mirrored.copied:
            self.replicated += 1
            self.replicated_bytes += mirrored.source.size_bytes
        name = f"{mirrored.remote_uri} {mirrored.source.sha256}"
        await self._publish(
            ArtifactReplicated(
                id=hashlib.sha256(name.encode()).hexdigest()[:32],
                run_id=run_id,
                cause=cause,
                source=mirrored.source,
                remote_uri=mirrored.remote_uri,
            )
        )

    async def _tell_failure(
        self, artifact: ObjectRef, run_id: str, cause: str | None, error: PlatformError
    ) -> None:
        """Once for each object and outage, however often it is tried."""
        key, reason = split_uri(artifact.uri)[1], str(error)
        if not isinstance(error, InvalidInput):
            self._note_outage(reason)
        known = await asyncio.to_thread(self._ledger.get, key)
        size_bytes, digest = artifact.size_bytes, artifact.sha256
        with suppress(Unavailable):  # a full disk must not end the service
            await asyncio.to_thread(self._ledger.note, key, "failing", size_bytes, digest, reason)
        if known is not None and known.state == "failing":
            return
        self.failing += 1
        self._log.warning("not mirrored yet", run_id=run_id, key=key, reason=reason)
        await self._publish(
            ReplicationFailed(run_id=run_id, cause=cause, source=artifact, reason=reason)
        )

    def _note_outage(self, reason: str) -> None:
        self.outage = f"the remote {self._place} can't be used, the backlog waits: {reason}"
