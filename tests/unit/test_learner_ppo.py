"""Advantages and updates against plain computations, and limits of what can be learned."""

import numpy as np
import pytest

from libs.common.deepracer.hyperparameters import Hyperparameters
from services.trainer.architecture import VALUE_HEAD, Blueprint
from services.trainer.distributions import distribution_of
from services.trainer.network import ActorCritic
from services.trainer.ppo import Diverged, Ppo, fitting_batch_size, generalized_advantages
from services.trainer.rollout import Rollout, StepEnd

SIZE = 36
CAMERA = "FRONT_FACING_CAMERA"
SHALLOW = Blueprint("DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", {CAMERA: (SIZE, SIZE, 1)}, actions=3)
POLICY_HEAD = SHALLOW.policy_head
RUNNING, TERMINAL, TRUNCATED, VOID = StepEnd


def plain_advantages(rewards, values, ends, discount_factor, gae_lambda):
    """The definition, one car and one step at a time."""
    advantages = np.zeros_like(rewards)
    for car in range(rewards.shape[1]):
        for first in range(len(rewards)):
            weight = 1.0
            for row in range(first, len(rewards)):
                end = ends[row, car]
                if end == VOID:
                    break
                following = {TERMINAL: 0.0, TRUNCATED: values[row, car]}.get(
                    end, values[row + 1, car]
                )
                delta = rewards[row, car] + discount_factor * following - values[row, car]
                advantages[first, car] += weight * delta
                if end != RUNNING:
                    break
                weight *= discount_factor * gae_lambda
    return advantages


def pictures(rng, count):
    return {CAMERA: rng.integers(0, 256, (count, SIZE, SIZE, 1)).astype(np.uint8)}


def filled_rollout(rng, rows=8, cars=2, blueprint=SHALLOW):
    """Random experience of a policy that gave all actions the same chance."""
    distribution = distribution_of(blueprint.actions, blueprint.continuous)
    rollout = Rollout(rows, cars, blueprint, distribution)
    even = np.zeros((cars, distribution.width), np.float32)
    if blueprint.continuous:
        even[:, blueprint.actions :] = 1.0
    for _ in range(rows):
        rollout.see(pictures(rng, cars))
        if blueprint.continuous:
            chosen = rng.normal(size=(cars, blueprint.actions)).astype(np.float32)
        else:
            chosen = rng.integers(blueprint.actions, size=cars).astype(np.int32)
        rollout.record_choice(chosen, distribution.settled(even))
        ends = rng.choice([RUNNING, RUNNING, RUNNING, TERMINAL, TRUNCATED], size=cars)
        rollout.record_outcome(rng.random(cars).astype(np.float32), ends.astype(np.uint8))
    rollout.see(pictures(rng, cars))
    return rollout


def test_advantages_equal_the_plain_sum_over_steps():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(40, 5)).astype(np.float32)
    values = rng.normal(size=(41, 5)).astype(np.float32)
    ends = rng.choice(4, size=(40, 5), p=[0.8, 0.1, 0.05, 0.05]).astype(np.uint8)
    expected = plain_advantages(rewards, values, ends, 0.97, 0.9)
    result = generalized_advantages(rewards, values, ends, 0.97, 0.9)
    assert np.allclose(result, expected, atol=1e-5)


def test_a_void_step_neither_learns_nor_teaches_the_step_before():
    values = np.array([[1.0], [2.0], [9.0]], np.float32)
    rewards = np.array([[0.5], [100.0]], np.float32)
    ends = np.array([[RUNNING], [VOID]], np.uint8)
    result = generalized_advantages(rewards, values, ends, 1.0, 1.0)
    assert result.tolist() == [[1.5], [0.0]]


@pytest.mark.parametrize(
    ("wanted", "transitions", "size"), [(64, 128, 64), (64, 64, 64), (64, 63, 32), (64, 1, 1)]
)
def test_a_minibatch_is_never_larger_than_the_rollout(wanted, transitions, size):
    assert fitting_batch_size(wanted, transitions) == size


