"""One attempt of one run in this trainer: its learner, its lease, its progress."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from libs.common.bus import Bus
from libs.common.errors import NotFound
from libs.common.events import Event
from libs.common.tasks import end
from services.trainer.learner_handle import LearnerHandle
from services.trainer.order import LearnerOrder, LearnerReport
from services.trainer.run_table import RunTable
from services.trainer.runs import PROGRESS_EVENTS, RunRecord
from services.trainer.spares import Spares

RENEW_S = 1.0
"""How often the lease is renewed and the progress written down."""
LEAVE_S = 3.0
"""How long a learner may take to leave before it is killed."""


class Attempt:
    """
    Trains a claimed run until its learner ends, whichever way.

    The record in the table is the truth: where it says that the run is another trainer's by now,
    the learner here is ended and nothing is written.
    """

    def __init__(
        self,
        record: RunRecord,
        bus: Bus,
        table: RunTable,
        command: Sequence[str],
        spares: Spares,
        lease_s: float,
        log: Any,
    ) -> None:
        assert record.owner is not None
        self.run_id, self._owner = record.run_id, record.owner
        self._record = record  # with the progress that is not written down yet
        self._bus, self._table = bus, table
        self._command, self._spares, self._lease_s = command, spares, lease_s
        self._log = log.bind(run_id=record.run_id, attempt=record.attempt)
        self._learner: LearnerHandle | None = None
        self._lost = False
        self._leaving = False
        self._asked_to_stop = False

    async def run(self) -> None:
        """Live through the attempt; returns when the run is ended, queued again, or lost."""
        await self._catch_up()
        self._record = await self._table.change(self.run_id, self._with_progress)
        self._record = await self._table.change(self.run_id, RunRecord.begun)
        report = await self._train()
        await self._catch_up()
        await self._conclude(report)

    async def leave(self) -> None:
        """The trainer stops: end the learner, so that the run goes back to the queue."""
        self._leaving = True
        if self._learner is not None:
            await self._learner.leave(LEAVE_S)

    # -- the learner -----------------------------------------------------------------------

    async def _train(self) -> LearnerReport | None:
        if self._leaving:
            return None
        try:
            self._learner = await self._spares.start(self._command, self._order())
        except FileNotFoundError:  # it was there when the run was queued, or on another machine
            engine = self._record.spec.engine
            reason = f"{self._command[0]} is missing, which engine {engine!r} needs"
            return LearnerReport(outcome="failed", reason=reason)
        self._log.info("learner started", resumed_from=getattr(self._record.last, "name", None))
        beside = [
            asyncio.create_task(self._beside(self._follow())),
            asyncio.create_task(self._beside(self._hold())),
        ]
        try:
            return await self._learner.report()
        finally:
            await self._learner.leave(LEAVE_S)
            await end(*beside)

    async def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Without this work the learner must not go on."""
        assert self._learner is not None
        try:
            await work
        except Exception:
            self._log.exception("the attempt can't be followed; its learner is ended")
            await self._learner.leave(LEAVE_S)

    def _order(self) -> LearnerOrder:
        record = self._record
        return LearnerOrder(
            run_id=self.run_id,
            attempt=record.attempt,
            spec=record.spec,
            track=record.track,
            start=record.start,
            start_metadata=record.start_metadata,
            resume=record.last,
        )

    async def _conclude(self, report: LearnerReport | None) -> None:
        """Write down how the attempt ended, unless the run is another's."""

        def concluded(current: RunRecord) -> RunRecord:
            if self._lost or not current.held_by(self._owner):
                return current
            record = self._with_progress(current)
            if report is not None:
                return record.over(report.outcome, report.reason)
            return record.interrupted(self._why(), barren=not self._leaving)

        try:
            record = await self._table.change(self.run_id, concluded)
        except NotFound:
            return
        self._log.info("attempt ended", status=record.status, reason=record.reason or self._why())

    def _why(self) -> str:
        if self._leaving:
            return "the trainer stops"
        code = self._learner.exit_code if self._learner else None
        return f"the learner ended without a report (exit code {code})"

    # -- beside the learner ----------------------------------------------------------------

    async def _follow(self) -> None:
        after = self._record.followed
        async for received in self._bus.follow(self.run_id, classes=PROGRESS_EVENTS, after=after):
            self._see(received.message, received.sequence)

    async def _catch_up(self) -> None:
        """Count what is in the stream and has not been counted."""
        async for received in self._bus.follow(
            self.run_id, classes=PROGRESS_EVENTS, after=self._record.followed, live=False
        ):
            self._see(received.message, received.sequence)

    def _see(self, event: object, sequence: int) -> None:
        assert isinstance(event, Event)
        self._record = self._record.having_seen(event, sequence)

    async def _hold(self) -> None:
        """Renew the lease, write the progress down, pass wishes on."""
        while not self._lost:
            await asyncio.sleep(RENEW_S)
            try:
                record = await self._table.change(self.run_id, self._renewed)
            except NotFound:
                self._lost = True
                break
            self._lost = not record.held_by(self._owner)
            self._pass_on(record)
        assert self._learner is not None
        self._log.warning("another trainer has the run now; its learner here is ended")
        await self._learner.leave(LEAVE_S)

    def _renewed(self, current: RunRecord) -> RunRecord:
        if not current.held_by(self._owner):
            return current
        until_s = time.time() + self._lease_s
        return self._with_progress(current).model_copy(update={"lease_until_s": until_s})

    def _with_progress(self, current: RunRecord) -> RunRecord:
        """The record as it is in the table, with what was counted here."""
        mine = self._record
        if current.followed >= mine.followed:
            return current
        return current.model_copy(
            update={
                name: getattr(mine, name)
                for name in ("progress", "followed", "best", "last", "barren_attempts")
            }
        )

    def _pass_on(self, record: RunRecord) -> None:
        if record.wish is None or self._asked_to_stop or self._learner is None:
            return
        self._asked_to_stop = True
        self._log.info("asked to stop", reason=record.wish.reason)
        self._learner.ask_to_stop(record.wish.reason)
