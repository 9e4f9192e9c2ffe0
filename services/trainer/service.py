"""The trainer: a queue of runs, a learner process for each that it has in hand."""

import asyncio
import hashlib
from typing import Any

from libs.common.events import ResumeRun, StartRun, StopRun
from libs.common.service import Service
from libs.common.tasks import end
from services.trainer.attempt import Attempt
from services.trainer.claims import Claims
from services.trainer.config import TrainerSettings
from services.trainer.models import Models
from services.trainer.run_queue import RunQueue, Submission
from services.trainer.run_table import RunTable
from services.trainer.runs import RunRecord
from services.trainer.tracks_catalogue import TracksCatalogue

LOOK_AGAIN_S = 1.0
"""How often the queue is looked at where nothing has changed: leases run out silently."""


class Trainer(Service[TrainerSettings]):
    """Takes requests over REST and commands, and trains what is in the queue."""

    name = "trainer"

    async def start(self) -> None:
        """Open the tables and take commands."""
        self.table = await RunTable.open(self.bus)
        self.tracks = await TracksCatalogue.open(self.bus, self.objects)
        self.models = Models(self.bus, self.objects, self.table)
        self.queue = RunQueue(self.bus, self.objects, self.table, self.tracks, self.models)
        self.claims = self._claims()
        await self.bus.subscribe(StartRun, self.on_start_run, durable="trainer-start-run")
        await self.bus.subscribe(StopRun, self.on_stop_run, durable="trainer-stop-run")
        await self.bus.subscribe(ResumeRun, self.on_resume_run, durable="trainer-resume-run")

    async def work(self) -> None:
        """Follow the table, claim what waits, finish what a dead trainer left."""
        following = asyncio.create_task(self.table.follow())
        try:
            while not following.done():
                await self.claims.fill()
                await self.queue.make_up()
                await self.table.wait_for_change(LOOK_AGAIN_S)
            following.result()  # raises: without it we see nothing
        finally:
            await end(following)

    async def stop(self) -> None:
        """Put the runs in hand back into the queue."""
        await self.claims.leave()

    async def on_start_run(self, command: StartRun) -> None:
        """Queue a run; the same specification again is the same run."""
        digest = hashlib.sha256(command.spec.model_dump_json().encode()).hexdigest()
        await self.queue.queue(
            Submission(command.spec, priority=command.priority, request=f"command-{digest}")
        )

    async def on_stop_run(self, command: StopRun) -> None:
        """End a run after its current update."""
        await self.queue.stop(command.run_id, command.reason)

    async def on_resume_run(self, command: ResumeRun) -> None:
        """Put an ended run back into the queue."""
        await self.queue.resume(command.run_id)

    def detail(self) -> dict[str, Any]:
        """The runs in hand."""
        return {"runs": self.claims.run_ids} if self.ready else {}

    def _claims(self) -> Claims:
        settings = self.settings

        def attempt(record: RunRecord) -> Attempt:
            command, lease_s = settings.learner_command, settings.lease_s
            return Attempt(record, self.bus, self.table, command, lease_s, self.log)

        return Claims(
            self.table, self.instance, settings.runs_at_once, settings.lease_s, attempt, self.log
        )
