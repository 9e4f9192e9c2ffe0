"""The trainer: a queue of runs, a learner process for each that it has in hand."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from fastapi import FastAPI
from prometheus_client.core import Metric

from libs.common.errors import Conflict, InvalidInput
from libs.common.events import (
    EvaluationEnded,
    EvaluationFailed,
    ResumeRun,
    ServiceBeat,
    StartRun,
    StopRun,
)
from libs.common.service import Service
from libs.common.tasks import end
from services.trainer.api import add_routes
from services.trainer.attempt import Attempt
from services.trainer.claims import Claims
from services.trainer.coach.environment import CoachEnvironment
from services.trainer.config import COACH, LEARNER, TrainerSettings
from services.trainer.evaluations import Evaluations
from services.trainer.heartbeats import Heartbeats
from services.trainer.imports import Imports
from services.trainer.measures import run_measures
from services.trainer.model_exports import ModelExports
from services.trainer.models import Models
from services.trainer.requests import Requests
from services.trainer.run_queue import RunQueue
from services.trainer.run_table import RunTable
from services.trainer.runs import RunRecord
from services.trainer.spares import Spares
from services.trainer.submissions import (
    CloneRequest,
    Draft,
    Submission,
    prepare,
    prepare_clone,
    submission_of,
)
from services.trainer.tracks_catalogue import TracksCatalogue

LOOK_AGAIN_S = 1.0
"""How often the queue is looked at where nothing has changed: leases run out silently."""


class Trainer(Service[TrainerSettings]):
    """Takes requests over REST and commands, and trains what is in the queue."""

    name = "trainer"

    def __init__(self, settings: TrainerSettings) -> None:
        super().__init__(settings)
        self.heartbeats = Heartbeats()

    async def start(self) -> None:
        """Open the tables and take commands."""
        self.table = await RunTable.open(self.bus)
        self.tracks = await TracksCatalogue.open(self.bus, self.objects)
        self.models = Models(self.bus, self.objects, self.table)
        self.exports = ModelExports(self.bus, self.objects, self.models)
        self.requests = await Requests.open(self.bus)
        self.evaluations = await Evaluations.open(self.bus, self.table, self.models, self.tracks)
        self.imports = Imports(self.objects, self.table, self.tracks)
        self.coach = CoachEnvironment(Path(self.settings.coach_python or COACH))
        self.queue = RunQueue(
            self.bus, self.objects, self.table, self.tracks, self.models, self.coach
        )
        self.spares = self._spares()
        self.claims = self._claims()
        await self._subscribe()

    async def _subscribe(self) -> None:
        take = self.evaluations.take
        await self.bus.watch(ServiceBeat, self.heartbeats.hear)
        await self.bus.subscribe(EvaluationEnded, take, durable="trainer-evaluation-ended")
        await self.bus.subscribe(EvaluationFailed, take, durable="trainer-evaluation-failed")
        await self.bus.subscribe(StartRun, self.on_start_run, durable="trainer-start-run")
        await self.bus.subscribe(StopRun, self.on_stop_run, durable="trainer-stop-run")
        await self.bus.subscribe(ResumeRun, self.on_resume_run, durable="trainer-resume-run")

    async def work(self) -> None:
        """Follow the table, claim what waits, finish what a dead trainer left."""
        following = asyncio.create_task(self.table.follow())
        try:
            while not following.done():
                await self.claims.fill()
                await self.spares.fill()
                await self.queue.make_up()
                await self.table.wait_for_change(LOOK_AGAIN_S)
            following.result()  # raises: without it we see nothing
        finally:
            await end(following)

    async def stop(self) -> None:
        """Put the runs in hand back into the queue."""
        await asyncio.gather(self.claims.leave(), self.spares.leave())

    async def on_start_run(self, command: StartRun) -> None:
        """Queue a run; the same specification again is the same run."""
        submission = await asyncio.to_thread(submission_of, command)
        await self.queue.queue(submission)

    async def on_stop_run(self, command: StopRun) -> None:
        """End a run after its current update."""
        await self.queue.stop(command.run_id, command.reason)

    async def on_resume_run(self, command: ResumeRun) -> None:
        """Put an ended run back into the queue."""
        await self.queue.resume(command.run_id)

    # -- what the REST API asks for --------------------------------------------------------

    def routes(self, app: FastAPI) -> None:
        """The REST API."""
        add_routes(app, self)

    @property
    def stop_requested(self) -> asyncio.Event:
        """Set once the service is told to stop."""
        return self._stopping

    async def check(self, draft: Draft) -> Submission:
        """
        Read and check what was sent, as `submit` does, and queue nothing.

        Raises:
            InvalidInput, TooLarge: what was sent is refused.
        """
        submission = await asyncio.to_thread(prepare, draft, self.table.has)
        told = await self.queue.check(submission.spec)
        return replace(submission, warnings=(*submission.warnings, *told))

    async def submit(self, draft: Draft, key: str | None) -> tuple[RunRecord, bool]:
        """
        Read, check and queue what was sent; the run, and whether it is new.

        Raises:
            InvalidInput, TooLarge: what was sent is refused.
            Conflict: the name, or the idempotency key, is taken.
        """
        if key is None:
            submission = await asyncio.to_thread(prepare, draft, self.table.has)
            return await self.queue.queue(submission), True
        request, digest = self.requests.id_of(key), await asyncio.to_thread(draft.digest)
        known = await self.requests.find(request, digest)
        if known is not None and self.table.has(known):
            return await self.table.get(known), False
        submission = await asyncio.to_thread(prepare, draft, self.table.has)
        return await self._submit_once(replace(submission, request=request), digest), True

    async def _submit_once(self, submission: Submission, digest: str) -> RunRecord:
        request = submission.request
        assert request is not None
        name = await self.requests.claim(request, digest, submission.spec.name)
        try:
            return await self.queue.queue(submission.named(name))
        except (Conflict, InvalidInput):
            await self.requests.release(request)
            raise

    async def clone(self, record: RunRecord, asked: CloneRequest) -> RunRecord:
        """
        Queue a new run that begins with a checkpoint of this one.

        Raises:
            Conflict: it has no checkpoint yet, or the name is taken.
            InvalidInput: what is changed is refused.
        """
        await self.models.checkpoint(record.run_id, asked.checkpoint)
        submission = await asyncio.to_thread(prepare_clone, record.spec, asked, self.table.has)
        return await self.queue.queue(submission)

    async def delete(self, run_id: str) -> None:
        """Forget a run, its objects and its evaluations."""
        await self.queue.delete(run_id)
        await self.evaluations.forget(run_id)

    async def delete_track(self, name: str) -> None:
        """
        Forget an imported track.

        Raises:
            NotFound: no track has that name.
            Conflict: it is built in, or a run or a pending evaluation refers to it.
        """
        users = [record.run_id for record in self.table.all() if record.track.name == name]
        users += await self.evaluations.pending_on(name)
        await self.tracks.delete(name, users)

    def detail(self) -> dict[str, Any]:
        """The runs in hand."""
        return {"runs": self.claims.run_ids} if self.ready else {}

    def measures(self) -> Iterable[Metric]:
        """The queue, and how far the running runs are."""
        return run_measures(self.table.all()) if self.ready else ()

    def _spares(self) -> Spares:
        settings = self.settings
        # Of what else trains nobody knows whether it can wait for its order.
        most = 0 if settings.learner_command else settings.warm_learners
        return Spares(LEARNER, most, settings.runs_at_once, self.log)

    def _claims(self) -> Claims:
        settings = self.settings

        def attempt(record: RunRecord) -> Attempt:
            engines = {"native": LEARNER, "coach": self.coach.command}
            command = settings.learner_command or engines[record.spec.engine]
            return Attempt(
                record, self.bus, self.table, command, self.spares, settings.lease_s, self.log
            )

        # Never the name alone: two trainers that were given the same one would share their runs.
        owner = f"{self.instance}-{token_hex(3)}"
        return Claims(self.table, owner, settings.runs_at_once, settings.lease_s, attempt, self.log)
