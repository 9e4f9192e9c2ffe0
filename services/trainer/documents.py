"""What the REST API answers."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from libs.common.deepracer.run_spec import (
    CheckpointChoice,
    EvaluationRules,
    RunSpec,
    StartSpec,
)
from libs.common.events import CheckpointRef, Outcome, ServiceBeat, TrialResult
from libs.common.tracks import Track
from libs.common.tracks.exports import as_document
from services.trainer.evaluations import EvaluationRecord
from services.trainer.heartbeats import SILENT_S
from services.trainer.runs import Progress, RunRecord, Status
from services.trainer.tracks_catalogue import TrackEntry

Points = list[tuple[float, float]]


class RunDocument(BaseModel):
    """One run."""

    id: str
    name: str
    status: Status
    track: str
    priority: int
    attempt: int = Field(description="How often a learner was started; 0 before the first time")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: Outcome | None
    reason: str | None = Field(description="What ended the run")
    progress: Progress
    best: CheckpointRef | None
    last: CheckpointRef | None
    warnings: tuple[str, ...]
    spec: RunSpec

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """The document of a record."""
        outcome: Any = record.status if record.ended else None
        return cls(
            id=record.run_id,
            name=record.run_id,
            track=record.track.name,
            outcome=outcome,
            **{
                name: getattr(record, name)
                for name in cls.model_fields
                if name not in ("id", "name", "track", "outcome")
            },
        )


class CheckDocument(BaseModel):
    """A run folder that would be queued."""

    name: str
    warnings: tuple[str, ...]


class StarterDocument(BaseModel):
    """A run folder to begin with."""

    name: str
    files: dict[str, str]


class RunPage(BaseModel):
    """One page of runs, the newest first."""

    items: list[RunDocument]
    next: str | None = Field(description="Cursor of the next page; null on the last one")


class StopRequest(BaseModel):
    """Why a run is stopped."""

    reason: str = Field("stopped by request", min_length=1, max_length=500)


class EvaluationRequest(BaseModel):
    """What to drive; what is left out is as in the run."""

    model_config = {"extra": "forbid"}

    checkpoint: CheckpointChoice = "best"
    trials: int | None = Field(None, ge=1, le=100)
    track: str | None = None
    rules: EvaluationRules | None = None
    opponents: tuple[StartSpec, ...] = Field(
        (), max_length=7, description="Checkpoints to race head-to-model against"
    )


class EvaluationDocument(BaseModel):
    """An evaluation that was asked for."""

    id: str
    evaluation_id: str = Field(description="The same as `id`")
    run: str
    checkpoint: str
    track: str
    status: Literal["pending", "ended", "failed"]
    trials_asked: int
    trials: tuple[TrialResult, ...]
    completed: int = Field(description="Trials that completed their laps, never put back")
    rules: EvaluationRules | None = Field(description="null: it is older than this field")
    opponents: int = Field(description="Other checkpoints on the road")
    reason: str | None = Field(description="Why it could not be driven")
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, record: EvaluationRecord) -> Self:
        """The document of a record."""
        return cls(
            id=record.evaluation_id,
            run=record.run_id,
            track=record.track.name,
            completed=record.completed,
            **record.model_dump(exclude={"run_id", "track", "race"}),
        )


class EvaluationList(BaseModel):
    """The evaluations of a run, the newest first."""

    items: list[EvaluationDocument]


class TrackDocument(BaseModel):
    """One track; lengths in metres."""

    name: str
    built_in: bool
    points: int
    length_m: float
    width_m: float = Field(description="The mean")
    closed: bool
    notes: tuple[str, ...] = Field((), description="What was unusual in the imported file")

    @classmethod
    def of(cls, entry: TrackEntry) -> Self:
        """The document of an entry."""
        built_in = entry.track.source is None
        return cls(name=entry.track.name, built_in=built_in, **entry.model_dump(exclude={"track"}))


class TrackList(BaseModel):
    """Built-in tracks, then imported ones."""

    items: list[TrackDocument]


class TrackShape(BaseModel):
    """A track with its lines, as [x, y] in metres; a closed one does not repeat its first point."""

    name: str
    closed: bool
    direction: Literal["counterclockwise", "clockwise", "open"]
    points: int
    length_m: float
    width_min_m: float
    width_mean_m: float
    width_max_m: float
    bounds_m: tuple[float, float, float, float] = Field(description="x_min, y_min, x_max, y_max")
    notes: tuple[str, ...]
    centre: Points
    inner: Points
    outer: Points

    @classmethod
    def of(cls, track: Track, notes: tuple[str, ...]) -> Self:
        """The shape, rounded to a tenth of a millimetre."""
        return cls.model_validate({**as_document(track), "notes": notes})


class ServiceHealth(BaseModel):
    """One instance of a service as it was last heard."""

    service: str
    instance: str
    ready: bool
    silent: bool = Field(description=f"Not heard for {SILENT_S:g} s")
    age_s: float
    url: str
    started_at_s: float
    detail: dict[str, Any]

    @classmethod
    def of(cls, beat: ServiceBeat, age_s: float) -> Self:
        """The health of one instance."""
        fields = beat.model_dump(include=set(cls.model_fields))
        return cls(**fields, silent=age_s > SILENT_S, age_s=round(age_s, 2))


class Health(BaseModel):
    """Every service that was heard of."""

    ok: bool
    services: list[ServiceHealth]
