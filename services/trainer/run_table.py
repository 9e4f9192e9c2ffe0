"""The table of all runs: shared by all trainers, changed by compare-and-set only."""

import asyncio
from collections.abc import Callable

import stamina

from libs.common.bus import Bus, Records
from libs.common.errors import Conflict, NotFound
from libs.common.events import RunQueued, decode
from services.trainer.runs import RunRecord

BUCKET = "runs"

Change = Callable[[RunRecord], RunRecord]


class _Raced(Exception):
    """Another process changed the record between our look and our change."""


class RunTable:
    """
    Reads from a copy in memory that follows the table, writes to the table itself.

    What a change tells the world is published after the change is in the table: see `RunRecord`.
    """

    def __init__(self, bus: Bus, records: Records[RunRecord]) -> None:
        self._bus, self._records = bus, records
        self._rows: dict[str, tuple[RunRecord, int]] = {}
        self._changing = set[str]()
        self._changed = asyncio.Event()

    @classmethod
    async def open(cls, bus: Bus) -> "RunTable":
        """The table with everything in it loaded."""
        table = cls(bus, await bus.records(BUCKET, RunRecord))
        table._rows = await table._records.all()
        return table

    async def follow(self) -> None:
        """Keep the copy up to date, for ever."""
        async for row in self._records.follow():
            self._take(row.key, row.value, row.revision)

    async def wait_for_change(self, timeout_s: float) -> None:
        """Return when any run has changed since the last call, or after this long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def wake(self) -> None:
        """Let `wait_for_change` return though no run has changed."""
        self._changed.set()

    def has(self, run_id: str) -> bool:
        """Whether a run has this name."""
        return run_id in self._rows

    def all(self) -> list[RunRecord]:
        """Every run, at most a moment old."""
        return [record for record, _ in self._rows.values()]

    async def get(self, run_id: str) -> RunRecord:
        """The run as it is now. Raises `NotFound`."""
        return (await self._get(run_id))[0]

    async def create(self, record: RunRecord) -> None:
        """Add a run. Raises `Conflict` that quotes the name where it is taken."""
        try:
            revision = await self._records.create(record.run_id, record)
        except Conflict as error:
            raise Conflict(
                f"a run with the name {record.run_id!r} exists already; choose another name"
            ) from error
        self._take(record.run_id, record, revision)

    async def change(self, run_id: str, change: Change) -> RunRecord:
        """
        Apply a transition to the run as it is now, and publish what it tells.

        `change` is called again where another process was faster; what it raises ends the matter.

        Raises:
            NotFound: there is no such run.
        """
        self._changing.add(run_id)
        try:
            record = await self._change(run_id, change)
            return await self._publish_outbox(record) if record.outbox else record
        finally:
            self._changing.discard(run_id)

    def left_untold(self) -> list[str]:
        """Runs with something to tell that is not being published here at this moment."""
        return [
            record.run_id
            for record in self.all()
            if record.outbox and record.run_id not in self._changing
        ]

    async def tell(self, run_id: str) -> None:
        """Publish what a run has to tell; what was told before is dropped by its id."""
        await self.change(run_id, lambda record: record)

    async def delete(self, run_id: str) -> None:
        """Forget a run."""
        await self._records.delete(run_id)
        self._rows.pop(run_id, None)

    async def _publish_outbox(self, record: RunRecord) -> RunRecord:
        events = [decode(item.encode()) for item in record.outbox]
        sequences = {event.id: await self._bus.publish(event) for event in events}
        queued = [sequences[event.id] for event in events if isinstance(event, RunQueued)]

        def told(current: RunRecord) -> RunRecord:
            left = tuple(item for item in current.outbox if item not in record.outbox)
            since = current.since or min(queued, default=0)
            followed = max(current.followed, since)
            return current.model_copy(update={"outbox": left, "since": since, "followed": followed})

        return await self._change(record.run_id, told)

    async def _get(self, run_id: str) -> tuple[RunRecord, int]:
        try:
            return await self._records.get(run_id)
        except NotFound as error:
            raise NotFound(f"no run {run_id!r}") from error

    @stamina.retry(
        on=_Raced, attempts=None, timeout=60.0, wait_initial=0.01, wait_max=0.1, wait_jitter=0.02
    )
    async def _change(self, run_id: str, change: Change) -> RunRecord:
        record, revision = await self._get(run_id)
        changed = change(record)
        if changed == record:
            return record
        try:
            revision = await self._records.update(run_id, changed, revision)
        except Conflict as error:
            raise _Raced from error
        self._take(run_id, changed, revision)
        return changed

    def _take(self, run_id: str, record: RunRecord | None, revision: int) -> None:
        known = self._rows.get(run_id)
        if known is not None and known[1] >= revision:
            return
        if record is None:
            self._rows.pop(run_id, None)
        else:
            self._rows[run_id] = (record, revision)
        self._changed.set()
