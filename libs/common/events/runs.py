"""The life of a run, from the queue to its end."""

from datetime import datetime
from typing import Literal

from libs.common.deepracer.run_spec import RunSpec
from libs.common.events.artifacts import ArtifactEvent
from libs.common.events.base import ANY, Command, Event
from libs.common.events.values import CheckpointRef, TrackRef

Outcome = Literal["finished", "stopped", "failed"]


class StartRun(Command, producer=ANY):
    """Queue a run; the same run twice is one run. `POST /v1/runs` does the same."""

    spec: RunSpec
    priority: int = 0


class StopRun(Command, producer=ANY):
    """End a run after its current update, with a last checkpoint."""

    reason: str = "stopped by request"


class ResumeRun(Command, producer=ANY):
    """Put an ended run back into the queue; it goes on from its last checkpoint."""


class RunQueued(ArtifactEvent, producer="trainer"):
    """The run was accepted; its artifacts are the files of its folder."""

    spec: RunSpec
    track: TrackRef
    priority: int = 0
    warnings: tuple[str, ...] = ()  # what was accepted with reservations, or taken otherwise


class RunStarted(Event, producer="trainer"):
    """A trainer took the run; `attempt` counts from 1 and grows with every restart."""

    attempt: int
    trainer: str
    resumed_from: CheckpointRef | None = None


class RunInterrupted(Event, producer="trainer"):
    """The learner of this attempt died; the run goes back to the queue."""

    attempt: int
    reason: str


class RunEnded(Event, producer="trainer"):
    """The run is over. `reason` says which limit, target, request or error ended it."""

    outcome: Outcome
    reason: str
    started_at: datetime | None = None
    iterations: int = 0
    episodes: int = 0
    env_steps: int = 0
    best: CheckpointRef | None = None
    last: CheckpointRef | None = None


class RunDeleted(Event, producer="trainer"):
    """The run's record and its objects are gone; its journal remains."""
