"""SAC: one update as NumPy computes it, a toy that is learned, its checkpoints and exports."""

from itertools import count

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from libs.common.deepracer.continuous import command_bounds, scale_actions
from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ContinuousActionSpace, ContinuousRange, ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from libs.common.events import CarStep
from libs.common.observations import sensors_of
from services.simulator.action_space import ActionSpace
from services.simulator.policy import ExportedPolicy
from services.trainer.architecture import (
    SAC_POLICY,
    SAC_Q,
    SAC_TARGET_V,
    SAC_V,
    SacBlueprint,
    blueprint_of,
    sensor_shapes,
)
from services.trainer.checkpoint import read_checkpoint, write_checkpoint
from services.trainer.distributions import SquashedGaussian
from services.trainer.exploration import SquashedNoise
from services.trainer.exports import FORMATS, export_policy, random_observations
from services.trainer.frozen import freeze_policy, run_frozen
from services.trainer.learner import Learner
from services.trainer.ppo import Diverged
from services.trainer.replay import Transitions
from services.trainer.sac import Sac
from services.trainer.sac_network import SacNetwork

SIZE = 36
CAMERA, LIDAR = "FRONT_FACING_CAMERA", "LIDAR"
NAME = "13_Step-8044.ckpt"
SPACE = ContinuousActionSpace(
    speed=ContinuousRange(low=1.0, high=2.0), steering_angle=ContinuousRange(low=-20.0, high=30.0)
)
TINY = SacBlueprint("FAST", {LIDAR: (6,)}, 2, continuous=True)
SHALLOW = SacBlueprint(
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", sensor_shapes((CAMERA,), 44, 48), 2, continuous=True
)
MIXED = SacBlueprint("FAST", sensor_shapes(("STEREO_CAMERAS", LIDAR), 44, 48), 2, continuous=True)
SETTINGS = {
    "cars": 8,
    "horizon": 8,
    "batch_size": 32,
    "updates_per_iteration": 2,
    "warm_up_steps": 64,
    "replay_size": 512,
}


def lively(blueprint, seed=0):
    """A network in which every layer has something to say."""
    rng, network = np.random.default_rng(seed), SacNetwork(blueprint, seed)
    for name, variable in network.variables.items():
        spread = 0.1 if name.endswith("bias") else np.prod(variable.shape[:-1]) ** -0.5
        variable.assign(rng.normal(0, spread, variable.shape).astype(np.float32))
    return network


class Layers:
    """Dense layers in NumPy with their derivatives; all but the last end in a ReLU, or all do."""

    def __init__(self, values, scopes, linear_end):
        self.scopes, self.linear_end = scopes, linear_end
        self.kernels = [values[f"{scope}/kernel"] for scope in scopes]
        self.biases = [values[f"{scope}/bias"] for scope in scopes]

    def forward(self, inputs):
        self.inputs, self.outputs = [], []
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            self.inputs.append(inputs)
            inputs = inputs @ kernel + bias
            if not (self.linear_end and index == len(self.kernels) - 1):
                inputs = np.maximum(inputs, 0)
            self.outputs.append(inputs)
        return inputs

    def backward(self, slopes):
        """Derivatives by the inputs, and by the variables by name."""
        found = {}
        for index in reversed(range(len(self.kernels))):
            if not (self.linear_end and index == len(self.kernels) - 1):
                slopes = slopes * (self.outputs[index] > 0)
            found[f"{self.scopes[index]}/kernel"] = self.inputs[index].T @ slopes
            found[f"{self.scopes[index]}/bias"] = slopes.sum(0)
            slopes = slopes @ self.kernels[index].T
        return slopes, found


