"""Puts the files that runs' journals give into the store, one run after the other."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import stamina

from libs.common.deepracer import layout
from libs.common.errors import Unavailable
from libs.common.events import PLATFORM, LogArchived, ObjectRef
from libs.common.journal import Journals
from libs.common.journal_reading import (
    journal_path,
    segment_folder,
)
from libs.common.log import get_log
from libs.common.objects import ObjectStore
from libs.common.segments import (
    AWAY,
    COMPRESSED,
    PLAIN,
    Segment,
    SegmentAway,
    come_back,
    compress,
    segments_of,
)
from services.logger.run_log import DueFile, RunLog, is_settled

RUNS_IN_MEMORY = 8
"""Others are read from their journals again when something happens in them."""


class Archive:
    """A queue of runs whose journals have grown, and the work on them."""

    def __init__(
        self,
        journals: Journals,
        objects: ObjectStore,
        publish: Callable[[LogArchived], Awaitable[object]],
    ) -> None:
        self._journals, self._objects, self._publish = journals, objects, publish
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._runs: OrderedDict[str, RunLog] = OrderedDict()
        self._stored: set[str] = set()  # keys of segments
        self._log = get_log()

    def wake(self, run_ids: Iterable[str]) -> None:
        """There may be files to make for these runs."""
        for run_id in run_ids:
            if run_id not in self._waiting:
                self._waiting.add(run_id)
                self._queue.put_nowait(run_id)

    async def run(self) -> None:
        """Work off what is left from before, then what comes, for ever."""
        self.wake(await asyncio.to_thread(self._unsettled))
        while True:
            run_id = await self._queue.get()
            self._waiting.discard(run_id)
            try:
                await self._bring_up_to_date(run_id)
            except Exception:  # one run's files must not end the journal of all
                self._runs.pop(run_id, None)
                self._log.exception("files can't be made", run_id=run_id)

    def runs(self) -> list[str]:
        """All that have a journal, `PLATFORM` too."""
        folder = self._journals.folder
        open_parts = {path.stem for path in folder.glob("*.jsonl")}
        return sorted(open_parts | {path.name for path in folder.iterdir() if path.is_dir()})

    def segments(self, run_id: str) -> list[Segment]:
        """The closed parts of a journal."""
        return segments_of(segment_folder(journal_path(self._journals.folder, run_id)))

    async def fetch(self, run_id: str, segment: Segment) -> None:
        """
        Bring back a segment that was given up here.

        Raises:
            PlatformError: the store has none, another, or is away.
        """
        data = await self._objects.get_key(segment_key(run_id, segment))
        await asyncio.to_thread(come_back, segment, data)

    def is_stored(self, run_id: str, segment: Segment) -> bool:
        """Whether a compressed segment is in the store, as this process has seen."""
        return segment_key(run_id, segment) in self._stored

    def _unsettled(self) -> list[str]:
        return [run_id for run_id in self.runs() if self._is_unsettled(run_id)]

    def _is_unsettled(self, run_id: str) -> bool:
        if any(segment.suffix != AWAY for segment in self.segments(run_id)):
            return True
        return run_id != PLATFORM and not is_settled(journal_path(self._journals.folder, run_id))

    async def _bring_up_to_date(self, run_id: str) -> None:
        while True:
            try:
                await self._store_segments(run_id)
                if run_id != PLATFORM:
                    await self._make_files(run_id)
                return
            except SegmentAway as away:
                await self.fetch(run_id, away.segment)

    async def _store_segments(self, run_id: str) -> None:
        """Compress what was closed, and put it into the store."""
        for segment in await asyncio.to_thread(self.segments, run_id):
            if segment.suffix == AWAY or self.is_stored(run_id, segment):
                continue
            if segment.suffix == PLAIN:
                segment = await asyncio.to_thread(compress, segment)
            async for attempt in stamina.retry_context(
                on=Unavailable, attempts=None, timeout=None, wait_max=30.0
            ):
                with attempt:
                    await self._store_segment(run_id, segment)

    async def _store_segment(self, run_id: str, segment: Segment) -> None:
        key = segment_key(run_id, segment)
        there = await self._objects.head(key)
        size_bytes = await asyncio.to_thread(lambda: segment.path.stat().st_size)
        if there is None or there.size_bytes != size_bytes:
            there = await self._objects.put_file(key, segment.path)
        await self._tell(run_id, (there,), "segment")
        self._stored.add(key)

    async def _make_files(self, run_id: str) -> None:
        run = self._run(run_id)
        await asyncio.to_thread(run.advance, await asyncio.to_thread(self._journals.end, run_id))
        async for attempt in stamina.retry_context(
            on=Unavailable, attempts=None, timeout=None, wait_max=30.0
        ):
            with attempt:
                for file in run.due():
                    await self._store(run, file)
                if (cause := run.journal_due) is not None:
                    await self._store_journal(run, cause)

    async def _store(self, run: RunLog, file: DueFile) -> None:
        data = await asyncio.to_thread(file.make)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        there = await self._objects.head(file.key)
        if there is None or there.sha256 != digest:
            there = await self._objects.put(file.key, data)
        await self._tell(run.run_id, (there,), file.kind, file.episodes, file.cause)
        run.archived(file.key, file.episodes)

    async def _store_journal(self, run: RunLog, cause: str) -> None:
        """
        The open part as far as it was read; the lines behind tell what became of its files.

        Nothing is put where all that was read lies in segments.
        """
        while True:
            base = await asyncio.to_thread(self._base, run.run_id)
            artifacts: tuple[ObjectRef, ...] = ()
            if run.offset > base:
                key = layout.journal_file(run.run_id, run.path.name)
                with suppress(FileNotFoundError):  # it was closed in this moment
                    artifacts = (await self._objects.put_file(key, run.path, run.offset - base),)
            if base == await asyncio.to_thread(self._base, run.run_id):
                break
            await self._store_segments(run.run_id)
        await self._tell(run.run_id, artifacts, "journal", run.episodes, cause)
        run.journal_archived(cause)

    def _base(self, run_id: str) -> int:
        """Bytes of a journal before its open part."""
        segments = self.segments(run_id)
        return segments[-1].end if segments else 0

    async def _tell(
        self,
        run_id: str,
        artifacts: tuple[ObjectRef, ...],
        kind: str,
        episodes: int = 0,
        cause: str | None = None,
    ) -> None:
        # The same file under the same id: it is told once, whatever died after it was put.
        named = [f"{artifact.uri} {artifact.sha256}" for artifact in artifacts] or [str(cause)]
        identity = hashlib.sha256(" ".join(named).encode()).hexdigest()[:32]
        told = {"id": identity, "run_id": run_id, "cause": cause, "artifacts": artifacts}
        await self._publish(
            LogArchived.model_validate({**told, "kind": kind, "episodes": episodes})
        )

    def _run(self, run_id: str) -> RunLog:
        if (run := self._runs.get(run_id)) is None:
            while len(self._runs) >= RUNS_IN_MEMORY:
                self._runs.popitem(last=False)
            run = RunLog(journal_path(self._journals.folder, run_id), run_id)
            self._runs[run_id] = run
        self._runs.move_to_end(run_id)
        return run


def segment_key(run_id: str, segment: Segment) -> str:
    """Where the store has a closed part of a journal."""
    return layout.journal_file(run_id, f"{segment.name}{COMPRESSED}")
