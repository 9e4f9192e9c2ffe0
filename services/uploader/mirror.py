"""One store's objects in another: compared, copied in parts, verified. Nothing is ever deleted."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from libs.common.errors import Unavailable
from libs.common.events import ObjectRef
from libs.common.objects import Listed, ObjectStore


@dataclass(frozen=True)
class Mirrored:
    """An object that is the same on both sides."""

    source: ObjectRef
    remote_uri: str
    copied: bool  # now; it was there already if not


class Mirror:
    """Brings objects from `local` below `prefix` of `remote`."""

    def __init__(self, local: ObjectStore, remote: ObjectStore, prefix: str = "") -> None:
        self._local, self._remote = local, remote
        self._prefix = f"{prefix}/" if prefix else ""
        # Objects whose checksums were compared, by their etag here.
        self._compared: dict[str, str] = {}

    async def bring(self, key: str) -> Mirrored | None:
        """
        Make the remote object the same as ours; None where ours is gone.

        Raises:
            Unavailable: one of the stores is away, or holds another object than was sent.
            NotFound: there is no such bucket.
            InvalidInput: the object changed while it was read.
        """
        source = await self._describe(key)
        if source is None:
            return None
        target = self._prefix + key
        there = await self._remote.head(target)
        if _same(there, source):
            return Mirrored(source, self._remote.uri(target), copied=False)
        parts = self._local.parts(key, source.size_bytes)
        await self._remote.put_parts(target, parts, source.sha256, source.size_bytes)
        if not _same(there := await self._remote.head(target), source):
            raise Unavailable(f"{self._remote.uri(target)} is {there} after {source} was put there")
        return Mirrored(source, self._remote.uri(target), copied=True)

    async def differing(self, prefix: str) -> AsyncIterator[str]:
        """Keys below a prefix of which the remote has no copy, or an old one."""
        skipped = len(self._prefix)
        there = {
            item.key[skipped:]: item.size_bytes
            async for item in self._remote.listing(self._prefix + prefix)
        }
        async for item in self._local.listing(prefix):
            if there.get(item.key) != item.size_bytes or not await self._is_same(item):
                yield item.key

    async def _is_same(self, item: Listed) -> bool:
        """Whether objects of one size have one checksum; asked once for each content."""
        if self._compared.get(item.key) == item.etag:
            return True
        source = await self._describe(item.key)
        if source is not None and not _same(
            await self._remote.head(self._prefix + item.key), source
        ):
            return False
        self._compared[item.key] = item.etag
        return True

    async def _describe(self, key: str) -> ObjectRef | None:
        """Our object with its checksum, which is computed where another program put the object."""
        found = await self._local.head(key)
        if found is None or found.sha256:
            return found
        digest = hashlib.sha256()
        async for part in self._local.parts(key, found.size_bytes):
            digest.update(part)
        return found.model_copy(update={"sha256": digest.hexdigest()})


def _same(there: ObjectRef | None, source: ObjectRef) -> bool:
    return there is not None and (there.size_bytes, there.sha256) == (
        source.size_bytes,
        source.sha256,
    )
