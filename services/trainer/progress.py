"""How far a learner is: its counters, its present iteration, and when it has to stop."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.run_spec import LimitsSpec
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

    def ended_episodes(self) -> set[int]:
        """The numbers of the episodes that had ended when this was saved."""
        return set(range(self.episodes + len(self.episode_gaps))).difference(self.episode_gaps)

    def note_episode(self, score: float, window: int) -> None:
        """Count an episode and keep its score among the last `window` ones."""
        self.recent_scores = [*self.recent_scores, score][-window:]


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
            learning_rate=learning_rate,
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
    window = hyperparameters.num_episodes_between_training
    score, wanted = _mean_score(state, window), hyperparameters.term_cond_avg_score
    if score is not None and score >= wanted:
        return (
            f"The mean reward of the last {window} episodes, {score:g}, reached "
            f"{wanted:g} (term_cond_avg_score)."
        )
    return None


def _mean_score(state: LearnerState, window: int) -> float | None:
    if len(state.recent_scores) < window:
        return None
    return sum(state.recent_scores[-window:]) / window
