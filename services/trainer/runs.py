"""
The record of a run and its transitions: from the queue to its end, and back.

Records are values; every transition returns a new one. What a transition has to tell the world
lies in its `outbox` until it has been published, so that a trainer that dies between the two is
made up for by another one.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, Self

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import LimitsSpec, RunSpec
from libs.common.errors import Conflict
from libs.common.events import (
    BestCheckpointChosen,
    CheckpointRef,
    CheckpointSaved,
    EpisodeEnded,
    Event,
    IterationEnded,
    ObjectRef,
    Outcome,
    RunEnded,
    RunInterrupted,
    RunQueued,
    RunStarted,
    TrackRef,
    Value,
)

Status = Literal["queued", "running", "finished", "stopped", "failed"]
ENDED: tuple[Status, ...] = ("finished", "stopped", "failed")

MOST_BARREN_ATTEMPTS = 5
"""A learner that dies this often without a new checkpoint in between dies for a reason."""

PROGRESS_EVENTS = (IterationEnded, EpisodeEnded, CheckpointSaved, BestCheckpointChosen)
"""What `RunRecord.having_seen` takes in."""


class Progress(Value):
    """How far a run has come, over all its attempts."""

    iteration: int = 0  # iterations that ended
    episodes: int = 0  # training episodes that ended
    env_steps: int = 0
    steps_per_s: float = 0.0  # of the last iteration
    elapsed_s: float = 0.0  # wall-clock of learning
    completion_ratio: float | None = None  # 0..1, of the last iteration with episodes
    mean_progress_pct: float | None = None  # the same
    best_lap_s: float | None = None  # of training episodes
    time_left_s: float | None = None  # until the first limit at the present pace


class Wish(Value):
    """What somebody asked for while a run could not be changed at once."""

    action: Literal["stop", "delete"]
    reason: str


class RunRecord(Value):
    """All that is known of one run, as the table `runs` holds it."""

    spec: RunSpec
    track: TrackRef
    start: CheckpointRef | None = None  # of another run, chosen when this one was queued
    start_metadata: ModelMetadata | None = None  # of that run
    warnings: tuple[str, ...] = ()
    priority: int = 0
    request: str | None = None  # of which request or command it came, to know it again
    created_at: datetime
    files_stored: bool = False  # before that nobody may claim it
    since: int = 0  # the event stream's sequence of the first RunQueued

    status: Status = "queued"
    reason: str | None = None
    attempt: int = 0
    barren_attempts: int = 0  # since the last checkpoint
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end_event: str | None = None  # id of the RunEnded that is valid
    wish: Wish | None = None

    owner: str | None = None
    lease_until_s: float = 0.0  # epoch seconds

    progress: Progress = Progress()
    followed: int = 0  # the sequence up to which `progress` has counted
    best: CheckpointRef | None = None
    last: CheckpointRef | None = None

    outbox: tuple[str, ...] = ()  # events as JSON that are still to be published

    @property
    def run_id(self) -> str:
        """Its key: the run's name."""
        return self.spec.name

    @property
    def ended(self) -> bool:
        """Whether nobody works on it and nobody will by themselves."""
        return self.status in ENDED

    def changed(self, *events: Event, **fields: Any) -> Self:
        """A copy with other fields, and events that tell of it."""
        told = tuple(event.model_dump_json() for event in events)
        return self.model_copy(update={**fields, "outbox": self.outbox + told})

    # -- into the queue --------------------------------------------------------------------

    def queued(self, files: tuple[ObjectRef, ...]) -> Self:
        """With its files in the store it may be claimed."""
        if self.files_stored:
            return self
        return self.changed(self._queued_event(files), files_stored=True)

    def resumed(self, files: tuple[ObjectRef, ...]) -> Self:
        """Back in the queue after its end. Raises `Conflict` where it has not ended."""
        if not self.ended or self.wish is not None:
            raise Conflict(
                f"run {self.run_id!r} is {self._state()}; only an ended run can be resumed"
            )
        return self.changed(
            self._queued_event(files),
            status="queued",
            reason=None,
            ended_at=None,
            end_event=None,
            barren_attempts=0,
        )

    def _queued_event(self, files: tuple[ObjectRef, ...]) -> RunQueued:
        return RunQueued(
            run_id=self.run_id,
            cause=self.request,
            spec=self.spec,
            track=self.track,
            priority=self.priority,
            warnings=self.warnings,
            artifacts=files,
        )

    # -- claimed, held, let go -------------------------------------------------------------

    def claimable(self, now_s: float) -> bool:
        """Whether a trainer may take it: it waits, or the trainer that had it is dead."""
        if not self.files_stored:
            return False
        return self.status == "queued" or (self.status == "running" and self.lease_until_s < now_s)

    def claimed(self, owner: str, now_s: float, lease_s: float) -> Self:
        """
        In the hands of this owner. Raises `Conflict` where another one was faster.

        A run that somebody wished to stop, or whose learners die again and again, is ended.
        """
        if not self.claimable(now_s):
            raise Conflict(f"run {self.run_id!r} is {self._state()}; it can't be claimed")
        record = self
        if self.status == "running":
            record = self.interrupted(f"trainer {self.owner} was not heard of any more")
        if record.ended:
            return record
        return record.changed(
            status="running",
            owner=owner,
            lease_until_s=now_s + lease_s,
            attempt=record.attempt + 1,
            started_at=record.started_at or datetime.now(UTC),
        )

    def held_by(self, owner: str) -> bool:
        """Whether this owner has it."""
        return self.status == "running" and self.owner == owner

    def begun(self) -> Self:
        """Tell that an attempt begins, and from where."""
        assert self.owner is not None
        event = RunStarted(
            run_id=self.run_id, attempt=self.attempt, trainer=self.owner, resumed_from=self.last
        )
        return self.changed(event)

    def interrupted(self, reason: str, *, barren: bool = True) -> Self:
        """
        Back in the queue because an attempt ended before the run did.

        `barren` attempts count towards the end of the run's patience.
        """
        event = RunInterrupted(run_id=self.run_id, attempt=self.attempt, reason=reason)
        barren_attempts = self.barren_attempts + barren
        record = self.changed(
            event, status="queued", owner=None, lease_until_s=0.0, barren_attempts=barren_attempts
        )
        if record.wish is not None:
            return record.over("stopped", record.wish.reason)
        if barren_attempts >= MOST_BARREN_ATTEMPTS:
            return record.over(
                "failed",
                f"{barren_attempts} attempts in a row ended without a new checkpoint;"
                f" the last one: {reason}",
            )
        return record

    # -- the end ---------------------------------------------------------------------------

    def over(self, outcome: Outcome, reason: str) -> Self:
        """Ended; where no evaluation chose a best checkpoint, the last one is it."""
        best = self.best or self.last
        event = RunEnded(
            run_id=self.run_id,
            outcome=outcome,
            reason=reason,
            started_at=self.started_at,
            iterations=self.progress.iteration,
            episodes=self.progress.episodes,
            env_steps=self.progress.env_steps,
            best=best,
            last=self.last,
        )
        return self.changed(
            event,
            status=outcome,
            reason=reason,
            best=best,
            ended_at=event.at,
            end_event=event.id,
            owner=None,
            lease_until_s=0.0,
            wish=None,
        )

    def wished_to_stop(self, reason: str) -> Self:
        """Stopped where it waits; where it runs, its trainer is asked to. Ended stays ended."""
        if self.ended:
            return self
        if self.status == "queued":
            return self.over("stopped", reason)
        return self.changed(wish=self.wish or Wish(action="stop", reason=reason))

    def wished_to_delete(self) -> Self:
        """Out of everybody's reach from now on. Raises `Conflict` where it runs."""
        if self.status == "running":
            raise Conflict(f"run {self.run_id!r} is running; stop it before it is deleted")
        if self.status == "queued":
            return self.over("stopped", "deleted").wished_to_delete()
        return self.changed(wish=Wish(action="delete", reason="deleted"))

    def _state(self) -> str:
        return "being deleted" if self.wish and self.wish.action == "delete" else self.status

    # -- progress --------------------------------------------------------------------------

    def having_seen(self, event: Event, sequence: int) -> Self:
        """With one event of the run counted; one that was counted before changes nothing."""
        if sequence <= self.followed:
            return self
        changes: dict[str, Any] = {"followed": sequence}
        match event:
            case IterationEnded():
                changes["progress"] = _with_iteration(self.progress, event, self.spec.limits)
            case EpisodeEnded(phase="training"):
                changes["progress"] = _with_episode(self.progress, event)
            case CheckpointSaved():
                changes |= {"last": event.checkpoint, "barren_attempts": 0}
            case BestCheckpointChosen():
                changes["best"] = event.checkpoint
        return self.model_copy(update=changes)


