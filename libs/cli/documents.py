"""
What the REST API answers, as far as the command line reads it.

Keys that are not named here are kept, so that `--json` shows the whole document.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from libs.common.events import CheckpointRef, TrialResult


class Document(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def as_json(self) -> dict[str, Any]:
        """The whole document."""
        return self.model_dump(mode="json")


class RunProgress(Document):
    """How far a run is."""

    iteration: int = 0
    episodes: int = 0
    env_steps: int = 0
    steps_per_s: float = 0.0
    elapsed_s: float = 0.0
    completion_ratio: float | None = None
    mean_progress_pct: float | None = None
    best_lap_s: float | None = None
    time_left_s: float | None = None


class Run(Document):
    """One run: `GET /v1/runs/{id}`."""

    id: str
    name: str
    status: str
    track: str
    priority: int = 0
    attempt: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    reason: str | None = None
    progress: RunProgress = RunProgress()
    best: CheckpointRef | None = None
    last: CheckpointRef | None = None
    warnings: list[str] = []


class RunPage(Document):
    """One page of runs; `next` is the cursor of the following one."""

    items: list[Run]
    next: str | None = None


class Evaluation(Document):
    """An evaluation that was asked for."""

    evaluation_id: str
    status: Literal["pending", "ended", "failed"] = "pending"
    trials: list[TrialResult] = []
    completed: int = 0
    reason: str | None = None
    ended_at: datetime | None = None


class Track(Document):
    """A track that runs can name."""

    name: str
    built_in: bool = False
    length_m: float | None = None
    width_m: float | None = None
    notes: list[str] = []
    is_new: bool = Field(False, exclude=True)  # the answer's status, no part of it


class ModelFile(Document):
    """One file of a model."""

    path: str
    size_bytes: int | None = None
    url: str | None = None


class Model(Document):
    """The checkpoints and files of one run."""

    run: str
    checkpoints: list[CheckpointRef] = []
    files: list[ModelFile] = []


class ModelPage(Document):
    """One page of models; `next` is the cursor of the following one."""

    items: list[Model]
    next: str | None = None
