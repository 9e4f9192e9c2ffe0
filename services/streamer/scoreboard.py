"""
The figures and curves of one run, from its events in the order of the stream.

Memory is bounded, however long the run. Applying the same stretch of the stream again changes
nothing: an event at or before `sequence` is known already.
"""

from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import (
    BestCheckpointChosen,
    CheckpointSaved,
    EpisodeEnded,
    EpisodeStatus,
    EvaluationEnded,
    EvaluationFailed,
    Event,
    IterationEnded,
    Message,
    RewardFailed,
    RunQueued,
    TrackRef,
    TrialResult,
)
from services.streamer.action_use import ActionUse, action_use
from services.streamer.curves import Curves, row_of
from services.streamer.life import LIFE_EVENTS, RunLife, Status
from services.streamer.paths import Paths
from services.streamer.peaks import Peaks
from services.streamer.recent import Recent
from services.streamer.shown import Shown

SCORED_EVENTS: tuple[type[Event], ...] = (
    *LIFE_EVENTS,
    IterationEnded,
    EpisodeEnded,
    EvaluationEnded,
    EvaluationFailed,
    BestCheckpointChosen,
    CheckpointSaved,
    RewardFailed,
)
"""What the scoreboard is made of; everything else of a run need not be fetched for it."""

EVALUATIONS = 64


class SessionFigures(Shown):
    """How far the run is. Times are epoch seconds; active time leaves out waiting in the queue."""

    status: Status
    reason: str
    attempt: int
    started_at_s: float | None
    ended_at_s: float | None
    running_since_s: float | None
    active_s: float  # until `running_since_s`
    iterations: int
    episodes: int
    env_steps: int
    steps_per_s: float
    checkpoint: str | None
    best_checkpoint: str | None


class TrialFigures(Shown):
    """One evaluation episode."""

    trial: int
    status: EpisodeStatus
    progress_pct: float
    lap_s: float | None


class EvaluationFigures(Shown):
    """One evaluation, and the iteration that the run had reached when it ended."""

    checkpoint: str
    iteration: int
    completed: int
    mean_progress_pct: float
    best_lap_s: float | None
    trials: list[TrialFigures]


class Figures(Shown):
    """All figures of one run."""

    run_id: str
    track: str
    cars: int | None
    session: SessionFigures
    peaks: Peaks
    evaluations: list[EvaluationFigures]  # the last ones, oldest first
    actions: list[ActionUse]  # of the last iteration
    trouble: str | None  # what went wrong last, as where the reward function raised
    complete: bool  # False while older events of the run are still being read


class Scoreboard:
    """Applies the events of one run."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.sequence = 0
        self.track: TrackRef | None = None
        self.spec: RunSpec | None = None
        self.curves = Curves()
        self.paths = Paths()
        self._life = RunLife()
        self._peaks = Peaks()
        self._evaluations: Recent[EvaluationFigures] = Recent(EVALUATIONS)
        self._iteration: IterationEnded | None = None
        self._iteration_lap_s: float | None = None  # the best since the last iteration ended
        self._episodes = 0
        self._checkpoint: str | None = None
        self._best: str | None = None
        self._trouble: str | None = None

    def apply(self, event: Message, sequence: int) -> None:
        """Take the event that the stream has at `sequence`."""
        if sequence <= self.sequence:
            return
        self.sequence = sequence
        self._life.apply(event)
        match event:
            case RunQueued():
                self.track, self.spec, self._trouble = event.track, event.spec, None
            case EpisodeEnded():
                self._on_episode(event)
            case IterationEnded():
                self._on_iteration(event)
            case EvaluationEnded():
                self._on_evaluation(event)
            case CheckpointSaved():
                self._checkpoint = event.checkpoint.name
            case BestCheckpointChosen():
                self._best = event.checkpoint.name
            case RewardFailed():
                self._trouble = _reward_trouble(event)
            case EvaluationFailed():
                self._trouble = f"evaluation of {event.checkpoint} failed: {event.reason}"

    def figures(self, complete: bool = True) -> Figures:
        """The figures as they stand; whether that is all, the reader of the stream knows."""
        return Figures(
            run_id=self.run_id,
            track=self.track.name if self.track else "",
            cars=self.spec.hyperparameters.cars if self.spec else None,
            session=self._session(),
            peaks=self._peaks,
            evaluations=self._evaluations.since(0),
            actions=self._action_use(),
            trouble=self._trouble,
            complete=complete,
        )

    def _action_use(self) -> list[ActionUse]:
        if self.spec is None or self._iteration is None:
            return []
        return action_use(self.spec.metadata, self._iteration.action_counts)

    def _session(self) -> SessionFigures:
        life, last = self._life, self._iteration
        return SessionFigures(
            status=life.status,
            reason=life.reason,
            attempt=life.attempt,
            started_at_s=life.started_at_s,
            ended_at_s=life.ended_at_s,
            running_since_s=life.running_since_s,
            active_s=life.active_s,
            iterations=last.iteration + 1 if last else 0,
            # An old stream may have lost the first episodes; the learner's count has them.
            episodes=max(self._episodes, last.total_episodes if last else 0),
            env_steps=last.env_steps if last else 0,
            steps_per_s=last.steps_per_s if last else 0.0,
            checkpoint=self._checkpoint,
            best_checkpoint=self._best,
        )

    def _on_episode(self, event: EpisodeEnded) -> None:
        self._peaks = self._peaks.after(event)
        self.paths.append(event)
        if event.phase == "training":
            self._episodes += 1
            laps_s = [lap for lap in (self._iteration_lap_s, event.lap_s) if lap is not None]
            self._iteration_lap_s = min(laps_s, default=None)

    def _on_iteration(self, event: IterationEnded) -> None:
        self.curves.append(row_of(event, self._iteration_lap_s))
        self._iteration, self._iteration_lap_s = event, None

    def _on_evaluation(self, event: EvaluationEnded) -> None:
        iteration = self._iteration.iteration if self._iteration else 0
        self._evaluations.append(_evaluation(event, iteration))


def _evaluation(event: EvaluationEnded, iteration: int) -> EvaluationFigures:
    laps_s = [trial.lap_s for trial in event.trials if trial.lap_s is not None]
    progress_pct = [trial.progress_pct for trial in event.trials]
    return EvaluationFigures(
        checkpoint=event.checkpoint,
        iteration=iteration,
        completed=len(laps_s),
        mean_progress_pct=sum(progress_pct) / max(len(progress_pct), 1),
        best_lap_s=min(laps_s, default=None),
        trials=[_trial(trial) for trial in event.trials],
    )


def _trial(trial: TrialResult) -> TrialFigures:
    return TrialFigures(
        trial=trial.trial,
        status=trial.status,
        progress_pct=trial.progress_pct,
        lap_s=trial.lap_s,
    )


def _reward_trouble(event: RewardFailed) -> str:
    line = f", line {event.line}" if event.line is not None else ""
    return f"reward function{line}: {event.reason} (episode {event.episode}, step {event.step})"
