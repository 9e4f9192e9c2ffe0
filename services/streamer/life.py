"""Where a run is in its life, and for how long it has been active."""

from typing import Literal

from libs.common.events import (
    Event,
    Message,
    RunDeleted,
    RunEnded,
    RunInterrupted,
    RunQueued,
    RunStarted,
)

Status = Literal["unknown", "queued", "running", "finished", "stopped", "failed", "deleted"]

LIFE_EVENTS: tuple[type[Event], ...] = (RunQueued, RunStarted, RunInterrupted, RunEnded, RunDeleted)


class RunLife:
    """Status, attempts and times of one run, from its life's events in order."""

    def __init__(self) -> None:
        self.status: Status = "unknown"
        self.reason = ""
        self.track = ""
        self.attempt = 0
        self.queued_at_s: float | None = None
        self.started_at_s: float | None = None
        self.ended_at_s: float | None = None
        self.running_since_s: float | None = None
        self.active_s = 0.0  # of the attempts that are over

    @property
    def newest_s(self) -> float:
        """When the run last began or was queued, epoch seconds; what "newest run" means."""
        return max(self.queued_at_s or 0.0, self.started_at_s or 0.0, self.ended_at_s or 0.0)

    def apply(self, event: Message) -> None:
        """Take the next event; those that are not of a run's life change nothing."""
        at_s = event.at.timestamp()
        match event:
            case RunQueued():
                self.status, self.reason, self.track = "queued", "", event.track.name
                self.queued_at_s, self.ended_at_s = at_s, None
            case RunStarted():
                self._start(event.attempt, at_s)
            case RunInterrupted():
                self._pause(at_s)
                self.status, self.reason = "queued", event.reason
            case RunEnded():
                self._pause(at_s)
                self.status, self.reason, self.ended_at_s = event.outcome, event.reason, at_s
            case RunDeleted():
                self._pause(at_s)
                self.status, self.reason = "deleted", ""

    def _start(self, attempt: int, at_s: float) -> None:
        self.status, self.reason, self.attempt = "running", "", attempt
        self.started_at_s = self.started_at_s or at_s
        self.running_since_s = self.running_since_s or at_s
        self.ended_at_s = None

    def _pause(self, at_s: float) -> None:
        if self.running_since_s is not None:
            self.active_s += max(at_s - self.running_since_s, 0.0)
        self.running_since_s = None
