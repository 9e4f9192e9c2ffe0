"""The limits of a run, each with its sentence."""

import pytest

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.run_spec import LimitsSpec
from services.trainer.progress import LearnerState, reached_limit

STATE = LearnerState(
    iteration=3, episodes=40, env_steps=5000, elapsed_s=60.5, recent_scores=[1.0, 2.0, 6.0]
)


@pytest.mark.parametrize(
    ("limits", "hyperparameters", "sentence"),
    [
        ({"max_env_steps": 5000}, {}, "limit of 5000 camera steps (max_env_steps)"),
        ({"max_iterations": 3}, {}, "limit of 3 iterations (max_iterations)"),
        ({"max_episodes": 39}, {}, "limit of 39 episodes (max_episodes)"),
        ({"max_seconds": 60}, {}, "limit of 60 seconds of learning (max_seconds)"),
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
            {"max_env_steps": 5001, "max_iterations": 4, "max_episodes": 41, "max_seconds": 61},
            {"term_cond_max_episodes": 41, "term_cond_avg_score": 3.01},
        ),
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
