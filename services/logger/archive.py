"""Puts the files that runs' journals give into the store, one run after the other."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

import stamina

from libs.common.deepracer import layout
from libs.common.errors import Unavailable
from libs.common.events import PLATFORM, LogArchived, ObjectRef
from libs.common.journal import Journals, journal_path
from libs.common.log import get_log
from libs.common.objects import ObjectStore
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

    def _unsettled(self) -> list[str]:
        journals = self._journals.folder.glob("*.jsonl")
        unsettled = {path.stem for path in journals if not is_settled(path)}
        return sorted(unsettled - {PLATFORM})

    async def _bring_up_to_date(self, run_id: str) -> None:
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
        await self._tell(run, there, file.kind, file.episodes, file.cause)
        run.archived(file.key, file.episodes)

    async def _store_journal(self, run: RunLog, cause: str) -> None:
        """The journal as far as it was read; the lines behind tell what became of its files."""
        key = layout.journal_file(run.run_id, run.path.name)
        reference = await self._objects.put_file(key, run.path, run.offset)
        await self._tell(run, reference, "journal", run.episodes, cause)
        run.journal_archived(cause)

    async def _tell(
        self, run: RunLog, artifact: ObjectRef, kind: str, episodes: int, cause: str | None
    ) -> None:
        # The same file under the same id: it is told once, whatever died after it was put.
        identity = hashlib.sha256(f"{artifact.uri} {artifact.sha256}".encode()).hexdigest()[:32]
        told = {"id": identity, "run_id": run.run_id, "cause": cause, "artifacts": (artifact,)}
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
