"""How actions are drawn, and how episodes are numbered."""

import numpy as np
import pytest

from libs.common.deepracer.hyperparameters import Hyperparameters
from services.trainer.episodes import EpisodeNumbers
from services.trainer.exploration import EpsilonGreedy, exploration_of
from services.trainer.progress import LearnerState


def test_categorical_actions_come_as_often_as_the_policy_says():
    probabilities = np.array([0.7, 0.2, 0.1])
    logits = np.tile(np.log(probabilities), (4000, 1)).astype(np.float32)
    explore = exploration_of(Hyperparameters(exploration_type="categorical"))
    actions = explore.choose(logits, 0, np.random.default_rng(0))
    assert np.allclose(np.bincount(actions) / 4000, probabilities, atol=0.03)


def test_epsilon_falls_in_a_line_from_one_to_its_final_value():
    explore = EpsilonGreedy(final=0.2, steps=1000)
    assert [explore.epsilon(steps) for steps in (0, 500, 1000, 9000)] == pytest.approx(
        [1.0, 0.6, 0.2, 0.2]
    )


def test_e_greedy_takes_the_best_action_but_for_epsilon():
    hyper = Hyperparameters(exploration_type="e-greedy", e_greedy_value=0.1, epsilon_steps=10)
    logits = np.tile(np.array([0, 5, 0, 0], np.float32), (4000, 1))
    late = exploration_of(hyper).choose(logits, 10, np.random.default_rng(0))
    # A random action is the best one in a quarter of the cases.
    assert np.mean(late != 1) == pytest.approx(0.1 * 3 / 4, abs=0.02)


def test_numbers_fill_the_gaps_of_earlier_attempts_first():
    numbers = EpisodeNumbers({0, 1, 3, 6})
    assert [numbers.take() for _ in range(4)] == [2, 4, 5, 7]
    numbers.end(4)
    assert numbers.ended == 5
    assert numbers.take() == 8


def test_what_is_not_over_below_the_highest_number_is_a_gap():
    numbers = EpisodeNumbers({0, 1, 3, 6})
    assert numbers.gaps == [2, 4, 5]
    assert EpisodeNumbers().gaps == []
    state = LearnerState(episodes=numbers.ended, episode_gaps=numbers.gaps)
    assert state.ended_episodes() == {0, 1, 3, 6}
