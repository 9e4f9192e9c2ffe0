"""The limits of a run, each with its sentence."""

import pytest

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.run_file import parse_run_file
from libs.common.deepracer.run_spec import LimitsSpec
from libs.common.deepracer.sandbox_2019 import parse_training_parameters
from libs.common.errors import InvalidInput
from libs.common.events import IterationEnded
from services.trainer.progress import LearnerState, reached_limit

STATE = LearnerState(
    iteration=3,
    episodes=40,
    env_steps=5000,
    elapsed_s=60.5,
    recent_scores=[1.0, 2.0, 6.0],
    recent_completion=[0.2, 0.8, 0.9],
    improved_at=1,
)


@pytest.mark.parametrize(
    ("limits", "hyperparameters", "sentence"),
    [
        ({"max_env_steps": 5000}, {}, "limit of 5000 camera steps (max_env_steps)"),
        ({"max_iterations": 3}, {}, "limit of 3 iterations (max_iterations)"),
        ({"max_episodes": 39}, {}, "limit of 39 episodes (max_episodes)"),
        ({"max_seconds": 60}, {}, "limit of 60 seconds of learning (max_seconds)"),
        (
            {"budget": 0.5, "price_per_hour": 30},
            {},
            "budget of 0.5 at 30 an hour (budget, price_per_hour)",
        ),
        (
            {"target_completion": 0.8, "target_iterations": 2},
            {},
            "At least 80% of the episodes of each of the last 2 iterations",
        ),
        ({"plateau_iterations": 2}, {}, "for 2 iterations (plateau_iterations)"),
        ({}, {"term_cond_max_episodes": 40}, "limit of 40 episodes (term_cond_max_episodes)"),
        ({}, {"term_cond_avg_score": 3.0}, "3 episodes, 3, reached 3 (term_cond_avg_score)"),
    ],
)
def test_each_limit_that_is_reached_is_told_in_a_sentence(limits, hyperparameters, sentence):
    hyper = Hyperparameters(num_episodes_between_training=3, **hyperparameters)
    assert sentence in reached_limit(STATE, LimitsSpec(**limits), hyper)


@pytest.mark.parametrize(
    ("limits", "hyperparameters"),
    [
        ({}, {}),
        (
            {
                "max_env_steps": 5001,
                "max_iterations": 4,
                "max_episodes": 41,
                "max_seconds": 61,
                "plateau_iterations": 3,
                "target_completion": 0.81,
                "target_iterations": 2,
                "budget": 0.51,
                "price_per_hour": 30,
            },
            {"term_cond_max_episodes": 41, "term_cond_avg_score": 3.01},
        ),
        # One that came before is not among the last two; four there are not yet.
        ({"target_completion": 0.5, "target_iterations": 3}, {}),
        ({"target_completion": 0.1, "target_iterations": 4}, {}),
        # A mean of fewer episodes than an iteration has would be chance.
        ({}, {"term_cond_avg_score": 1.0, "num_episodes_between_training": 4}),
    ],
)
def test_a_run_below_its_limits_goes_on(limits, hyperparameters):
    settings = {"num_episodes_between_training": 3, **hyperparameters}
    assert reached_limit(STATE, LimitsSpec(**limits), Hyperparameters(**settings)) is None


def test_only_the_newest_scores_are_kept():
    state = LearnerState()
    for score in (1.0, 2.0, 3.0):
        state.note_episode(score, window=2)
    assert state.recent_scores == [2.0, 3.0]


def iteration(progress_pct: float | None, completion: float | None = None) -> IterationEnded:
    return IterationEnded(
        run_id="one", iteration=0, mean_progress_pct=progress_pct, completion_ratio=completion
    )


def test_a_plateau_begins_with_the_last_better_mean_progress():
    state, limits = LearnerState(), LimitsSpec(plateau_iterations=2)
    reached = []
    for progress_pct in (10.0, 30.0, None, 30.0, 20.0):
        state.note_iteration(iteration(progress_pct), window=3)
        reached.append(reached_limit(state, limits, Hyperparameters()) is not None)
    assert (state.iteration, state.improved_at) == (5, 2)
    assert reached == [False, False, False, True, True]


def test_the_completion_of_the_last_iterations_with_episodes_counts():
    state = LearnerState()
    limits = LimitsSpec(target_completion=0.9, target_iterations=2)
    reached = []
    for completion in (1.0, 0.5, 0.9, None, 1.0):
        state.note_iteration(iteration(50.0, completion), window=2)
        reached.append(reached_limit(state, limits, Hyperparameters()) is not None)
    assert state.recent_completion == [0.9, 1.0]
    assert reached == [False, False, False, False, True]


@pytest.mark.parametrize("given", ["budget: 5", "price_per_hour: 2"])
def test_a_budget_needs_a_price_and_a_price_a_budget(given):
    with pytest.raises(InvalidInput) as refused:
        parse_run_file(f"limits: {{{given}}}\n".encode())
    assert "accepted: both or neither" in str(refused.value)


def test_the_duration_of_a_2019_job_limits_the_seconds_of_learning():
    _, run_file = parse_training_parameters(b'job_duration="60"\n').value
    told = reached_limit(STATE, run_file.limits, Hyperparameters())
    assert told == "The run reached its limit of 60 seconds of learning (max_seconds)."
