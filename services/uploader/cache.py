"""
The local store as a cache of the remote: what may go, what goes, what comes back.

An object goes only after its remote copy was compared with it, size and checksum, in that moment.
A stub stays in its place, so that it is still listed and comes back when it is read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from libs.common.errors import PlatformError
from libs.common.objects import Listed, ObjectStore
from services.uploader.ledger import Ledger
from services.uploader.mirror import Mirror

MIRRORED = ("runs/", "tracks/")
"""What is compared as a whole, beside what events announce, and what may be evicted."""

KEEP_FREE = 0.9
"""Above its limit the cache is emptied down to this share of it, and not for each new object."""


@dataclass(frozen=True)
class Wish:
    """Which objects are to go; what is left as it is asks for all that may."""

    run_id: str = ""
    older_than: timedelta = timedelta(0)  # since they were put
    to_bytes: int = 0  # stop when no more than this is held
    dry_run: bool = False


@dataclass(frozen=True)
class Moved:
    """An object that went or came back; `problem` where it could not."""

    key: str
    size_bytes: int
    problem: str = ""


@dataclass(frozen=True)
class CacheStatus:
    """How full it is."""

    objects: int
    size_bytes: int  # held here
    evicted_objects: int
    evicted_bytes: int  # held by the remote alone
    protected_objects: int
    max_bytes: int  # 0: no limit


class Cache:
    """The objects of `local`, of which `mirror` has copies."""

    def __init__(
        self,
        local: ObjectStore,
        mirror: Mirror,
        ledger: Ledger,
        max_bytes: int = 0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._local, self._mirror, self._ledger = local, mirror, ledger
        self._max_bytes, self._now = max_bytes, now

    async def status(self) -> CacheStatus:
        """What is held and what is gone."""
        objects = size_bytes = 0
        async for item in self._held():
            objects += 1
            size_bytes += item.size_bytes
        totals = await asyncio.to_thread(self._ledger.totals)
        evicted, evicted_bytes = totals["evicted"]
        protected = await asyncio.to_thread(self._ledger.protected)
        return CacheStatus(
            objects - evicted, size_bytes, evicted, evicted_bytes, len(protected), self._max_bytes
        )

    async def trim(self) -> list[Moved]:
        """Evict the oldest objects where more than the limit is held."""
        held = sum([item.size_bytes async for item in self._held()])
        if not self._max_bytes or held <= self._max_bytes:
            return []
        wish = Wish(to_bytes=int(self._max_bytes * KEEP_FREE))
        return [moved async for moved in self.evict(wish)]

    async def evict(self, wish: Wish) -> AsyncIterator[Moved]:
        """Put stubs in the place of what may go, the oldest first, and tell of each."""
        protected = await asyncio.to_thread(self._ledger.protected)
        held, candidates = 0, []
        async for item in self._held():
            held += item.size_bytes
            if item.size_bytes and item.key not in protected and self._is_meant(item, wish):
                candidates.append((item.modified, item.key, item.size_bytes))
        for _, key, size_bytes in sorted(candidates):
            if held <= wish.to_bytes:
                return
            moved = await self._evict(key, size_bytes, wish.dry_run)
            if moved is None:
                continue
            if not moved.problem:
                held -= size_bytes
            yield moved

    async def pull(self, prefix: str) -> AsyncIterator[Moved]:
        """Bring back what the remote has below a prefix and the local store has not."""
        async for key, size_bytes in self._mirror.remote_keys(prefix):
            try:
                came = await self.bring_back(key)
            except PlatformError as error:
                yield Moved(key, size_bytes, str(error))
            else:
                if came:
                    yield Moved(key, came)

    async def bring_back(self, key: str) -> int:
        """
        One object, if it is not here; its bytes, 0 where it was here.

        Raises:
            PlatformError: as `Mirror.bring_back` does.
        """
        size_bytes = await self._mirror.bring_back(key)
        if size_bytes and (reference := await self._local.head(key)) is not None:
            await asyncio.to_thread(
                self._ledger.note, key, "replicated", size_bytes, reference.sha256
            )
        return size_bytes

    async def _held(self) -> AsyncIterator[Listed]:
        for prefix in MIRRORED:
            async for item in self._local.listing(prefix):
                yield item

    def _is_meant(self, item: Listed, wish: Wish) -> bool:
        of_run = not wish.run_id or item.key.startswith(f"runs/{wish.run_id}/")
        return of_run and self._now() - item.modified >= wish.older_than

    async def _evict(self, key: str, size_bytes: int, dry_run: bool) -> Moved | None:
        """None where there is nothing to evict, as the remote has no such copy."""
        try:
            async with self._mirror.alone(key):
                reference = await self._mirror.verified(key)
                if reference is None:
                    return None
                if not dry_run:
                    await self._local.evict(reference)
                    await asyncio.to_thread(
                        self._ledger.note, key, "evicted", size_bytes, reference.sha256
                    )
        except PlatformError as error:
            return Moved(key, size_bytes, str(error))
        return Moved(key, size_bytes)
