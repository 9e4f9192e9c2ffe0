"""One store's objects in another: compared, copied in parts, verified. Nothing is ever deleted."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from libs.common.errors import InvalidInput, NotFound, Unavailable
from libs.common.events import ObjectRef
from libs.common.log import get_log
from libs.common.multipart import PART_BYTES, MultipartUpload, Throttle
from libs.common.objects import Found, Listed, ObjectStore
from services.uploader.ledger import Ledger

STRAY_AFTER = timedelta(days=2)
"""An upload in parts that was begun so long ago belongs to no uploader that still lives."""

_NOTED_AT_ONCE = 1000

Item = TypeVar("Item")


@dataclass(frozen=True)
class Mirrored:
    """An object that is the same on both sides."""

    source: ObjectRef
    remote_uri: str
    copied: bool  # now; it was there already if not


@dataclass
class Transfer:
    """A copy that is being made."""

    key: str
    size_bytes: int
    sent_bytes: int = 0


class Mirror:
    """
    Brings objects from `local` below `prefix` of `remote`, and evicted ones back.

    The ledger remembers uploads in parts, so that they go on after a crash.
    """

    def __init__(
        self,
        local: ObjectStore,
        remote: ObjectStore,
        ledger: Ledger,
        prefix: str = "",
        throttle: Throttle | None = None,
    ) -> None:
        self._local, self._remote, self._ledger = local, remote, ledger
        self._prefix = f"{prefix}/" if prefix else ""
        self._throttle = throttle or Throttle()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.transfers: dict[str, Transfer] = {}
        self._log = get_log()

    def alone(self, key: str) -> asyncio.Lock:
        """A lock that keeps others from an object while it is copied, evicted or brought back."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def bring(self, key: str) -> Mirrored | None:
        """
        Make the remote object the same as ours; None where ours is gone.

        Raises:
            Unavailable: one of the stores is away, or holds another object than was sent.
            NotFound: there is no such bucket.
            InvalidInput: the object changed while it was read.
        """
        async with self.alone(key):
            found = await self._describe(key)
            if found is None:
                return None
            source, target = found.reference, self._prefix + key
            if _same(await self._remote.head(target), source):
                return Mirrored(source, self._remote.uri(target), copied=False)
            if found.evicted:
                raise Unavailable(f"{key} was evicted here and is no longer in the remote store")
            await self._copy(key, source)
            if not _same(there := await self._remote.head(target), source):
                raise Unavailable(
                    f"{self._remote.uri(target)} is {there} after {source} was put there"
                )
            now = await self._local.look(key)
            if now is None or now.etag != found.etag:
                raise InvalidInput(f"{key} changed while it was copied")
            return Mirrored(source, self._remote.uri(target), copied=True)

    async def verified(self, key: str) -> ObjectRef | None:
        """Our object, if its bytes are here and the remote has the same; else None."""
        found = await self._describe(key)
        if found is None or found.evicted:
            return None
        there = await self._remote.head(self._prefix + key)
        return found.reference if _same(there, found.reference) else None

    async def bring_back(self, key: str) -> int:
        """
        Fetch an object from the remote that was evicted here, or is not here; its bytes.

        Raises:
            NotFound: the remote has none.
            Unavailable: a store is away.
            InvalidInput: the remote's object is not what was evicted.
        """
        async with self.alone(key):
            found, there = await self._local.look(key), await self._remote.head(self._prefix + key)
            if found is not None and not found.evicted:
                return 0
            if there is None:
                raise NotFound(f"the remote store has no {self._prefix}{key}")
            wanted = there if found is None else found.reference
            if not there.sha256 or not _same(there, wanted):
                raise InvalidInput(f"{there.uri} is not the object that was mirrored from {key}")
            parts = self._remote.parts(self._prefix + key, there.size_bytes)
            await self._local.put_parts(key, parts, there.sha256, there.size_bytes)
            return there.size_bytes

    async def remote_keys(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        """Our keys, with sizes, of what the remote has below a prefix."""
        async for item in self._remote.listing(self._prefix + prefix):
            yield item.key[len(self._prefix) :], item.size_bytes

    async def differing(self, prefix: str) -> AsyncIterator[str]:
        """Keys below a prefix of which the remote has no copy, or an old one."""
        ledger = self._ledger
        await asyncio.to_thread(ledger.begin_comparison)
        async for held in in_batches(self.remote_keys(prefix), _NOTED_AT_ONCE):
            await asyncio.to_thread(ledger.note_remote, held)
        async for items in in_batches(self._local.listing(prefix), _NOTED_AT_ONCE):
            contents = [(item.key, item.etag) for item in items]
            suspects = await asyncio.to_thread(ledger.suspects, contents)
            for item in items:
                if item.key in suspects and not await self._is_same(item):
                    yield item.key

    async def forget_strays(self) -> int:
        """Abort uploads in parts below our prefix that nobody goes on with; how many."""
        remote, forgotten = self._remote, datetime.now(UTC) - STRAY_AFTER
        place: dict[str, Any] = {"Bucket": remote.bucket, "Prefix": self._prefix}
        page = await remote.connection.call("list_multipart_uploads", **place)
        strays = [item for item in page.get("Uploads", []) if item["Initiated"] < forgotten]
        for item in strays:
            await MultipartUpload(
                remote.connection, remote.bucket, item["Key"], upload_id=item["UploadId"]
            ).abort()
        return len(strays)

    async def _copy(self, key: str, source: ObjectRef) -> None:
        transfer = self.transfers[key] = Transfer(key, source.size_bytes)
        parts = self._local.parts(key, source.size_bytes)
        try:
            if source.size_bytes > PART_BYTES:
                await self._copy_in_parts(key, source, parts, transfer)
            else:
                data = b"".join([part async for part in parts])
                await self._throttle.wait_for(len(data))
                await self._remote.put_small(self._prefix + key, data, source.sha256)
        finally:
            del self.transfers[key]

    async def _copy_in_parts(
        self, key: str, source: ObjectRef, parts: AsyncIterator[bytes], transfer: Transfer
    ) -> None:
        """Where this is cut short, what was sent stays with the remote for the next try."""

        def count(size_bytes: int) -> None:
            transfer.sent_bytes += size_bytes

        begun = await asyncio.to_thread(self._ledger.multipart, key)
        digest, upload_id = begun or ("", "")
        upload = MultipartUpload(
            self._remote.connection,
            self._remote.bucket,
            self._prefix + key,
            upload_id=upload_id,
            throttle=self._throttle,
            on_sent=count,
        )
        if digest != source.sha256 or not await upload.resume():
            if upload_id:
                await upload.abort()
            upload_id = await upload.begin({"sha256": source.sha256})
            await asyncio.to_thread(self._ledger.note_multipart, key, source.sha256, upload_id)
        try:
            await upload.send(parts, source.sha256)
        except (InvalidInput, NotFound):  # another object than was announced, or none any more
            await upload.abort()
            await asyncio.to_thread(self._ledger.forget_multipart, key)
            raise
        await asyncio.to_thread(self._ledger.forget_multipart, key)
        if upload.resumed_parts:
            self._log.info("upload resumed", key=key, parts=upload.resumed_parts)

    async def _is_same(self, item: Listed) -> bool:
        """Whether objects of one size have one checksum; asked once for each content."""
        ledger, key = self._ledger, item.key
        if await asyncio.to_thread(ledger.remote_size, key) is None:
            return False
        if (found := await self._describe(key)) is not None:
            if not _same(await self._remote.head(self._prefix + key), found.reference):
                return False
            await asyncio.to_thread(
                ledger.note_same, key, found.reference, found.evicted, item.etag
            )
        return True

    async def _describe(self, key: str) -> Found | None:
        """Our object with its checksum, which is computed where another program put the object."""
        found = await self._local.look(key)
        if found is None or found.reference.sha256:
            return found
        digest = hashlib.sha256()
        async for part in self._local.parts(key, found.reference.size_bytes):
            digest.update(part)
        reference = found.reference.model_copy(update={"sha256": digest.hexdigest()})
        return Found(reference, found.etag, found.evicted)


def _same(there: ObjectRef | None, source: ObjectRef) -> bool:
    return there is not None and (there.size_bytes, there.sha256) == (
        source.size_bytes,
        source.sha256,
    )


async def in_batches(items: AsyncIterator[Item], size: int) -> AsyncIterator[list[Item]]:
    """So many items at once; the last batch may be smaller."""
    batch: list[Item] = []
    async for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
