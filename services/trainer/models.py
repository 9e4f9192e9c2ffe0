"""What training has brought forth: the checkpoints of runs and the files in the store."""

from libs.common.bus import Bus
from libs.common.deepracer import layout
from libs.common.deepracer.run_spec import CheckpointChoice
from libs.common.errors import Conflict, InvalidInput, NotFound
from libs.common.events import CheckpointRef, CheckpointSaved, EvaluationEnded
from libs.common.objects import ObjectStore, split_uri
from services.trainer.run_table import RunTable
from services.trainer.runs import RunRecord


class Models:
    """Checkpoints by run, and the objects below a run's folder."""

    def __init__(self, bus: Bus, objects: ObjectStore, table: RunTable) -> None:
        self._bus, self._objects, self._table = bus, objects, table

    def runs(self) -> list[RunRecord]:
        """Runs that have a checkpoint, the newest first."""
        having = [record for record in self._table.all() if record.last is not None]
        return sorted(having, key=lambda record: record.created_at, reverse=True)

    async def checkpoint(self, run_id: str, choice: CheckpointChoice) -> CheckpointRef:
        """
        One checkpoint of a run.

        Raises:
            NotFound: there is no such run.
            Conflict: it has no checkpoint yet.
            InvalidInput: it has none of that number; those that there are are named.
        """
        record = await self._table.get(run_id)
        if record.last is None:
            raise Conflict(f"run {run_id!r} has no checkpoint yet")
        if choice == "last":
            return record.last
        if choice == "best":
            return record.best or record.last
        checkpoints = await self.checkpoints(record)
        for checkpoint in checkpoints:
            if checkpoint.number == choice:
                return checkpoint
        known = ", ".join(str(checkpoint.number) for checkpoint in checkpoints)
        raise InvalidInput(
            f"run {run_id!r} has no checkpoint {choice}; accepted: best, last, {known}"
        )

    async def checkpoints(self, record: RunRecord) -> list[CheckpointRef]:
        """Those whose policy is still in the store, the oldest first."""
        found = {c.number: c for c in (record.best, record.last) if c is not None}
        async for received in self._bus.follow(
            record.run_id, classes=[CheckpointSaved], after=record.since, live=False
        ):
            assert isinstance(received.message, CheckpointSaved)
            checkpoint = received.message.checkpoint
            found[checkpoint.number] = checkpoint
        there = {key for key, _ in await self.files(record.run_id)}
        kept = (found[number] for number in sorted(found))
        return [item for item in kept if split_uri(item.policy.uri)[1] in there]

    async def evaluations(self, record: RunRecord) -> list[EvaluationEnded]:
        """Every evaluation of its checkpoints, the learner's own ones too, the oldest first."""
        follow = self._bus.follow(
            record.run_id, classes=[EvaluationEnded], after=record.since, live=False
        )
        events = [received.message async for received in follow]
        return [event for event in events if isinstance(event, EvaluationEnded)]

    async def files(self, run_id: str) -> list[tuple[str, int]]:
        """Keys and sizes in bytes of all objects of a run."""
        return [item async for item in self._objects.keys(f"{layout.run_prefix(run_id)}/")]

    async def find_file(self, run_id: str, path: str) -> tuple[str, int]:
        """
        Key and size in bytes of a run's file.

        Raises:
            NotFound: no such run or file. InvalidInput: the path leads out of the run's folder.
        """
        parts = path.split("/")
        if "\\" in path or any(part in ("", ".", "..") for part in parts):
            raise InvalidInput(f"file {path!r}; accepted: a path inside the run's folder")
        await self._table.get(run_id)
        key = f"{layout.run_prefix(run_id)}/{path}"
        found = await self._objects.head(key)
        if found is None:
            raise NotFound(f"run {run_id!r} has no file {path!r}")
        return key, found.size_bytes