@pytest.mark.parametrize("loss_type", ["huber", "mean squared error"])
def test_one_update_of_the_heads_equals_the_same_update_in_numpy(loss_type):
    """Bias gradients of both heads follow from the outputs alone; Adam's first step from those."""
    rng = np.random.default_rng(1)
    rollout = filled_rollout(rng)
    rollout.rewards[:] *= 3  # errors on both sides of huber's bend
    hyper = Hyperparameters(
        batch_size=16, num_epochs=1, lr=1e-3, beta_entropy=0.02, loss_type=loss_type
    )
    network = ActorCritic(SHALLOW, 1)
    network.variables[f"{POLICY_HEAD}/kernel"].assign(rng.normal(size=(512, 3)) * 0.1)
    ppo = Ppo(network, hyper)
    frames = rollout.observations[CAMERA].reshape(-1, SIZE, SIZE, 1)
    values = ppo.values({CAMERA: frames}).reshape(9, 2).astype(np.float64)
    logits = ppo.policy({CAMERA: frames[:16]}).astype(np.float64)
    before = {name: variable.numpy() for name, variable in network.variables.items()}

    report = ppo.update(rollout, np.random.default_rng(0))

    advantages = plain_advantages(
        rollout.rewards.astype(np.float64), values, rollout.ends, 0.999, 0.95
    )
    errors = -advantages.ravel()  # value less return
    standard = ((advantages - advantages.mean()) / advantages.std()).ravel()
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    log_probs = np.log(probabilities)
    taken = rollout.actions.ravel()
    ratio = probabilities[np.arange(16), taken] * 3
    clipped = np.clip(ratio, 0.8, 1.2)
    surrogate = np.minimum(ratio * standard, clipped * standard)
    passes = (ratio * standard <= clipped * standard) * ratio * standard
    entropy = -(probabilities * log_probs).sum(1)
    by_logit = -passes[:, None] * (np.eye(3)[taken] - probabilities)
    by_logit += 0.02 * probabilities * (log_probs + entropy[:, None])
    if loss_type == "huber":
        small = np.abs(errors) <= 1
        value_loss = np.where(small, errors**2 / 2, np.abs(errors) - 0.5)
        by_value = np.clip(errors, -1, 1)
        assert 0 < small.sum() < 16
    else:
        value_loss, by_value = errors**2, 2 * errors

    losses = report.losses[0]
    assert losses.surrogate_loss == pytest.approx(-surrogate.mean(), abs=1e-4)
    assert losses.value_loss == pytest.approx(value_loss.mean(), rel=1e-4)
    assert losses.entropy == pytest.approx(entropy.mean(), rel=1e-4)
    divergence = (-np.log(3) - log_probs).mean()
    assert losses.kl_divergence == pytest.approx(divergence, rel=1e-3)
    assert report.clip_fraction == pytest.approx((np.abs(ratio - 1) > 0.2).mean())
    for head, gradient in ((POLICY_HEAD, by_logit.mean(0)), (VALUE_HEAD, [by_value.mean()])):
        change = network.variables[f"{head}/bias"].numpy() - before[f"{head}/bias"]
        gradient = np.asarray(gradient)
        # Adam's first step; its epsilon acts before the correction of the second moment.
        expected = -1e-3 * gradient / (np.abs(gradient) + 1e-5 / np.sqrt(1 - 0.999))
        assert np.allclose(change, expected, rtol=2e-3, atol=1e-7)


def test_a_gradient_is_clipped_to_its_norm():
    """Adam hides a gradient's size except for its epsilon: a tiny norm stops all movement."""
    network = ActorCritic(SHALLOW, 1)
    before = network.export_weights()
    hyper = Hyperparameters(batch_size=16, num_epochs=1, lr=1e-2, max_grad_norm=1e-12)
    report = Ppo(network, hyper).update(
        filled_rollout(np.random.default_rng(1)), np.random.default_rng(0)
    )
    after = network.export_weights()
    assert report.gradient_norm > 1e-3
    assert all(np.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_void_transitions_are_left_out_of_the_minibatches():
    rollout = filled_rollout(np.random.default_rng(1))
    rollout.ends[:, 1] = VOID
    rollout.rewards[:, 1] = np.nan
    hyper = Hyperparameters(batch_size=4, num_epochs=2)
    report = Ppo(ActorCritic(SHALLOW, 1), hyper).update(rollout, np.random.default_rng(0))
    assert [losses.epoch for losses in report.losses] == [0, 1]
    assert np.isfinite(report.losses[-1].value_loss)


def test_a_loss_that_is_no_number_ends_the_run_with_advice():
    rollout = filled_rollout(np.random.default_rng(1))
    rollout.rewards[:] = np.inf
    ppo = Ppo(ActorCritic(SHALLOW, 1), Hyperparameters(batch_size=16, num_epochs=1))
    with np.errstate(invalid="ignore"), pytest.raises(Diverged, match=r"smaller lr \(it is 0.0003"):
        ppo.update(rollout, np.random.default_rng(0))
