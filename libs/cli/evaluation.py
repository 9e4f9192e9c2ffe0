"""Asking for an evaluation and showing what came of it."""

from dataclasses import dataclass
from datetime import datetime

from libs.cli.client import ApiClient
from libs.cli.documents import Evaluation
from libs.cli.output import console, notes, show_document, show_facts, show_table, shown_duration
from libs.cli.watch import WatchedRun

SECONDS_FOR_A_TRIAL = 120.0


@dataclass(frozen=True)
class Timeline:
    """Moments of a run, to be told in seconds since it was queued."""

    queued_at: datetime | None
    first_lap_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, watched: WatchedRun) -> "Timeline":
        """The moments of a run that was watched to its end."""
        ended_at = watched.ended.at if watched.ended else None
        return cls(watched.queued_at, watched.first_lap_at, ended_at)

    def seconds_until(self, moment: datetime | None) -> float | None:
        """From the queueing to a moment; None where one of both is not known."""
        if self.queued_at is None or moment is None:
            return None
        return (moment - self.queued_at).total_seconds()

    def durations(self, evaluated_at: datetime | None) -> dict[str, float | None]:
        """Every span that is told, in seconds."""
        return {
            "queued to first lap": self.seconds_until(self.first_lap_at),
            "queued to end of run": self.seconds_until(self.ended_at),
            "queued to end of evaluation": self.seconds_until(evaluated_at),
        }


def evaluate_and_show(
    client: ApiClient,
    run: str,
    checkpoint: str | int,
    trials: int,
    track: str | None,
    as_json: bool,
    timeline: Timeline | None = None,
    rules: str | None = None,
) -> bool:
    """
    Evaluate and print the trials, with the times of the run if there is a timeline.

    Returns:
        Whether every trial that was asked for completed its lap, never put back on the road.
    """
    asked = client.evaluate(run, checkpoint, trials, track, rules)
    with notes.status(f"evaluating {run} ({checkpoint}), {trials} trials …"):
        result = client.await_evaluation(
            run, asked.evaluation_id, (trials + 1) * SECONDS_FOR_A_TRIAL
        )
    durations = timeline.durations(result.ended_at) if timeline else {}
    if as_json:
        show_document({**result.as_json(), "run": run, "seconds": durations})
    else:
        _show(run, checkpoint, trials, result, durations)
    return completed_laps(result) >= trials


def completed_laps(result: Evaluation) -> int:
    """How many trials went all the way round, never put back on the road."""
    return sum(trial.clean for trial in result.trials)


def _show(
    run: str,
    checkpoint: str | int,
    trials: int,
    result: Evaluation,
    durations: dict[str, float | None],
) -> None:
    show_table(
        ("trial", "status", "progress %", "steps", "lap s", "resets"),
        [
            (t.trial + 1, t.status, t.progress_pct, t.steps, t.lap_s, t.reset_count)
            for t in result.trials
        ],
        title=f"evaluation of {run} ({checkpoint}, greedy)",
    )
    laps = completed_laps(result)
    colour = "green" if laps >= trials else "red"
    console.print(f"[bold {colour}]{laps} of {trials} laps completed[/]")
    show_facts({name: shown_duration(seconds) for name, seconds in durations.items()})
