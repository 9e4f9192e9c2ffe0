"""What checkpoints scored: a summary of every evaluation, of the learner's own ones too."""

from collections.abc import Collection
from datetime import datetime

from pydantic import BaseModel, Field

from libs.common.deepracer.run_spec import EvaluationRules
from libs.common.events import EvaluationEnded
from services.trainer.laps import clean_trials, lap_times_s, mean_s, resets
from services.trainer.ranking import mean_progress_pct
from services.trainer.runs import RunRecord


class Score(BaseModel):
    """What a checkpoint did in one evaluation. Lap times contain penalties."""

    evaluation_id: str
    checkpoint: str = Field(description="Its name")
    track: str
    rules: EvaluationRules | None = Field(description="null: it was asked for before this was kept")
    asked: bool = Field(description="By somebody; else by the run itself, to choose its best")
    at: datetime
    trials: int
    completed: int = Field(description="Trials that completed their laps, never put back")
    mean_progress_pct: float
    mean_lap_s: float | None
    best_lap_s: float | None
    mean_reward: float
    resets: int


def scores_of(
    record: RunRecord,
    ended: Collection[EvaluationEnded],
    asked: dict[str, EvaluationRules | None],
) -> list[Score]:
    """
    The scores of a run's checkpoints, the oldest first.

    Args:
        ended: its evaluations, the learner's own among them.
        asked: the rules of those that somebody asked for, by their ids.
    """
    driven, own_rules = [event for event in ended if event.trials], record.spec.evaluation.rules
    return [
        _score(event, asked.get(event.evaluation_id, own_rules), event.evaluation_id in asked)
        for event in driven
    ]


def _score(event: EvaluationEnded, rules: EvaluationRules | None, asked: bool) -> Score:
    trials, times_s = event.trials, lap_times_s(event.trials)
    return Score(
        evaluation_id=event.evaluation_id,
        checkpoint=event.checkpoint,
        track=event.track,
        rules=rules,
        asked=asked,
        at=event.at,
        trials=len(trials),
        completed=clean_trials(trials),
        mean_progress_pct=mean_progress_pct(trials),
        mean_lap_s=mean_s(times_s),
        best_lap_s=min(times_s, default=None),
        mean_reward=sum(trial.reward for trial in trials) / len(trials),
        resets=resets(trials),
    )