def in_numpy(values, batch, noise, alpha, discount):
    """Losses and gradients of everything, from equations 5 to 13 of the paper."""
    embedder = [f"{LIDAR}/Dense_0", f"{LIDAR}/Dense_2"]
    trunk = [*embedder, "middleware_fc_embedder/Dense_0"]

    def layers(network, names, linear_end=False):
        return Layers(values, [f"{network}/{name}" for name in names], linear_end)

    size = len(noise)
    states, actions = batch.observations[LIDAR].astype(float), batch.actions.astype(float)
    target = layers(SAC_TARGET_V, [*trunk, "v_values_head_0/output"], linear_end=True)
    after = target.forward(batch.following[LIDAR].astype(float))[:, 0]
    q_targets = batch.rewards + discount * batch.lasting * after

    body = layers(SAC_POLICY, [*trunk, "sac_policy_head_0/dense"])
    mean_layer = layers(SAC_POLICY, ["sac_policy_head_0/policy_mean"], linear_end=True)
    spread_layer = layers(SAC_POLICY, ["sac_policy_head_0/dense_1"], linear_end=True)
    features = body.forward(states)
    mean, std = mean_layer.forward(features), np.exp(spread_layer.forward(features))
    raw = mean + std * noise
    drawn = np.tanh(raw)
    log_probs = (stats.norm(mean, std).logpdf(raw) - np.log(1 - drawn**2)).sum(1)

    embed = layers(SAC_Q, embedder)
    heads = [
        layers(
            SAC_Q,
            [f"q_values_head_0/q{n}_head/{each}" for each in ("dense", "dense_1", f"q{n}_output")],
            linear_end=True,
        )
        for n in (1, 2)
    ]
    embedded = embed.forward(states)

    def both(taken):
        joined = np.hstack([embedded, taken])
        return np.stack([head.forward(joined)[:, 0] for head in heads])

    worth = both(drawn)
    smaller = np.argmin(worth, axis=0)
    by_action = sum(
        head.backward((smaller == index)[:, None].astype(float))[0][:, -2:]
        for index, head in enumerate(heads)
    )
    slope = 1 - drawn**2
    by_mean = (alpha * 2 * drawn - by_action * slope) / size
    by_std = (alpha * (2 * drawn * noise - 1 / std) - by_action * slope * noise) / size
    gradients = {}
    back_mean, found = mean_layer.backward(by_mean)
    gradients |= found
    back_spread, found = spread_layer.backward(by_std * std)
    gradients |= found
    gradients |= body.backward(back_mean + back_spread)[1]

    errors = both(actions) - q_targets
    back = 0
    for head, error in zip(heads, errors, strict=True):
        by_joined, found = head.backward(error[:, None] / size)
        back = back + by_joined[:, :-2]
        gradients |= found
    gradients |= embed.backward(back)[1]

    soft = worth.min(0) - alpha * log_probs
    value = layers(SAC_V, [*trunk, "v_values_head_0/output"], linear_end=True)
    value_error = value.forward(states)[:, 0] - soft
    gradients |= value.backward(2 * value_error[:, None] / size)[1]
    losses = (-soft.mean(), 0.5 * (errors**2).mean(1).sum(), (value_error**2).mean())
    return losses, -log_probs.mean(), gradients


def test_one_update_equals_the_same_update_in_numpy():
    network, rng = lively(TINY), np.random.default_rng(1)
    batch = Transitions(
        observations={LIDAR: rng.normal(0, 1, (16, 6)).astype(np.float32)},
        actions=rng.uniform(-1, 1, (16, 2)).astype(np.float32),
        rewards=rng.normal(0, 1, 16).astype(np.float32),
        following={LIDAR: rng.normal(0, 1, (16, 6)).astype(np.float32)},
        lasting=rng.integers(0, 2, 16).astype(np.float32),
    )
    hyper = Hyperparameters(lr=1e-3, sac_alpha=0.3, discount_factor=0.9, tau=0.25)
    before = {name: each.numpy().astype(float) for name, each in network.variables.items()}
    noise = np.random.default_rng(2).standard_normal((16, 2), np.float32)
    losses, entropy, gradients = in_numpy(before, batch, noise.astype(float), 0.3, 0.9)

    metrics = Sac(network, hyper)._minibatch(batch, np.random.default_rng(2))

    assert np.allclose(metrics[:3], losses, rtol=1e-4, atol=1e-5)
    assert metrics[3] == pytest.approx(entropy, abs=1e-4)
    norm = np.sqrt(sum((each**2).sum() for each in gradients.values()))
    assert metrics[-1] == pytest.approx(norm, rel=1e-4)
    after = {name: each.numpy() for name, each in network.variables.items()}
    targets = {name for name in before if name.startswith(SAC_TARGET_V)}
    assert set(gradients) == set(before) - targets
    for name, gradient in gradients.items():
        expected = -1e-3 * gradient / (np.abs(gradient) + 1e-5 / np.sqrt(1 - 0.999))
        assert np.allclose(after[name] - before[name], expected, rtol=2e-3, atol=3e-6), name
    for name in targets:
        source = after[name.replace(SAC_TARGET_V, SAC_V)]
        expected = 0.75 * before[name] + 0.25 * source
        assert np.allclose(after[name], expected, atol=1e-6), name


