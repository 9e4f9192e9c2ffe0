"""Continuous actions: their distributions, their update, their exports, a toy that is learned."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from libs.common.deepracer.continuous import command_bounds, scale_actions
from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import (
    ContinuousActionSpace,
    ContinuousRange,
    ModelMetadata,
)
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import CarStep
from services.trainer.architecture import LOG_STD, Blueprint
from services.trainer.distributions import Gaussian
from services.trainer.exploration import exploration_of
from services.trainer.frozen import run_frozen
from services.trainer.learner import Learner
from services.trainer.network import ActorCritic
from services.trainer.ppo import Ppo
from tests.unit.test_learner_ppo import filled_rollout, plain_advantages

SIZE = 36
CAMERA = "FRONT_FACING_CAMERA"
SPACE = ContinuousActionSpace(
    speed=ContinuousRange(low=1.0, high=2.0), steering_angle=ContinuousRange(low=-20.0, high=30.0)
)
SHALLOW = Blueprint(
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", {CAMERA: (SIZE, SIZE, 1)}, 2, continuous=True
)


def spec_with(**hyperparameters):
    metadata = ModelMetadata(
        action_space=SPACE, action_space_type="continuous", neural_network="FAST"
    )
    settings = {"cars": 8, "horizon": 16, "batch_size": 32, "updates_per_iteration": 2}
    return RunSpec(
        name="toy",
        track="loop",
        metadata=metadata,
        hyperparameters=Hyperparameters(**{**settings, **hyperparameters}),
        reward_function="",
    )


class Target:
    """The picture's brightness is where to steer, -1 to 1; the nearer, the better."""

    def __init__(self, cars, seed=0):
        self.cars, self.rng = cars, np.random.default_rng(seed)
        self.wanted = np.zeros(cars)

    def see(self):
        self.wanted = self.rng.uniform(-1, 1, self.cars)
        grey = np.uint8(110 + 100 * self.wanted)[:, None, None, None]
        return {CAMERA: np.broadcast_to(grey, (self.cars, SIZE, SIZE, 1)).copy()}

    def step(self, commands):
        low, high = np.radians(SPACE.steering_angle.low), np.radians(SPACE.steering_angle.high)
        steered = (np.array(commands)[:, 0] - low) / (high - low) * 2 - 1
        rewards = -np.abs(steered - self.wanted)
        return [CarStep(reward=each, episode_reward=each, done=True) for each in rewards]


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2))
def test_actions_are_laid_linearly_on_their_ranges_and_cut_at_the_bounds(action):
    ((steering, speed),) = scale_actions(command_bounds(SPACE), np.array([action]))
    assert np.degrees(steering) == pytest.approx(np.interp(action[0], [-1, 1], [-20, 30]))
    assert speed == pytest.approx(np.interp(action[1], [-1, 1], [1, 2]))


def test_chances_entropy_and_divergence_are_those_of_two_normal_distributions():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=(5, 2)), rng.uniform(0.2, 2, (5, 2))
    other_mean, other_std = rng.normal(size=(5, 2)), rng.uniform(0.2, 2, (5, 2))
    actions = rng.normal(size=(5, 2))
    here = tf.constant(np.hstack([mean, std]), tf.float32)
    there = tf.constant(np.hstack([other_mean, other_std]), tf.float32)
    gaussian, normal = Gaussian(2), stats.norm(mean, std)
    taken = gaussian.log_prob(here, tf.constant(actions, tf.float32))
    assert np.allclose(taken, normal.logpdf(actions).sum(1), atol=1e-4)
    assert np.allclose(gaussian.entropy(here), normal.entropy().sum(1), atol=1e-5)
    drawn = normal.rvs((200_000, 5, 2), random_state=1)
    gaps = normal.logpdf(drawn) - stats.norm(other_mean, other_std).logpdf(drawn)
    expected = gaps.sum(2).mean(0)
    assert np.allclose(gaussian.divergence(here, there), expected, rtol=0.05, atol=0.02)


