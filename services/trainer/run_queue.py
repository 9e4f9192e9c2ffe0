"""What may be asked of a run: queue, stop, resume, clone, delete. REST and commands come here."""

import asyncio
from datetime import UTC, datetime

from libs.common.bus import Bus
from libs.common.deepracer import layout
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.deepracer.support import check_start, check_supported
from libs.common.errors import Conflict, NotFound
from libs.common.events import CheckpointRef, ObjectRef, RunDeleted, TrackRef
from libs.common.objects import ObjectStore
from services.trainer.coach.environment import CoachEnvironment
from services.trainer.models import Models
from services.trainer.problems import Problems
from services.trainer.run_files import run_files
from services.trainer.run_table import RunTable
from services.trainer.runs import RunRecord
from services.trainer.submissions import Submission
from services.trainer.tracks_catalogue import TracksCatalogue
from services.trainer.transfer import describe_transfer

ABANDONED_S = 5.0
"""A run whose files are not in the store after this long was left so by a trainer that died."""


class RunQueue:
    """The queue's front: everything here may be asked again without harm."""

    def __init__(
        self,
        bus: Bus,
        objects: ObjectStore,
        table: RunTable,
        tracks: TracksCatalogue,
        models: Models,
        coach: CoachEnvironment,
    ) -> None:
        self._bus, self._objects, self._table = bus, objects, table
        self._tracks, self._models, self._coach = tracks, models, coach

    async def queue(self, submission: Submission) -> RunRecord:
        """
        Put a run into the queue; the same request again gives the run that it made.

        Raises:
            InvalidInput: what the learner does not take, an unknown track, a start from nothing, an
                engine that is not installed.
            Conflict: another run has the name.
        """
        known = await self._known(submission)
        if known is not None:
            return await self._store(known)
        track, start, source = await self._resolve(submission.spec)
        record = RunRecord(
            spec=submission.spec,
            track=track,
            start=start,
            start_metadata=source,
            warnings=(*submission.warnings, *_told_of(source, submission.spec)),
            priority=submission.priority,
            request=submission.request,
            created_at=datetime.now(UTC),
        )
        await self._table.create(record)
        return await self._store(record)

    async def check(self, spec: RunSpec) -> tuple[str, ...]:
        """
        Refuse what `queue` would refuse; what it would tell of a start.

        Raises:
            InvalidInput: every problem.
        """
        _, _, source = await self._resolve(spec)
        return _told_of(source, spec)

    async def stop(self, run_id: str, reason: str) -> RunRecord:
        """End a run after its current update, or at once where it waits. Raises `NotFound`."""
        return await self._table.change(run_id, lambda record: record.wished_to_stop(reason))

    async def resume(self, run_id: str) -> RunRecord:
        """Back into the queue. Raises `NotFound`, `Conflict` where it has not ended."""
        record = await self._table.get(run_id)
        files = await self._put_files(record.spec)
        return await self._table.change(run_id, lambda current: current.resumed(files))

    async def delete(self, run_id: str) -> None:
        """Forget a run and its objects. Raises `NotFound`, `Conflict` where it runs."""
        await self._table.change(run_id, RunRecord.wished_to_delete)
        keys = [key async for key, _ in self._objects.keys(f"{layout.run_prefix(run_id)}/")]
        for key in keys:
            await self._objects.delete(key)
        await self._bus.publish(RunDeleted(run_id=run_id))
        await self._table.delete(run_id)

    async def make_up(self) -> None:
        """Finish what a trainer left undone when it died: files to store, events to publish."""
        for run_id in self._table.left_untold():
            await self._table.tell(run_id)
        now = datetime.now(UTC)
        for record in self._table.all():
            abandoned = (now - record.created_at).total_seconds() > ABANDONED_S
            if abandoned and not record.files_stored:
                await self._store(record)

    async def _known(self, submission: Submission) -> RunRecord | None:
        try:
            record = await self._table.get(submission.spec.name)
        except NotFound:
            return None
        if submission.request is not None and record.request == submission.request:
            return record
        raise Conflict(f"a run with the name {record.run_id!r} exists already; choose another name")

    async def _resolve(
        self, spec: RunSpec
    ) -> tuple[TrackRef, CheckpointRef | None, ModelMetadata | None]:
        problems = Problems()
        with problems.noted():
            check_supported(spec)
        with problems.noted():
            if spec.engine == "coach":
                await asyncio.to_thread(self._coach.check)
        track = start = source = None
        with problems.noted():
            track = await self._tracks.resolve(spec.track)
        with problems.noted():
            if spec.start is not None:
                source = (await self._table.get(spec.start.run)).spec
                check_start(spec, source)
                start = await self._models.checkpoint(spec.start.run, spec.start.checkpoint)
        problems.raise_all()
        assert track is not None
        return track, start, source.metadata if source else None

    async def _store(self, record: RunRecord) -> RunRecord:
        if record.files_stored:
            return record
        files = await self._put_files(record.spec)
        return await self._table.change(record.run_id, lambda current: current.queued(files))

    async def _put_files(self, spec: RunSpec) -> tuple[ObjectRef, ...]:
        files = await asyncio.to_thread(run_files, spec)
        puts = (self._objects.put(key, data) for key, data in files.items())
        return tuple(await asyncio.gather(*puts))


def _told_of(source: ModelMetadata | None, spec: RunSpec) -> tuple[str, ...]:
    """What is taken of the run that this one begins with."""
    taken = describe_transfer(source, spec.metadata) if source else None
    return (f"start: {taken}",) if taken else ()