def test_chances_of_squashed_actions_are_a_density_over_minus_one_to_one():
    """Drawn actions fall as often into each part of the square as their density says."""
    settled = tf.constant([[0.4, -0.3, 0.6, 0.9]], tf.float32)
    noise = np.random.default_rng(0).standard_normal((200_000, 2)).astype(np.float32)
    actions, logs = SquashedGaussian(2).draw(tf.repeat(settled, len(noise), 0), noise)
    inverse = np.exp(-logs.numpy())
    assert np.abs(actions.numpy()).max() <= 1
    for low, high in ((-0.5, 0.0), (0.0, 0.5)):
        inside = np.all((actions.numpy() > low) & (actions.numpy() < high), axis=1)
        assert (inverse * inside).mean() == pytest.approx((high - low) ** 2, rel=0.03)


def test_far_out_the_density_stays_finite():
    settled = tf.constant([[30.0, -30.0, 1.0, 1.0]], tf.float32)
    actions, logs = SquashedGaussian(2).draw(settled, tf.zeros((1, 2)))
    assert actions.numpy().tolist() == [[1.0, -1.0]]
    assert np.isfinite(logs.numpy()).all()


def test_exploration_draws_what_learning_draws():
    raw = np.tile(np.array([0.5, -0.25, 0.1, 2.0], np.float32), (20_000, 1))
    drawn = SquashedNoise().choose(raw, 0, np.random.default_rng(0))
    noise = np.random.default_rng(1).standard_normal((20_000, 2)).astype(np.float32)
    learned, _ = SquashedGaussian(2).draw(tf.constant(raw), noise)
    assert np.allclose(drawn.mean(0), learned.numpy().mean(0), atol=0.02)
    assert np.allclose(drawn.std(0), learned.numpy().std(0), rtol=0.03)


def test_a_fresh_target_is_the_value_that_it_follows():
    network = SacNetwork(TINY, seed=3)
    seen = {LIDAR: np.random.default_rng(0).random((5, 6), np.float32)}
    assert np.allclose(network.values(seen), network.target_values(seen), atol=1e-6)


def test_the_networks_have_deepracers_variables():
    shapes = SHALLOW.weight_shapes()
    head = "main_level/agent/policy/online/network_0/sac_policy_head_0"
    assert shapes[f"{head}/dense/kernel"] == (512, 256)
    assert shapes[f"{head}/policy_mean/kernel"] == (256, 2)
    assert shapes[f"{head}/dense_1/kernel"] == (256, 2)
    q = "main_level/agent/q/online/network_0"
    width = SHALLOW.embedding_size(CAMERA)
    assert shapes[f"{q}/{CAMERA}/Conv2d_0/kernel"] == (8, 8, 1, 32)
    for number in (1, 2):
        scope = f"{q}/q_values_head_0/q{number}_head"
        assert shapes[f"{scope}/dense/kernel"] == (width + 2, 256)
        assert shapes[f"{scope}/dense_1/kernel"] == (256, 256)
        assert shapes[f"{scope}/q{number}_output/kernel"] == (256, 1)
    for copy in ("online", "target"):
        scope = f"main_level/agent/v/{copy}/network_0"
        assert shapes[f"{scope}/middleware_fc_embedder/Dense_0/kernel"] == (width, 512)
        assert shapes[f"{scope}/v_values_head_0/output/kernel"] == (512, 1)
    assert not any("middleware" in name for name in shapes if name.startswith(q))


