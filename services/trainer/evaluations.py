"""Evaluations that somebody asked for: their records, and what simulators tell of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, Self
from uuid import uuid4

import stamina

from libs.common.bus import Bus, Records
from libs.common.deepracer.run_spec import CheckpointChoice, EvaluationRules, RaceSpec, StartSpec
from libs.common.errors import Conflict, NotFound
from libs.common.events import (
    EvaluatePolicy,
    EvaluationEnded,
    EvaluationFailed,
    Opponent,
    TrackRef,
    TrialResult,
    Value,
)
from services.trainer.models import Models
from services.trainer.run_table import RunTable
from services.trainer.tracks_catalogue import TracksCatalogue

BUCKET = "evaluations"


class EvaluationRecord(Value):
    """One evaluation of one checkpoint."""

    evaluation_id: str
    run_id: str
    checkpoint: str  # its name
    track: TrackRef
    trials_asked: int
    created_at: datetime
    status: Literal["pending", "ended", "failed"] = "pending"
    ended_at: datetime | None = None
    trials: tuple[TrialResult, ...] = ()
    reason: str | None = None
    # What it was judged by; None where it was asked for before that was noted.
    race: RaceSpec | None = None
    rules: EvaluationRules | None = None
    opponents: int = 0  # other checkpoints on the road

    @property
    def completed(self) -> int:
        """Trials that completed their laps without being put back on the road."""
        return sum(trial.clean for trial in self.trials)

    def after(self, event: EvaluationEnded | EvaluationFailed) -> Self:
        """With what came of it; what is known already stays."""
        if self.status != "pending":
            return self
        changes: dict[str, object] = {"ended_at": event.at}
        if isinstance(event, EvaluationEnded):
            changes |= {"status": "ended", "trials": event.trials}
        else:
            changes |= {"status": "failed", "reason": event.reason}
        return self.model_copy(update=changes)


class Evaluations:
    """Asks simulators, and keeps what they answer. The learner's own evaluations are not here."""

    def __init__(
        self,
        bus: Bus,
        records: Records[EvaluationRecord],
        table: RunTable,
        models: Models,
        tracks: TracksCatalogue,
    ) -> None:
        self._bus, self._records = bus, records
        self._table, self._models, self._tracks = table, models, tracks

    @classmethod
    async def open(
        cls, bus: Bus, table: RunTable, models: Models, tracks: TracksCatalogue
    ) -> "Evaluations":
        """The evaluations that all trainers share."""
        return cls(bus, await bus.records(BUCKET, EvaluationRecord), table, models, tracks)

    async def ask(
        self,
        run_id: str,
        choice: CheckpointChoice,
        trials: int | None,
        track: str | None,
        rules: EvaluationRules | None = None,
        opponents: Sequence[StartSpec] = (),
    ) -> EvaluationRecord:
        """
        Have a checkpoint driven, by whichever simulator is free; against `opponents` head-to-model.

        Raises:
            NotFound: no such run. Conflict: one has no checkpoint yet.
            InvalidInput: no such checkpoint or track.
        """
        run = await self._table.get(run_id)
        checkpoint = await self._models.checkpoint(run_id, choice)
        rivals = tuple([await self._meet(opponent) for opponent in opponents])
        where = run.track if track is None else await self._tracks.resolve_input(track)
        now = datetime.now(UTC)
        race = _race_against(run.spec.race) if rivals else run.spec.race
        rules = rules or run.spec.evaluation.rules
        record = EvaluationRecord(
            evaluation_id=f"{now:%Y%m%d-%H%M%S}-{uuid4().hex[:6]}",
            run_id=run_id,
            checkpoint=checkpoint.name,
            track=where,
            trials_asked=trials or run.spec.evaluation.trials,
            created_at=now,
            race=race,
            rules=rules,
            opponents=len(rivals),
        )
        await self._records.create(record.evaluation_id, record)
        await self._bus.publish(
            EvaluatePolicy(
                run_id=run_id,
                evaluation_id=record.evaluation_id,
                policy=checkpoint.policy,
                checkpoint=checkpoint.name,
                track=where,
                race=race,
                metadata=run.spec.metadata,
                reward_function=run.spec.reward_function,
                trials=record.trials_asked,
                seed=run.spec.seed,
                rules=rules,
                opponents=rivals,
                world=run.spec.world,
                randomisation=run.spec.randomisation,
            )
        )
        return record

    async def _meet(self, opponent: StartSpec) -> Opponent:
        run = await self._table.get(opponent.run)
        checkpoint = await self._models.checkpoint(opponent.run, opponent.checkpoint)
        return Opponent(
            policy=checkpoint.policy, checkpoint=checkpoint.name, metadata=run.spec.metadata
        )

    async def get(self, run_id: str, evaluation_id: str) -> EvaluationRecord:
        """One evaluation of a run. Raises `NotFound`."""
        problem = NotFound(f"run {run_id!r} has no evaluation {evaluation_id!r}")
        try:
            record, _ = await self._records.get(evaluation_id)
        except NotFound:
            raise problem from None
        if record.run_id != run_id:
            raise problem
        return record

    async def all(self, run_id: str) -> list[EvaluationRecord]:
        """The evaluations of a run, the newest first. Raises `NotFound` for the run."""
        await self._table.get(run_id)
        mine = [record for record in await self.of_all_runs() if record.run_id == run_id]
        return sorted(mine, key=lambda record: record.evaluation_id, reverse=True)

    async def of_all_runs(self) -> list[EvaluationRecord]:
        """Every evaluation that was asked for."""
        return [record for record, _ in (await self._records.all()).values()]

    async def pending_on(self, track: str) -> list[str]:
        """The ids of evaluations that are yet to be driven on a track."""
        records = await self.of_all_runs()
        pending = (r for r in records if r.status == "pending" and r.track.name == track)
        return [record.evaluation_id for record in pending]

    async def forget(self, run_id: str) -> None:
        """Drop a run's evaluations."""
        for record in await self.of_all_runs():
            if record.run_id == run_id:
                await self._records.delete(record.evaluation_id)

    @stamina.retry(on=Conflict, attempts=None, timeout=60.0, wait_initial=0.01, wait_max=0.1)
    async def take(self, event: EvaluationEnded | EvaluationFailed) -> None:
        """Note what came of an evaluation; one that nobody asked for here is not ours."""
        try:
            record, revision = await self._records.get(event.evaluation_id)
        except NotFound:
            return
        await self._records.update(event.evaluation_id, record.after(event), revision)


def _race_against(race: RaceSpec) -> RaceSpec:
    """The same race with others on the road, all in one direction."""
    return race.model_copy(update={"type": "head_to_model", "alternate_direction": False})
