"""Gives up local segments of journals that are old, or too many, once they are safe elsewhere."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

from libs.common.events import PLATFORM
from libs.common.journal import Journals
from libs.common.journal_reading import (
    journal_path,
)
from libs.common.log import get_log
from libs.common.segments import COMPRESSED, Segment, leave
from services.logger.archive import Archive, segment_key
from services.logger.config import LoggerSettings
from services.logger.run_log import is_settled

DAY_S = 86_400.0

IsSafe = Callable[[str], Awaitable[bool]]
"""Whether an object of the store is in the remote store too, or there is none."""


class Retention:
    """Looks through all journals now and then."""

    def __init__(
        self,
        settings: LoggerSettings,
        journals: Journals,
        archive: Archive,
        is_safe: IsSafe,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._journals, self._archive = settings, journals, archive
        self._is_safe, self._clock = is_safe, clock
        self._log = get_log()

    async def run(self) -> None:
        """For ever; nothing where everything is kept."""
        settings = self._settings
        while settings.retain_days or settings.retain_run_bytes:
            for run_id in await asyncio.to_thread(self._archive.runs):
                await self._look_through(run_id)
            await asyncio.sleep(settings.retention_check_s)

    async def _look_through(self, run_id: str) -> None:
        await asyncio.to_thread(self._close_what_is_old, run_id)
        size_bytes = 0
        for segment in await asyncio.to_thread(self._too_many, run_id):
            stored = self._archive.is_stored(run_id, segment)
            if not stored or not await self._is_safe(segment_key(run_id, segment)):
                break  # the older ones go first
            size_bytes += segment.path.stat().st_size
            await asyncio.to_thread(leave, segment)
        if size_bytes:
            self._log.info("old parts of a journal given up", journal=run_id, bytes=size_bytes)

    def _close_what_is_old(self, run_id: str) -> None:
        """Only a closed part can go: close that of a run that was over long ago."""
        path = journal_path(self._journals.folder, run_id)
        if run_id == PLATFORM or not self._settings.retain_days or not path.exists():
            return
        status = path.stat()
        if status.st_size and self._is_old(status.st_mtime) and is_settled(path):
            self._journals.close_part(run_id)
            self._archive.wake([run_id])

    def _too_many(self, run_id: str) -> Iterator[Segment]:
        """Compressed segments that the rules want gone, the oldest first."""
        held = [s for s in self._archive.segments(run_id) if s.suffix == COMPRESSED]
        sizes = [segment.path.stat().st_size for segment in held]
        path = journal_path(self._journals.folder, run_id)
        total = sum(sizes) + (path.stat().st_size if path.exists() else 0)
        most, gone = self._settings.retain_run_bytes, []
        for segment, size in zip(held, sizes, strict=True):
            if self._is_old(segment.path.stat().st_mtime) or (most and total > most):
                gone.append(segment)
                total -= size
        return iter(gone)

    def _is_old(self, changed_s: float) -> bool:
        days = self._settings.retain_days
        return bool(days) and self._clock() - changed_s > days * DAY_S
