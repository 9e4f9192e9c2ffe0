"""How far a learner is: its counters, its present iteration, and when it has to stop."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.run_spec import LimitsSpec
from libs.common.errors import InvalidInput, NotFound
from libs.common.events import CarStep, IterationEnded
from services.trainer.ppo import UpdateReport

Activity = Literal["wait_s", "infer_s", "learn_s"]


class LearnerState(BaseModel):
    """
    Everything beside the weights that a learner needs to go on.

    The random numbers are not part of it: they follow from the seed and the count of updates.
    """

    model_config = ConfigDict(extra="forbid")

    iteration: int = 0  # finished
    updates: int = 0
    env_steps: int = 0
    episodes: int = 0  # ended
    episode_gaps: list[int] = []  # not ended, but below the highest number that is; when saved
    elapsed_s: float = 0.0  # wall-clock over all attempts
    recent_scores: list[float] = []  # rewards of the last episodes, newest last
    recent_completion: list[float] = []  # ratios of the last iterations, newest last
    best_progress_pct: float = -1.0  # the best mean of an iteration
    improved_at: int = 0  # iterations that were finished at the last improvement

    def ended_episodes(self) -> set[int]:
        """The numbers of the episodes that had ended when this was saved."""
        return set(range(self.episodes + len(self.episode_gaps))).difference(self.episode_gaps)

    def note_episode(self, score: float, window: int) -> None:
        """Count an episode and keep its score among the last `window` ones."""
        self.recent_scores = [*self.recent_scores, score][-window:]

    def note_iteration(self, ended: IterationEnded, window: int) -> None:
        """Count an iteration; one in which no episode ended tells nothing of the driving."""
        self.iteration += 1
        if ended.completion_ratio is not None:
            self.recent_completion = [*self.recent_completion, ended.completion_ratio][-window:]
        progress_pct = ended.mean_progress_pct
        if progress_pct is not None and progress_pct > self.best_progress_pct:
            self.best_progress_pct = progress_pct
            self.improved_at = self.iteration


def state_path(folder: Path, number: int) -> Path:
    """The file of counters beside the checkpoint of this number."""
    return folder / f"state_{number}.json"


def read_state(path: Path) -> LearnerState:
    """
    The counters that were stored with a checkpoint.

    Raises:
        NotFound: there is no such file. InvalidInput: it holds something else.
    """
    if not path.exists():
        raise NotFound(f"{path.name} is missing beside the checkpoint")
    try:
        return LearnerState.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInput(f"{path.name} holds no learner's counters: {error}") from error


class IterationMeter:
    """Adds up what happens in one iteration."""

    def __init__(self, bins: int, state: LearnerState) -> None:
        self.updates = 0
        self._began_at = state.model_copy()
        self._finished: list[CarStep] = []
        self._action_counts = np.zeros(bins, np.int64)
        self._spent_s: dict[Activity, float] = {"wait_s": 0.0, "infer_s": 0.0, "learn_s": 0.0}
        self._last_update: UpdateReport | None = None

    def spend(self, activity: Activity, seconds: float) -> None:
        """Add wall-clock time to an activity."""
        self._spent_s[activity] += seconds

    def count_actions(self, histogram: NDArray[np.int64]) -> None:
        """Add the actions chosen in one step, counted (bins,)."""
        self._action_counts += histogram

    def note_episode(self, last_step: CarStep) -> None:
        """Add an episode that ended with this step; its number is the learner's."""
        self._finished.append(last_step)

    def note_update(self, report: UpdateReport) -> None:
        """Count an update of the network."""
        self.updates += 1
        self._last_update = report

    def summary(self, run_id: str, state: LearnerState, learning_rate: float) -> IterationEnded:
        """The iteration that ends with `state`."""
        report = self._last_update
        seconds = sum(self._spent_s.values())
        return IterationEnded(
            run_id=run_id,
            iteration=state.iteration,
            episodes=tuple(step.episode for step in self._finished),
            total_episodes=state.episodes,
            env_steps=state.env_steps,
            updates=state.updates,
            elapsed_s=state.elapsed_s,
            steps_per_s=(state.env_steps - self._began_at.env_steps) / max(seconds, 1e-9),
            mean_reward=self._mean(lambda step: step.episode_reward),
            mean_progress_pct=self._mean(lambda step: step.progress_pct),
            completion_ratio=self._mean(lambda step: step.status == "lap_complete"),
            learning_rate=report.learning_rate if report else learning_rate,
            losses=report.losses if report else (),
            explained_variance=report.explained_variance if report else None,
            clip_fraction=report.clip_fraction if report else None,
            gradient_norm=report.gradient_norm if report else None,
            action_counts=tuple(int(count) for count in self._action_counts),
            **self._spent_s,
        )

    def _mean(self, of_step: Callable[[CarStep], float]) -> float | None:
        values = [float(of_step(step)) for step in self._finished]
        return sum(values) / len(values) if values else None


