"""Which runs this trainer has in hand: it claims the next one while there is room."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from libs.common.errors import Conflict, NotFound
from services.trainer.attempt import Attempt
from services.trainer.run_table import RunTable
from services.trainer.runs import RunRecord, in_order


class Claims:
    """The attempts that run here, at most `runs_at_once` of them."""

    def __init__(
        self,
        table: RunTable,
        owner: str,
        runs_at_once: int,
        lease_s: float,
        attempt: Callable[[RunRecord], Attempt],
        log: Any,
    ) -> None:
        self._table, self._owner = table, owner
        self._runs_at_once, self._lease_s = runs_at_once, lease_s
        self._attempt, self._log = attempt, log
        self._running: dict[str, tuple[Attempt, asyncio.Task[None]]] = {}

    @property
    def run_ids(self) -> list[str]:
        """The runs in hand."""
        return list(self._running)

    async def fill(self) -> None:
        """Claim runs in their order while there is room."""
        now_s = time.time()
        waiting = [record for record in self._table.all() if record.claimable(now_s)]
        for record in in_order(waiting):
            if len(self._running) >= self._runs_at_once:
                return
            if record.run_id not in self._running:
                await self._claim(record.run_id)

    async def leave(self) -> None:
        """End every learner; its run goes back to the queue."""
        running = list(self._running.values())
        await asyncio.gather(*(attempt.leave() for attempt, _ in running))
        await asyncio.gather(*(task for _, task in running), return_exceptions=True)

    async def _claim(self, run_id: str) -> None:
        def claimed(current: RunRecord) -> RunRecord:
            return current.claimed(self._owner, time.time(), self._lease_s)

        try:
            record = await self._table.change(run_id, claimed)
        except (Conflict, NotFound):  # another trainer was faster, or it was deleted
            return
        if record.held_by(self._owner):
            attempt = self._attempt(record)
            task = asyncio.create_task(self._live_through(attempt), name=f"attempt {run_id}")
            self._running[run_id] = (attempt, task)

    async def _live_through(self, attempt: Attempt) -> None:
        try:
            await attempt.run()
        except Exception:
            # The lease runs out and somebody takes the run from its last checkpoint.
            self._log.exception("attempt failed", run_id=attempt.run_id)
        finally:
            del self._running[attempt.run_id]
            self._table.wake()
