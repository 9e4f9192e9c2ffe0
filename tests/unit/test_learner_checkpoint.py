"""Checkpoints and frozen policies: what is written is what DeepRacer reads."""

import numpy as np
import pytest
import tensorflow as tf

from libs.common.errors import InvalidInput
from services.trainer.architecture import Blueprint
from services.trainer.checkpoint import (
    checkpoint_name,
    checkpoint_number,
    read_checkpoint,
    write_checkpoint,
)
from services.trainer.frozen import OUTPUT_NODE, freeze_policy, input_node, run_frozen
from services.trainer.network import ActorCritic

SIZE = 36
CAMERA = "FRONT_FACING_CAMERA"
SHALLOW = Blueprint("DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", {CAMERA: (SIZE, SIZE, 1)}, actions=5)
NAME = "13_Step-8044.ckpt"


@pytest.fixture(scope="module")
def network():
    network = ActorCritic(SHALLOW, seed=1)
    for name, variable in network.variables.items():
        if name.endswith("bias"):
            variable.assign_add(np.linspace(-0.1, 0.1, variable.shape[0]))
    return network


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 1))
    return {CAMERA: pixels.astype(np.uint8)}


def policy(network, images):
    return tf.nn.softmax(network.policy(network.centre(images))).numpy()


def test_a_checkpoint_comes_back_bit_by_bit(network, tmp_path):
    weights = network.export_weights()
    files = write_checkpoint(tmp_path, NAME, weights)
    again = read_checkpoint(tmp_path / NAME, SHALLOW)
    assert [file.name for file in files] == [
        f"{NAME}.data-00000-of-00001",
        f"{NAME}.index",
        f"{NAME}.meta",
    ]
    assert again.keys() == weights.keys()
    assert all(np.array_equal(again[name], weights[name]) for name in weights)


def test_a_checkpoint_holds_the_22_variables_of_deepracers_own(network, tmp_path):
    write_checkpoint(tmp_path, NAME, network.export_weights())
    stored = dict(tf.train.list_variables(str(tmp_path / NAME)))
    online = "main_level/agent/main/online"
    assert len(stored) == 22
    assert stored[f"{online}/network_0/gradients_from_head_0-0_rescalers"] == []
    assert stored[f"{online}/network_1/gradients_from_head_0-0_rescalers"] == []
    assert stored[f"{online}/network_0/v_values_head_0/output/kernel"] == [512, 1]
    assert stored[f"{online}/network_1/ppo_head_0/policy_fc/bias"] == [5]
    assert stored[f"{online}/network_1/FRONT_FACING_CAMERA/Conv2d_4/kernel"] == [3, 3, 64, 64]


def test_the_folder_names_its_last_checkpoint_for_both_readers(network, tmp_path):
    for name in ("0_Step-0.ckpt", NAME):
        write_checkpoint(tmp_path, name, network.export_weights())
    assert (tmp_path / ".coach_checkpoint").read_text() == NAME
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / NAME)


def test_tensorflow_1_restores_a_checkpoint_from_its_meta_graph(network, tmp_path):
    v1 = tf.compat.v1
    weights = network.export_weights()
    write_checkpoint(tmp_path, NAME, weights)
    with tf.Graph().as_default(), v1.Session() as process:
        v1.train.import_meta_graph(str(tmp_path / f"{NAME}.meta")).restore(
            process, str(tmp_path / NAME)
        )
        restored = {v.op.name: process.run(v) for v in v1.global_variables()}
    assert all(np.array_equal(restored[name], weights[name]) for name in weights)
    assert len(restored) == 22


def test_the_slots_of_an_optimiser_and_shared_names_do_no_harm(network, tmp_path):
    weights = network.export_weights()
    stored = {name.replace("/online/", "/global/"): array for name, array in weights.items()}
    stored |= {f"{name}/Adam": array for name, array in stored.items()}
    stored["global_step"] = np.int64(7)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / NAME),
        tensor_names=list(stored),
        shape_and_slices=[""] * len(stored),
        tensors=list(stored.values()),
    )
    again = read_checkpoint(tmp_path / NAME, SHALLOW)
    assert all(np.array_equal(again[name], weights[name]) for name in weights)


@pytest.mark.parametrize("suffix", [".data-00000-of-00001", ".index"])
def test_a_truncated_file_is_refused(network, tmp_path, suffix):
    write_checkpoint(tmp_path, NAME, network.export_weights())
    file = tmp_path / f"{NAME}{suffix}"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InvalidInput, match=f"checkpoint {NAME} can't be read"):
        read_checkpoint(tmp_path / NAME, SHALLOW)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=f"checkpoint {NAME} can't be read"):
        read_checkpoint(tmp_path / NAME, SHALLOW)


def test_a_checkpoint_of_something_else_is_refused_with_what_it_lacks(tmp_path):
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / NAME), tensor_names=["w"], shape_and_slices=[""], tensors=[[1.0]]
    )
    with pytest.raises(InvalidInput, match="lacks 20 of 20 variables"):
        read_checkpoint(tmp_path / NAME, SHALLOW)


def test_names_carry_the_number_and_the_steps():
    assert checkpoint_name(13, 8044) == NAME
    assert checkpoint_number(NAME) == 13
    with pytest.raises(InvalidInput, match=r"'model\.ckpt' names no checkpoint"):
        checkpoint_number("model.ckpt")


def test_a_frozen_policy_equals_the_live_one(network, images):
    frozen = freeze_policy(network.export_weights(), SHALLOW)
    difference = np.abs(run_frozen(frozen, images) - policy(network, images))
    assert difference.max() <= 1e-5


def test_a_frozen_policy_has_deepracers_nodes_and_nothing_younger_than_tensorflow_1(network):
    definition = tf.compat.v1.GraphDef.FromString(freeze_policy(network.export_weights(), SHALLOW))
    nodes = {node.name: node for node in definition.node}
    placeholder = f"main_level/agent/main/online/network_0/{CAMERA}/{CAMERA}"
    assert input_node(CAMERA) == placeholder
    assert nodes[placeholder].op == "Placeholder"
    assert nodes[OUTPUT_NODE].op == "Softmax"
    multiplications = [node for node in definition.node if node.op == "MatMul"]
    assert [sorted(node.attr) for node in multiplications] == [["T"], ["T"]]
    assert not [name for node in definition.node for name in node.attr if name.startswith("_")]


def test_a_frozen_graph_without_the_expected_names_is_refused_with_them(network, images):
    of_another = Blueprint(SHALLOW.network, {"LEFT_CAMERA": (SIZE, SIZE, 1)}, actions=5)
    model = freeze_policy(ActorCritic(of_another, 0).export_weights(), of_another)
    with pytest.raises(InvalidInput, match=f"nodes {input_node(CAMERA)} and {OUTPUT_NODE}"):
        run_frozen(model, images)


@pytest.mark.parametrize("model", [b"not a graph", b""])
def test_bytes_that_are_no_policy_are_refused(model, images):
    with pytest.raises(InvalidInput, match="no frozen DeepRacer policy"):
        run_frozen(model, images)
