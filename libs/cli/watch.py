"""What a run's events add up to while one watches: pure state, its picture, its words."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from libs.cli.output import shown, shown_duration, shown_share
from libs.common.deepracer.run_spec import LimitsSpec
from libs.common.events import (
    BestCheckpointChosen,
    EpisodeEnded,
    EvaluationEnded,
    IterationEnded,
    LogWritten,
    Message,
    RewardFailed,
    RunEnded,
    RunInterrupted,
    RunQueued,
    RunStarted,
)

SENTENCE = (
    *("iteration", "steps", "completion", "mean progress"),
    *("best lap", "evaluated", "time left"),
)
"""Those of the facts that are told in one line."""


@dataclass
class WatchedRun:
    """A run as its events tell it; `apply` them in order."""

    name: str
    status: str = "queued"
    note: str = ""
    limits: LimitsSpec = field(default_factory=LimitsSpec)
    iteration: IterationEnded | None = None
    episodes: int = 0
    laps: int = 0
    best_lap_s: float | None = None
    best_checkpoint: str | None = None
    best_progress_pct: float | None = None
    queued_at: datetime | None = None
    evaluated: str | None = None  # the laps of the last evaluation
    first_lap_at: datetime | None = None  # of a car that learned, or of one that was evaluated
    ended: RunEnded | None = None

    def apply(self, event: Message) -> None:
        """Take in one event; those that say nothing new to a viewer are passed over."""
        match event:
            case RunQueued():
                self.queued_at, self.limits = event.at, event.spec.limits
            case RunStarted():
                self.status, self.ended = "running", None
                self.note = f"attempt {event.attempt}" if event.attempt > 1 else ""
            case RunInterrupted() | RewardFailed():
                self.note = event.reason
            case IterationEnded():
                self.iteration = event
            case EpisodeEnded():
                self._count(event)
            case EvaluationEnded():
                laps = sum(trial.status == "lap_complete" for trial in event.trials)
                self.evaluated = f"{laps} of {len(event.trials)} laps"
            case BestCheckpointChosen():
                self.best_checkpoint = event.checkpoint.name
                self.best_progress_pct = event.metric
            case RunEnded():
                self.status, self.note, self.ended = event.outcome, event.reason, event

    def _count(self, episode: EpisodeEnded) -> None:
        lap_s = episode.lap_s if episode.status == "lap_complete" else None
        if lap_s is not None:
            self.first_lap_at = self.first_lap_at or episode.at
        if episode.phase == "training":
            self._count_training(lap_s)

    def _count_training(self, lap_s: float | None) -> None:
        self.episodes += 1
        if lap_s is None:
            return
        self.laps += 1
        self.best_lap_s = min(lap_s, self.best_lap_s or lap_s)

    @property
    def time_left_s(self) -> float | None:
        """Until the first limit at the present speed; None where that is not known."""
        if self.ended or self.iteration is None:
            return None
        return estimate_time_left_s(self.limits, self.iteration)

    def facts(self) -> dict[str, str]:
        """What is shown, name by name."""
        last = self.iteration
        best = (
            self.best_checkpoint and f"{self.best_checkpoint} ({shown(self.best_progress_pct)} %)"
        )
        return {
            "iteration": str(last.iteration + 1) if last else "–",
            "episodes": f"{self.episodes}, {self.laps} of them laps",
            "steps": f"{last.env_steps} at {last.steps_per_s:.0f}/s" if last else "–",
            "completion": shown_share(last.completion_ratio if last else None),
            "mean progress": _per_cent(last.mean_progress_pct if last else None),
            "best lap": f"{self.best_lap_s:.2f} s" if self.best_lap_s else "–",
            "evaluated": shown(self.evaluated),
            "best checkpoint": shown(best),
            "elapsed": shown_duration(last.elapsed_s if last else None),
            "time left": shown_duration(self.time_left_s),
        }

    def picture(self) -> RenderableType:
        """For a terminal, drawn anew with every event."""
        grid = Table.grid(padding=(0, 2))
        for name, value in self.facts().items():
            grid.add_row(Text(name, style="dim"), value)
        heading = Text.assemble((self.name, "bold"), "  ", (self.status, _colour(self.status)))
        note = Text(self.note, style="dim")
        return Group(heading, grid, note)

    def sentence(self) -> str:
        """For a log, on one line."""
        facts = self.facts()
        told = ", ".join(f"{name} {facts[name]}" for name in SENTENCE)
        return f"{self.name} {self.status}: {told}"


def estimate_time_left_s(limits: LimitsSpec, last: IterationEnded) -> float | None:
    """Seconds until the first of the run's limits, each at the average speed so far."""
    done_of_limit: list[tuple[float, float | None]] = [
        (last.elapsed_s, limits.max_seconds),
        (last.env_steps, limits.max_env_steps),
        (last.total_episodes, limits.max_episodes),
        (last.iteration + 1, limits.max_iterations),
    ]
    left = [
        max(0.0, (limit - done) / done * last.elapsed_s)
        for done, limit in done_of_limit
        if limit is not None and done > 0
    ]
    return min(left, default=None)


def describe_event(event: Message) -> str:
    """One event as a line of a log."""
    special: dict[type[Message], Callable[[Message], str]] = {
        LogWritten: _log_text,
        EpisodeEnded: _episode_text,
        IterationEnded: _iteration_text,
    }
    tell = special.get(type(event), _plain_text)
    return f"{event.at:%H:%M:%S}  {event.noun}.{event.verb:<10}  {tell(event)}".rstrip()


def _log_text(event: Message) -> str:
    assert isinstance(event, LogWritten)
    fields = " ".join(f"{key}={value}" for key, value in event.fields.items())
    return f"{event.level:<8}{event.service}: {event.message} {fields}"


def _episode_text(event: Message) -> str:
    assert isinstance(event, EpisodeEnded)
    lap = f", lap {event.lap_s:.2f} s" if event.lap_s else ""
    return (
        f"{event.phase} {event.episode}: {event.status}, {event.progress_pct:.0f} %, "
        f"{event.steps} steps, reward {event.reward:.1f}{lap}"
    )


def _iteration_text(event: Message) -> str:
    assert isinstance(event, IterationEnded)
    return (
        f"{event.iteration}: {event.env_steps} steps at {event.steps_per_s:.0f}/s, "
        f"mean progress {_per_cent(event.mean_progress_pct)}"
    )


_ENVELOPE = {"type", "id", "at", "run_id", "cause"}


def _plain_text(event: Message) -> str:
    """The short values of an event; files, specifications and other structures are left out."""
    values = event.model_dump(mode="json", exclude=_ENVELOPE, exclude_none=True)
    short = {k: v for k, v in values.items() if isinstance(v, str | int | float) and v != ""}
    names = {k: v["name"] for k, v in values.items() if isinstance(v, dict) and "name" in v}
    return " ".join(f"{key}={str(value)[:80]}" for key, value in {**short, **names}.items())


def _per_cent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} %"


def _colour(status: str) -> str:
    return {"running": "green", "finished": "green", "failed": "red"}.get(status, "yellow")
