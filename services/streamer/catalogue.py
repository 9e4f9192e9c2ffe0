"""All runs, for the picker."""

from libs.common.events import ANY, PLATFORM, Message
from services.streamer.life import RunLife, Status
from services.streamer.shown import Shown


class RunSummary(Shown):
    """One line of the picker."""

    run_id: str
    status: Status
    track: str
    reason: str
    queued_at_s: float | None
    started_at_s: float | None
    ended_at_s: float | None


class RunList(Shown):
    """Running ones first, then the newest; `total` counts those that were cut off too."""

    runs: list[RunSummary]
    total: int


class Catalogue:
    """The lives of all runs that the event stream knows."""

    def __init__(self) -> None:
        self._lives: dict[str, RunLife] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._lives

    def apply(self, event: Message) -> None:
        """Take the next event of any run's life."""
        if event.run_id in (ANY, PLATFORM):
            return
        life = self._lives.setdefault(event.run_id, RunLife())
        life.apply(event)
        if life.status == "deleted":
            del self._lives[event.run_id]

    def newest(self, limit: int) -> RunList:
        """At most `limit` runs, what is running first."""
        lives = sorted(
            self._lives.items(),
            key=lambda item: (item[1].status == "running", item[1].newest_s),
            reverse=True,
        )
        runs = [_summary(run_id, life) for run_id, life in lives[:limit]]
        return RunList(runs=runs, total=len(lives))


def _summary(run_id: str, life: RunLife) -> RunSummary:
    return RunSummary(
        run_id=run_id,
        status=life.status,
        track=life.track,
        reason=life.reason,
        queued_at_s=life.queued_at_s,
        started_at_s=life.started_at_s,
        ended_at_s=life.ended_at_s,
    )