def reached_limit(
    state: LearnerState, limits: LimitsSpec, hyperparameters: Hyperparameters
) -> str | None:
    """The first limit of the run that is reached, as a sentence."""
    return (
        _reached_count(state, limits, hyperparameters)
        or _spent_budget(state, limits)
        or _reached_score(state, hyperparameters)
        or _reached_completion(state, limits)
        or _reached_plateau(state, limits)
    )


def _reached_count(
    state: LearnerState, limits: LimitsSpec, hyperparameters: Hyperparameters
) -> str | None:
    counted: Sequence[tuple[float, float | None, str]] = (
        (state.elapsed_s, limits.max_seconds, "seconds of learning (max_seconds)"),
        (state.episodes, limits.max_episodes, "episodes (max_episodes)"),
        (state.env_steps, limits.max_env_steps, "camera steps (max_env_steps)"),
        (state.iteration, limits.max_iterations, "iterations (max_iterations)"),
        (
            state.episodes,
            hyperparameters.term_cond_max_episodes,
            "episodes (term_cond_max_episodes)",
        ),
    )
    for value, limit, what in counted:
        if limit is not None and value >= limit:
            return f"The run reached its limit of {limit:g} {what}."
    return None


def _spent_budget(state: LearnerState, limits: LimitsSpec) -> str | None:
    if limits.affordable_s is None or state.elapsed_s < limits.affordable_s:
        return None
    return (
        f"The run spent its budget of {limits.budget:g} at {limits.price_per_hour:g} an hour "
        "(budget, price_per_hour)."
    )


def _reached_score(state: LearnerState, hyperparameters: Hyperparameters) -> str | None:
    window = hyperparameters.num_episodes_between_training
    score, wanted = _mean_score(state, window), hyperparameters.term_cond_avg_score
    if score is not None and score >= wanted:
        return (
            f"The mean reward of the last {window} episodes, {score:g}, reached "
            f"{wanted:g} (term_cond_avg_score)."
        )
    return None


def _reached_completion(state: LearnerState, limits: LimitsSpec) -> str | None:
    wanted, window = limits.target_completion, limits.target_iterations
    ratios = state.recent_completion[-window:]
    if wanted is None or len(ratios) < window or min(ratios) < wanted:
        return None
    return (
        f"At least {wanted:.0%} of the episodes of each of the last {window} iterations were "
        "completed (target_completion)."
    )


def _reached_plateau(state: LearnerState, limits: LimitsSpec) -> str | None:
    patience = limits.plateau_iterations
    if patience is None or state.iteration - state.improved_at < patience:
        return None
    return (
        f"Neither training nor evaluations had a better mean progress for {patience} iterations "
        "(plateau_iterations)."
    )


def _mean_score(state: LearnerState, window: int) -> float | None:
    if len(state.recent_scores) < window:
        return None
    return sum(state.recent_scores[-window:]) / window