@pytest.mark.parametrize("complete", [False, True])
def test_a_checkpoint_comes_back_whole(tmp_path, complete):
    weights = lively(SHALLOW).export_weights()
    write_checkpoint(tmp_path, NAME, weights, complete=complete)
    again = read_checkpoint(tmp_path / NAME, SHALLOW)
    assert again.keys() == weights.keys()
    assert all(np.array_equal(again[name], weights[name]) for name in weights)
    stored = tf.train.load_checkpoint(str(tmp_path / NAME)).get_variable_to_shape_map()
    rescalers = [name for name in stored if name.endswith("gradients_from_head_0-0_rescalers")]
    assert len(rescalers) == 4
    steps = [name for name in stored if name.endswith("online/global_step")]
    assert len(steps) == (3 if complete else 0)


def test_a_checkpoint_of_clipped_ppo_is_refused(tmp_path):
    write_checkpoint(tmp_path, NAME, {f"{SAC_POLICY}/x/kernel": np.zeros((2, 2), np.float32)})
    with pytest.raises(InvalidInput, match=r"lacks \d+ of \d+ variables"):
        read_checkpoint(tmp_path / NAME, SHALLOW)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_comes_back_as_the_live_policy(kind, tmp_path):
    weights = lively(MIXED).export_weights()
    (export,) = export_policy(weights, MIXED, NAME, tmp_path, [kind])
    assert export.difference <= (1e-3 if kind == "openvino-fp16" else 1e-5)


def test_the_simulator_drives_what_the_frozen_policy_says(tmp_path):
    metadata = spec_with().metadata
    blueprint = blueprint_of(metadata)
    network = lively(blueprint)
    file = tmp_path / "model_13.pb"
    file.write_bytes(freeze_policy(network.export_weights(), blueprint))
    seen = random_observations(blueprint)
    raw = network.policy(network.centre(seen)).numpy()
    outputs = ExportedPolicy(file, sensors_of(metadata)).probabilities(seen)
    assert np.abs(outputs - np.tanh(raw[:, :2])).max() <= 1e-5
    orders = ActionSpace(metadata).most_probable(outputs)
    expected = scale_actions(command_bounds(SPACE), np.tanh(raw[:, :2]))
    assert np.allclose(orders.steering_rad, expected[:, 0], atol=1e-5)
    assert np.allclose(orders.speed_mps, expected[:, 1], atol=1e-5)
    assert np.ptp(orders.steering_rad) > 0.01


def spec_with(network="FAST", seed=0, space=SPACE, **hyperparameters):
    metadata = ModelMetadata(
        action_space=space,
        action_space_type="continuous",
        neural_network=network,
        training_algorithm="sac",
    )
    return RunSpec(
        name="toy",
        track="loop",
        seed=seed,
        metadata=metadata,
        hyperparameters=Hyperparameters(**{**SETTINGS, **hyperparameters}),
        reward_function="",
    )


def learner_with(**settings):
    ticks = count()
    return Learner(
        spec_with(**settings), height_px=SIZE, width_px=SIZE, clock=lambda: float(next(ticks))
    )


class Target:
    """The picture's brightness is where to steer, -1 to 1; the nearer, the better."""

    def __init__(self, cars, seed=0):
        self.cars, self.rng = cars, np.random.default_rng(seed)
        self.wanted = np.zeros(cars)

    def see(self):
        self.wanted = self.rng.uniform(-0.8, 0.8, self.cars)
        grey = np.uint8(110 + 100 * self.wanted)[:, None, None, None]
        return {CAMERA: np.broadcast_to(grey, (self.cars, SIZE, SIZE, 1)).copy()}

    def step(self, commands):
        low, high = np.radians(SPACE.steering_angle.low), np.radians(SPACE.steering_angle.high)
        steered = (np.array(commands)[:, 0] - low) / (high - low) * 2 - 1
        rewards = 1 - np.abs(steered - self.wanted)
        return [CarStep(reward=each, episode_reward=each, done=True) for each in rewards]


def drive(learner, world, calls):
    """Every decision of so many camera steps; what the cars did before has no outcome."""
    learner.begin_rollout()
    steps, decisions = (), []
    for _ in range(calls):
        decisions.append(learner.act(world.see(), steps))
        steps = world.step(decisions[-1].commands)
    return decisions


