"""What the REST API answers of models and of the races between them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from libs.common.deepracer import layout
from libs.common.deepracer.run_spec import CheckpointChoice, StartSpec
from libs.common.events import CheckpointRef, ObjectRef
from libs.common.objects import split_uri
from services.trainer.differences import Difference
from services.trainer.league import Board, BoardSummary, Place, RankBy
from services.trainer.model_exports import Format
from services.trainer.runs import RunRecord, Status
from services.trainer.scores import Score


class ModelFile(BaseModel):
    """One object of a run."""

    path: str
    size_bytes: int
    url: str = Field(description="Where to download it")


class ModelSummary(BaseModel):
    """A run that has a checkpoint."""

    run: str
    track: str
    status: Status
    created_at: datetime
    start: StartSpec | None = Field(description="The run that it began with")
    best: CheckpointRef | None
    last: CheckpointRef | None
    checkpoints: list[CheckpointRef] = Field(description="The best and the last one")

    @classmethod
    def of(cls, record: RunRecord) -> Self:
        """The summary of a run."""
        best = record.best or record.last
        known = {c.number: c for c in (best, record.last) if c is not None}
        return cls(
            run=record.run_id,
            track=record.track.name,
            status=record.status,
            created_at=record.created_at,
            start=record.spec.start,
            best=best,
            last=record.last,
            checkpoints=[known[number] for number in sorted(known)],
        )


class ModelList(BaseModel):
    """A page of the runs that have a checkpoint, the newest first."""

    items: list[ModelSummary]
    next: str | None = Field(description="The cursor of the next page; null on the last one")


def model_files(run_id: str, files: Iterable[tuple[str, int]]) -> list[ModelFile]:
    """Files of a run by their keys and sizes in bytes, as they are downloaded."""
    prefix, url = f"{layout.run_prefix(run_id)}/", f"/v1/models/{run_id}/files/"
    paths = ((key.removeprefix(prefix), size_bytes) for key, size_bytes in files)
    return [ModelFile(path=path, size_bytes=size, url=url + path) for path, size in paths]


class ModelDocument(ModelSummary):
    """All checkpoints of a run that are still in the store, what they scored, and all its files."""

    checkpoints: list[CheckpointRef]
    scores: list[Score] = Field(description="Of every evaluation, the oldest first")
    files: list[ModelFile]

    @classmethod
    def with_files(
        cls,
        record: RunRecord,
        checkpoints: list[CheckpointRef],
        scores: list[Score],
        files: Iterable[tuple[str, int]],
    ) -> Self:
        """The document; `files` are keys and sizes in bytes."""
        summary = ModelSummary.of(record)
        listed = model_files(record.run_id, files)
        return cls(**{**dict(summary), "checkpoints": checkpoints}, scores=scores, files=listed)


class ExportRequest(BaseModel, extra="forbid"):
    """Which checkpoint, and as what."""

    checkpoint: CheckpointChoice = "best"
    format: Format = "onnx"


class ExportDocument(BaseModel):
    """A checkpoint in a format that others run; it does what the policy does."""

    run: str
    checkpoint: str
    files: list[ModelFile]

    @classmethod
    def of(cls, run_id: str, checkpoint: CheckpointRef, made: Iterable[ObjectRef]) -> Self:
        """The document of an export."""
        files = [(split_uri(each.uri)[1], each.size_bytes) for each in made]
        return cls(run=run_id, checkpoint=checkpoint.name, files=model_files(run_id, files))


class BoardList(BaseModel):
    """The boards of the local league, the newest entry first."""

    items: list[BoardSummary]


class BoardDocument(BaseModel):
    """A board and the models on it, the best first."""

    board: Board
    by: RankBy
    places: list[Place]


class DifferencesDocument(BaseModel):
    """The settings that runs differ in."""

    runs: list[str]
    compared: int = Field(description="Settings, those that are the same in all of them too")
    differences: list[Difference]
