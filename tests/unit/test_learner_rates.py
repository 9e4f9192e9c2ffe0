"""Rates that fall in the course of a run, and epochs that end early."""

import numpy as np
import pytest

from libs.common.deepracer.hyperparameters import Hyperparameters, parse_hyperparameters
from libs.common.errors import InvalidInput
from services.trainer.architecture import VALUE_HEAD
from services.trainer.network import ActorCritic
from services.trainer.ppo import Ppo
from services.trainer.schedules import Rates, rates_after
from tests.unit.test_learner import LightWorld, drive, learner_with
from tests.unit.test_learner_ppo import SHALLOW, filled_rollout


def test_rates_fall_linearly_to_their_shares_and_stay_there():
    hyper = Hyperparameters(
        lr=1e-3, beta_entropy=0.02, decay_steps=1000, lr_decay=0.1, entropy_decay=0
    )
    assert rates_after(0, hyper) == (1e-3, 0.02)
    assert rates_after(500, hyper) == pytest.approx((5.5e-4, 0.01))
    assert rates_after(1000, hyper) == pytest.approx((1e-4, 0))
    assert rates_after(9000, hyper) == rates_after(1000, hyper)


def test_without_a_decay_rates_are_those_of_the_hyperparameters_for_ever():
    assert rates_after(10**9, Hyperparameters(lr=2e-4, beta_entropy=0.03)) == (2e-4, 0.03)


@pytest.mark.parametrize("share", ["0", "-0.1", "1.5"])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(InvalidInput, match=rf"lr_decay: got {share}; accepted: a number above 0"):
        parse_hyperparameters(f'{{"lr_decay": {share}, "decay_steps": 10}}'.encode())


@pytest.mark.parametrize("key", ["lr_decay", "entropy_decay"])
def test_a_decay_has_to_tell_until_when(key):
    with pytest.raises(InvalidInput, match=f"decay_steps: missing beside .*{key} 0.5"):
        parse_hyperparameters(f'{{"{key}": 0.5}}'.encode())


def test_a_kl_limit_of_zero_is_refused():
    with pytest.raises(InvalidInput, match="target_kl: got 0; accepted: a number above 0"):
        parse_hyperparameters(b'{"target_kl": 0}')


def test_the_step_of_the_weights_is_that_of_the_rate_given():
    """Adam's first step is proportional to the rate; the gradients are the same."""
    changes, rates = [], [1e-3, 2.5e-4]
    for rate in rates:
        network = ActorCritic(SHALLOW, 1)
        before = network.variables[f"{VALUE_HEAD}/bias"].numpy()
        report = Ppo(network, Hyperparameters(batch_size=16, num_epochs=1)).update(
            filled_rollout(np.random.default_rng(1)), np.random.default_rng(0), Rates(rate, 0.01)
        )
        changes.append(network.variables[f"{VALUE_HEAD}/bias"].numpy() - before)
        assert report.learning_rate == rate
    assert np.allclose(changes[0], 4 * changes[1], rtol=1e-4)


def test_the_weight_of_the_entropy_is_the_one_given():
    def policy_bias(rate):
        network = ActorCritic(SHALLOW, 1)
        network.variables[f"{SHALLOW.policy_head}/bias"].assign([1.0, 0.0, -1.0])
        Ppo(network, Hyperparameters(batch_size=16, num_epochs=1, beta_entropy=0.5)).update(
            filled_rollout(np.random.default_rng(1)), np.random.default_rng(0), rate
        )
        return network.variables[f"{SHALLOW.policy_head}/bias"].numpy()

    assert np.array_equal(policy_bias(Rates(3e-4, 0.5)), policy_bias(None))
    assert not np.array_equal(policy_bias(Rates(3e-4, 0.0)), policy_bias(None))


def test_an_iteration_tells_the_learning_rate_that_it_learned_with():
    learner = learner_with(lr=1e-3, decay_steps=64, lr_decay=0.5)
    decisions = drive(learner, LightWorld(4), 17)
    ended = [decision.ended for decision in decisions if decision.ended is not None]
    # Its second and last update came after 64 steps of 4 cars.
    assert [each.learning_rate for each in ended] == pytest.approx([5e-4])


@pytest.mark.parametrize(("limit", "epochs"), [(None, 4), (1e-6, 2), (1e9, 4)])
def test_epochs_end_once_the_policy_is_far_enough_from_the_one_that_drove(limit, epochs):
    """The first epoch's single minibatch sees the policy that drove: it has not moved yet."""
    rng = np.random.default_rng(1)
    network = ActorCritic(SHALLOW, 1)
    network.variables[f"{SHALLOW.policy_head}/kernel"].assign(np.zeros((512, 3)))
    hyper = Hyperparameters(batch_size=16, num_epochs=4, lr=1e-3, target_kl=limit)
    report = Ppo(network, hyper).update(filled_rollout(rng), np.random.default_rng(0))
    assert [losses.epoch for losses in report.losses] == list(range(epochs))
    divergences = [losses.kl_divergence for losses in report.losses]
    assert divergences[0] == pytest.approx(0, abs=1e-7)
    assert divergences[1] > 1e-6