def test_a_toy_is_learned_and_its_policy_is_exported(tmp_path):
    learner = learner_with(lr=1e-3, discount_factor=0.0, sac_alpha=0.02)
    decisions = drive(learner, Target(8), 96)
    test = Target(64, seed=1)
    seen = test.see()
    actions = learner.exported_policy(seen)
    assert np.abs(actions).max() <= 1
    assert np.abs(actions[:, 0] - test.wanted).mean() < 0.15
    ended = [decision.ended for decision in decisions if decision.ended]
    assert ended[-1].mean_reward > ended[0].mean_reward
    frozen = run_frozen(learner.save(tmp_path).policy.read_bytes(), seen)
    assert np.abs(frozen - actions).max() <= 1e-5


def test_an_iteration_tells_what_sac_has_values_for():
    decisions = drive(learner_with(), Target(8), 18)
    ended = [(index, each.ended) for index, each in enumerate(decisions) if each.ended]
    assert [index for index, _ in ended] == [16]
    report = ended[0][1]
    assert (report.updates, report.env_steps, report.clip_fraction) == (2, 128, None)
    assert len(report.losses) == 1
    assert report.losses[0].kl_divergence > 0
    assert report.explained_variance is not None
    assert report.gradient_norm > 0
    assert sum(report.action_counts) == 2 * 128


def test_nothing_is_learned_before_the_warm_up_is_over():
    learner = learner_with(warm_up_steps=100)
    before = learner.export_weights()
    drive(learner, Target(8), 13)
    after = learner.export_weights()
    assert learner.state.updates == 0
    assert all(np.array_equal(before[name], after[name]) for name in before)
    drive(learner, Target(8), 2)
    assert learner.state.updates == 1


def test_without_a_horizon_it_learns_after_the_episodes_as_deepracer():
    learner = learner_with(horizon=None, num_episodes_between_training=24, warm_up_steps=1)
    decisions = drive(learner, Target(8), 8)
    assert [index for index, each in enumerate(decisions) if each.ended] == [3, 6]


def test_what_nobody_finished_teaches_nothing():
    learner, world = learner_with(horizon=1, warm_up_steps=1), Target(8)
    for _ in range(4):
        learner.act(world.see())
        learner.begin_rollout()
    assert (learner.state.updates, learner.state.env_steps) == (0, 0)


def test_one_seed_gives_one_run_and_another_seed_another():
    runs = [
        [decision.commands for decision in drive(learner_with(seed=seed), Target(8), 20)]
        for seed in (3, 3, 4)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_restored_learner_goes_on_where_the_checkpoint_was_with_an_empty_replay(tmp_path):
    learner, world = learner_with(policy_averaging=0.5), Target(8)
    drive(learner, world, 17)
    saved = learner.save(tmp_path)
    again = learner_with(seed=9)
    again.restore(tmp_path, saved.name)
    seen = world.see()
    assert np.allclose(again.exported_policy(seen), learner.exported_policy(seen), atol=1e-5)
    assert (again.state.env_steps, again.state.updates) == (128, 2)
    drive(again, world, 8)
    assert again.state.updates == 2
    drive(again, world, 2)
    assert again.state.updates == 3


def test_another_run_begins_with_all_weights_even_if_the_ranges_are_others(tmp_path):
    source = learner_with(seed=1)
    saved = source.save(tmp_path)
    narrow = SPACE.model_copy(update={"speed": ContinuousRange(low=0.5, high=1.0)})
    learner = learner_with(seed=2, space=narrow)
    told = learner.adopt_checkpoint(tmp_path / saved.name, source._spec.metadata)
    assert told is not None
    assert "an action is the same share of the new ranges" in told
    taken, given = learner.export_weights(), source.export_weights()
    assert all(np.allclose(taken[name], given[name], atol=1e-6) for name in given)


def test_learning_that_blows_up_says_what_keeps_it_finite():
    learner = learner_with(reward_scale=1e38)
    with pytest.raises(Diverged, match="keep them finite"):
        drive(learner, Target(8), 40)