def test_actions_are_drawn_with_the_policys_own_spread():
    raw = np.tile(np.array([0.5, -0.25, 0.1, 2.0], np.float32), (20_000, 1))
    explore = exploration_of(Hyperparameters(), continuous=True)
    drawn = explore.choose(raw, 0, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    assert np.allclose(drawn.mean(0), [0.5, -0.25], atol=0.05)
    assert np.allclose(drawn.std(0), [0.1, 2.0], rtol=0.03)


def test_a_histogram_counts_each_tenth_of_each_action():
    counts = Gaussian(2).histogram(np.array([[-1.0, 0.05], [-7.0, 1.0], [0.99, 0.9]]))
    assert counts.tolist() == [2, *[0] * 8, 1, *[0] * 5, 1, *[0] * 3, 2]


def test_one_update_of_the_head_equals_the_same_update_in_numpy():
    """Gradients of the means' bias and of the log-spread follow from the outputs alone."""
    rollout = filled_rollout(np.random.default_rng(1), blueprint=SHALLOW)
    network = ActorCritic(SHALLOW, 1)
    hyper = Hyperparameters(batch_size=16, num_epochs=1, lr=1e-3, beta_entropy=0.02)
    ppo = Ppo(network, hyper)
    frames = {CAMERA: rollout.observations[CAMERA][:-1].reshape(-1, SIZE, SIZE, 1)}
    mean = ppo.policy(frames)[:, :2].astype(np.float64)
    every = rollout.observations[CAMERA].reshape(-1, SIZE, SIZE, 1)
    values = ppo.values({CAMERA: every}).reshape(9, 2).astype(np.float64)
    before = {name: variable.numpy() for name, variable in network.variables.items()}

    report = ppo.update(rollout, np.random.default_rng(0))

    advantages = plain_advantages(
        rollout.rewards.astype(np.float64), values, rollout.ends, 0.999, 0.95
    )
    standard = ((advantages - advantages.mean()) / advantages.std()).ravel()
    actions = rollout.actions.reshape(-1, 2).astype(np.float64)
    ratio = np.exp(stats.norm(mean, 1).logpdf(actions).sum(1) - stats.norm.logpdf(actions).sum(1))
    clipped = np.clip(ratio, 0.8, 1.2)
    passes = (ratio * standard <= clipped * standard) * ratio * standard
    by_mean = -(passes[:, None] * (actions - mean)).mean(0)
    by_log_std = -(passes[:, None] * ((actions - mean) ** 2 - 1)).mean(0) - 0.02
    losses = report.losses[0]
    surrogate = np.minimum(ratio * standard, clipped * standard)
    assert losses.surrogate_loss == pytest.approx(-surrogate.mean(), abs=1e-4)
    assert losses.entropy == pytest.approx(2 * stats.norm.entropy(), rel=1e-4)
    assert losses.kl_divergence == pytest.approx((mean**2).sum(1).mean() / 2, rel=1e-2, abs=1e-6)
    assert report.clip_fraction == pytest.approx((np.abs(ratio - 1) > 0.2).mean())
    for name, gradient in ((f"{SHALLOW.policy_head}/bias", by_mean), (LOG_STD, by_log_std)):
        change = (network.variables[name].numpy() - before[name]).ravel()
        expected = -1e-3 * gradient / (np.abs(gradient) + 1e-5 / np.sqrt(1 - 0.999))
        assert np.allclose(change, expected, rtol=5e-3, atol=1e-7)


def test_a_toy_is_learned_and_its_policy_is_exported(tmp_path):
    learner = Learner(
        spec_with(lr=3e-3, discount_factor=0.0, num_epochs=8, beta_entropy=0.0),
        height_px=SIZE,
        width_px=SIZE,
    )
    world, steps, ended = Target(8), (), []
    for _ in range(16 * 60 + 1):
        decision = learner.act(world.see(), steps)
        steps = world.step(decision.commands)
        ended += [decision.ended] if decision.ended else []
    test = Target(64, seed=1)
    seen = test.see()
    means = learner.exported_policy(seen)
    assert np.abs(means[:, 0] - test.wanted).mean() < 0.2
    assert decision.actions == ()
    assert sum(ended[0].action_counts) == 2 * 8 * 32
    assert ended[-1].mean_reward > ended[0].mean_reward / 2
    assert (
        np.abs(run_frozen(learner.save(tmp_path).policy.read_bytes(), seen) - means).max() <= 1e-5
    )
