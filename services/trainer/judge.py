"""Which checkpoint is the best: simulators drive each with its exported policy."""

import time
from collections.abc import Callable

from libs.common.bus import Bus
from libs.common.events import (
    CheckpointRef,
    EvaluatePolicy,
    EvaluationEnded,
    EvaluationFailed,
)
from libs.common.log import get_log
from services.trainer.checkpoint_store import CheckpointStore
from services.trainer.order import LearnerOrder
from services.trainer.ranking import EvaluationShare, Rank, mean_progress_pct, rank

OVERDUE_S = 60.0
"""An evaluation that is out for so long no longer keeps the next one waiting."""


MOST_RESETS = 5
"""
By race rules a trial of a run's own evaluation ends with so many breaches, or with fewer as the run
says. A car that does not know the road yet would be put back a hundred times, and the share of the
run that evaluations may take would be spent before there is anything to choose from.
"""


class Judge:
    """Has checkpoints evaluated, one at a time and beside the learner, never instead of it."""

    def __init__(
        self,
        order: LearnerOrder,
        bus: Bus,
        store: CheckpointStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._order, self._bus, self._store, self._clock = order, bus, store, clock
        self._share = EvaluationShare(order.spec.evaluation.most_share, clock())
        self._asked: dict[str, CheckpointRef] = {}
        self._pending: tuple[str, float] | None = None  # id and when it was asked for
        self._best: Rank | None = None
        self._best_progress_pct = -1.0
        self._complete_in_a_row = 0
        self._log = get_log(run_id=order.run_id)

    async def recall(self) -> None:
        """Remember what earlier attempts of this run found."""
        if trials := await self._store.recall_best():
            self._best = rank(trials, self._order.spec.evaluation.best_by)
            self._best_progress_pct = mean_progress_pct(trials)

    async def consider(self, checkpoint: CheckpointRef, *, promising: bool = False) -> bool:
        """
        Have this checkpoint evaluated unless another one is out or it would cost too much.

        Where evaluations decide on the end of the run, one that is `promising` is worth its cost.

        Returns:
            Whether it is evaluated.
        """
        now_s = self._clock()
        if self._pending is not None:
            if now_s - self._pending[1] < OVERDUE_S:
                return False
            self._settle(self._pending[0])
        if not self._may_end_the_run(promising) and not self._share.affords_another(now_s):
            return False
        name = f"{self._order.run_id}.{self._order.attempt}.checkpoint-{checkpoint.number}"
        self._asked[name] = checkpoint
        self._pending = (name, now_s)
        await self._ask(name, checkpoint)
        return True

    def _may_end_the_run(self, promising: bool) -> bool:
        hopeful = promising or self._complete_in_a_row > 0
        return hopeful and self._order.spec.limits.target_evaluations > 0

    async def _ask(self, name: str, checkpoint: CheckpointRef) -> None:
        order, spec = self._order, self._order.spec
        await self._bus.publish(
            EvaluatePolicy(
                id=name,
                run_id=order.run_id,
                evaluation_id=name,
                policy=checkpoint.policy,
                checkpoint=checkpoint.name,
                track=order.track,
                race=spec.race.model_copy(
                    update={"max_resets": min(spec.race.max_resets, MOST_RESETS)}
                ),
                metadata=spec.metadata,
                reward_function=spec.reward_function,
                trials=spec.evaluation.trials,
                rules=spec.evaluation.rules,
                seed=spec.seed,
                world=spec.world,
                randomisation=spec.randomisation,
            )
        )

    @property
    def best_progress_pct(self) -> float:
        """The best mean progress of an evaluation so far; -1 before the first."""
        return self._best_progress_pct

    async def hear(self, event: EvaluationEnded) -> str | None:
        """Judge a checkpoint by its trials; a sentence where the run has reached its target."""
        checkpoint = self._asked.pop(event.evaluation_id, None)
        if checkpoint is None:
            return None
        self._settle(event.evaluation_id)
        trials = event.trials
        metric = mean_progress_pct(trials)
        clean = sum(trial.clean for trial in trials)
        self._log.info(
            "checkpoint evaluated", checkpoint=checkpoint.name, laps=clean, progress_pct=metric
        )
        self._best_progress_pct = max(metric, self._best_progress_pct)
        found = rank(trials, self._order.spec.evaluation.best_by)
        if self._best is None or found >= self._best:
            self._best = found
            await self._store.choose_best(checkpoint, trials, metric)
        self._complete_in_a_row = self._complete_in_a_row + 1 if clean == len(trials) else 0
        target = self._order.spec.limits.target_evaluations
        if 0 < target <= self._complete_in_a_row:
            return f"every trial completed its lap in {target} evaluations in a row"
        return None

    def hear_failure(self, event: EvaluationFailed) -> None:
        """An evaluation that could not be driven: the next checkpoint has its chance."""
        if self._asked.pop(event.evaluation_id, None) is not None:
            self._settle(event.evaluation_id)
            self._log.warning("evaluation failed", reason=event.reason)

    def _settle(self, evaluation_id: str) -> None:
        if self._pending is not None and self._pending[0] == evaluation_id:
            self._share.note(self._clock() - self._pending[1])
            self._pending = None