def in_order(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Whose turn it is: the highest priority first, among equals the oldest."""
    return sorted(records, key=lambda record: (-record.priority, record.created_at, record.run_id))


def time_left_s(progress: Progress, limits: LimitsSpec) -> float | None:
    """Seconds until the first limit is reached at the pace so far; None where there is none."""
    elapsed_s = progress.elapsed_s
    timed_s = (limits.max_seconds, limits.affordable_s)
    left = [most_s - elapsed_s for most_s in timed_s if most_s is not None]
    counted = (
        (limits.max_episodes, progress.episodes),
        (limits.max_env_steps, progress.env_steps),
        (limits.max_iterations, progress.iteration),
    )
    left += [(most / done - 1) * elapsed_s for most, done in counted if most and done]
    return max(0.0, min(left)) if left else None


def _with_iteration(progress: Progress, event: IterationEnded, limits: LimitsSpec) -> Progress:
    changes: dict[str, Any] = {
        "iteration": event.iteration + 1,
        "env_steps": event.env_steps,
        "steps_per_s": event.steps_per_s,
        "elapsed_s": event.elapsed_s,
    }
    if event.completion_ratio is not None:
        changes["completion_ratio"] = event.completion_ratio
    if event.mean_progress_pct is not None:
        changes["mean_progress_pct"] = event.mean_progress_pct
    seen = progress.model_copy(update=changes)
    return seen.model_copy(update={"time_left_s": time_left_s(seen, limits)})


def _with_episode(progress: Progress, event: EpisodeEnded) -> Progress:
    laps_s = [lap_s for lap_s in (progress.best_lap_s, event.lap_s) if lap_s is not None]
    changes = {"episodes": progress.episodes + 1, "best_lap_s": min(laps_s, default=None)}
    return progress.model_copy(update=changes)
