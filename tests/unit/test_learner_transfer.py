"""Starts from other runs' checkpoints: foreign names, and action spaces that differ."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from libs.common.deepracer.continuous import command_bounds, scale_actions
from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from services.trainer.architecture import LOG_STD, ONLINE, blueprint_of
from services.trainer.checkpoint import read_checkpoint, write_checkpoint
from services.trainer.import_process import ImportOrder, convert
from services.trainer.learner import Learner
from services.trainer.network import ActorCritic
from services.trainer.sac_network import SacNetwork
from services.trainer.transfer import describe_transfer, nearest_actions, transfer_weights

CAMERA = "FRONT_FACING_CAMERA"
NAME = "13_Step-8044.ckpt"
SIZE = (36, 48)


def discrete(*actions: tuple[float, float]) -> ModelMetadata:
    rows = [{"steering_angle": angle, "speed": speed} for angle, speed in actions]
    return ModelMetadata.model_validate({"action_space": rows, "neural_network": "FAST"})


def continuous(steering_deg: float, low_mps: float, high_mps: float) -> ModelMetadata:
    space = {
        "steering_angle": {"low": -steering_deg, "high": steering_deg},
        "speed": {"low": low_mps, "high": high_mps},
    }
    return ModelMetadata.model_validate(
        {"action_space": space, "action_space_type": "continuous", "neural_network": "FAST"}
    )


THREE = discrete((-30, 1.0), (0, 2.0), (30, 1.0))
FIVE = discrete((-30, 1.0), (-25, 1.0), (0, 2.0), (0, 3.0), (30, 1.0))


def weights_of(metadata, seed=1):
    """Weights of a network whose heads tell something."""
    rng = np.random.default_rng(seed)
    shapes = blueprint_of(metadata, *SIZE).weight_shapes()
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}


def outputs(weights, metadata):
    """Probabilities (n, actions) or means (n, 2) on some images."""
    network = ActorCritic(blueprint_of(metadata, *SIZE), seed=0)
    network.adopt_weights(weights)
    images = np.random.default_rng(0).integers(0, 256, (6, *SIZE, 1)).astype(np.uint8)
    return network.distribution.greedy(network.policy(network.centre({CAMERA: images})).numpy())


def store(folder, variables):
    tf.raw_ops.SaveV2(
        prefix=str(folder / NAME),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=list(variables.values()),
    )


def test_a_converted_checkpoint_has_counters_to_resume_from(tmp_path):
    source, output = tmp_path / "source", tmp_path / "output"
    source.mkdir()
    output.mkdir()
    spec = RunSpec(
        name="foreign",
        track="oval",
        metadata=THREE,
        hyperparameters=Hyperparameters(cars=1, horizon=8, batch_size=8),
        reward_function="",
    )
    weights = ActorCritic(blueprint_of(THREE), seed=3).export_weights()
    write_checkpoint(source, NAME, weights, complete=True)
    order = ImportOrder(folder=source, output=output, metadata=THREE, checkpoints=(NAME,))
    (files,) = convert(order).files
    assert files[-1].name == "model_13.pb"
    learner = Learner(spec)
    learner.restore(output, NAME)
    assert (learner.state.iteration, learner.state.env_steps) == (13, 8044)
    again = learner.export_weights()
    assert all(np.allclose(again[name], weights[name], atol=1e-5) for name in weights)


def test_a_folder_of_sac_is_converted_with_all_its_networks(tmp_path):
    source, output = tmp_path / "source", tmp_path / "output"
    source.mkdir()
    output.mkdir()
    metadata = continuous(30, 1.0, 2.0).model_copy(update={"training_algorithm": "sac"})
    weights = SacNetwork(blueprint_of(metadata), seed=3).export_weights()
    write_checkpoint(source, NAME, weights)
    order = ImportOrder(folder=source, output=output, metadata=metadata, checkpoints=(NAME,))
    report = convert(order)
    assert report.problems == ()
    again = read_checkpoint(output / NAME, blueprint_of(metadata))
    assert again.keys() == weights.keys()
    assert all(np.allclose(again[name], weights[name], atol=1e-6) for name in weights)


def test_checkpoints_that_are_not_there_are_all_named(tmp_path):
    names = (NAME, "14_Step-9.ckpt")
    order = ImportOrder(folder=tmp_path, output=tmp_path, metadata=THREE, checkpoints=names)
    report = convert(order)
    assert report.files == ()
    assert [name for name in names if name in str(report.problems)] == list(names)
    assert len(report.problems) == 2


@pytest.mark.parametrize(
    "renamed",
    [
        lambda name: name.replace(CAMERA, "observation"),  # as in 2019
        lambda name: name.replace("/online/", "/global/"),
        lambda name: name.removeprefix(f"{ONLINE}/"),
        lambda name: f"agent/{name.removeprefix('main_level/agent/main/')}",
    ],
)
def test_weights_are_found_under_the_names_of_other_writers(renamed, tmp_path):
    weights = weights_of(THREE)
    store(tmp_path, {renamed(name): array for name, array in weights.items()})
    again = read_checkpoint(tmp_path / NAME, blueprint_of(THREE, *SIZE))
    assert all(np.array_equal(again[name], weights[name]) for name in weights)


def test_the_network_that_acts_counts_before_its_copies(tmp_path):
    weights = weights_of(THREE)
    copies = {
        name.replace("/online/", f"/{scope}/"): np.zeros_like(array)
        for name, array in weights.items()
        for scope in ("global", "target")
    }
    slots = {f"{ONLINE}/{name}/Adam": np.ones_like(array) for name, array in weights.items()}
    store(tmp_path, {**copies, **slots, **weights})
    again = read_checkpoint(tmp_path / NAME, blueprint_of(THREE, *SIZE))
    assert all(np.array_equal(again[name], weights[name]) for name in weights)


def test_weights_of_another_shape_are_refused_with_both_shapes(tmp_path):
    store(tmp_path, weights_of(THREE))
    with pytest.raises(InvalidInput, match=r"shape \(128, 3\), this network has \(128, 5\)"):
        read_checkpoint(tmp_path / NAME, blueprint_of(FIVE, *SIZE))


def test_the_same_actions_are_taken_whole_and_without_a_word():
    weights = weights_of(THREE)
    assert transfer_weights(weights, THREE, THREE, {}) is weights
    assert describe_transfer(THREE, THREE) is None


def test_new_actions_begin_as_the_nearest_old_ones_and_share_their_chances():
    weights = weights_of(THREE)
    mapped = transfer_weights(weights, THREE, FIVE, {})
    before, after = outputs(weights, THREE), outputs(mapped, FIVE)
    shared = np.stack([after[:, :2].sum(1), after[:, 2:4].sum(1), after[:, 4]], axis=1)
    np.testing.assert_allclose(shared, before, atol=1e-5)
    np.testing.assert_allclose(after[:, 0], after[:, 1], atol=1e-6)
    told = describe_transfer(THREE, FIVE)
    assert told is not None
    assert "0 from 0, 1 from 0, 2 from 1, 3 from 1, 4 from 2" in told


def test_fewer_actions_keep_the_proportions_of_those_they_come_from():
    weights = weights_of(FIVE)
    mapped = transfer_weights(weights, FIVE, THREE, {})
    before, after = outputs(weights, FIVE)[:, [0, 2, 4]], outputs(mapped, THREE)
    np.testing.assert_allclose(after, before / before.sum(axis=1, keepdims=True), atol=1e-5)


actions = st.lists(
    st.tuples(st.integers(-30, 30), st.integers(1, 40).map(lambda tenths: tenths / 10)),
    min_size=2,
    max_size=12,
    unique=True,
)


@given(actions)
def test_every_action_is_nearest_to_itself(rows):
    space = discrete(*rows).action_space
    assert isinstance(space, tuple)
    assert nearest_actions(space, space).tolist() == list(range(len(rows)))


def test_a_continuous_policy_drives_the_same_commands_in_wider_ranges():
    narrow, wide = continuous(15, 1.0, 2.0), continuous(30, 0.5, 4.0)
    weights = weights_of(narrow)
    mapped = transfer_weights(weights, narrow, wide, {})
    before, after = outputs(weights, narrow), outputs(mapped, wide)
    inside = np.abs(before).max(axis=1) < 1
    assert inside.any()
    np.testing.assert_allclose(
        scale_actions(command_bounds(wide.action_space), after)[inside],
        scale_actions(command_bounds(narrow.action_space), before)[inside],
        atol=1e-5,
    )
    np.testing.assert_allclose(mapped[LOG_STD], weights[LOG_STD] + np.log([[1 / 2, 1 / 3.5]]), 1e-5)


def test_a_head_of_the_other_kind_begins_anew_and_the_trunk_stays():
    weights, target = weights_of(THREE), continuous(30, 1.0, 3.0)
    fresh = weights_of(target, seed=2)
    mapped = transfer_weights(weights, THREE, target, fresh)
    assert mapped.keys() == fresh.keys()
    taken = {name for name in mapped if mapped[name] is weights.get(name)}
    assert set(mapped) - taken == {name for name in fresh if "ppo_head_0" in name}
    told = describe_transfer(THREE, target)
    assert told is not None
    assert "were discrete and are continuous now" in told
