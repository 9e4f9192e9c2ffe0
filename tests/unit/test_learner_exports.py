"""Exports: every format is read back by other software and does what the live policy does."""

import numpy as np
import openvino
import pytest
import tensorflow as tf

from libs.common.errors import InvalidInput
from services.trainer.architecture import Blueprint, sensor_shapes
from services.trainer.checkpoint import read_checkpoint, write_checkpoint
from services.trainer.exports import FORMATS, Inaccurate, export_policy
from services.trainer.frozen import input_node
from services.trainer.network import ActorCritic

NAME = "13_Step-8044.ckpt"
CAMERA = "FRONT_FACING_CAMERA"
SHALLOW = Blueprint("DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", sensor_shapes((CAMERA,), 44, 48), 5)
MIXED = Blueprint("FAST", sensor_shapes(("STEREO_CAMERAS", "LIDAR"), 44, 48), 2, continuous=True)
ONLINE = "main_level/agent/main/online"


def lively(blueprint):
    """Weights of a policy that has something to say."""
    rng = np.random.default_rng(0)
    weights = ActorCritic(blueprint, seed=1).export_weights()
    for name, array in weights.items():
        if name.endswith("bias") or name.startswith(blueprint.policy_head):
            weights[name] = rng.normal(0, 0.1, array.shape).astype(np.float32)
    return weights


@pytest.fixture(scope="module", params=[SHALLOW, MIXED], ids=["discrete", "continuous with lidar"])
def blueprint(request):
    return request.param


@pytest.fixture(scope="module")
def weights(blueprint):
    return lively(blueprint)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_comes_back_as_the_live_policy(blueprint, weights, kind, tmp_path):
    (export,) = export_policy(weights, blueprint, NAME, tmp_path, [kind])
    assert export.difference <= (1e-3 if kind == "openvino-fp16" else 1e-5)
    assert all(file.stat().st_size > 0 for file in export.files)
    assert sorted(export.files) == sorted(tmp_path.iterdir())


def test_the_representation_takes_one_observation_of_every_sensor(tmp_path):
    export_policy(lively(MIXED), MIXED, NAME, tmp_path, ["openvino"])
    model = openvino.Core().read_model(tmp_path / "model_13.xml")
    shapes = {port.any_name.removesuffix(":0"): tuple(port.shape) for port in model.inputs}
    assert shapes == {
        input_node("LIDAR"): (1, 64),
        input_node("STEREO_CAMERAS"): (1, 44, 48, 2),
    }


def test_a_format_that_nobody_knows_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InvalidInput, match="'tflite'; accepted: pb, checkpoint, onnx"):
        export_policy(lively(SHALLOW), SHALLOW, NAME, tmp_path / "out", ["pb", "tflite"])
    assert not (tmp_path / "out").exists()


def test_an_export_that_is_not_the_policy_is_not_handed_over(tmp_path):
    weights = lively(SHALLOW)
    head = f"{SHALLOW.policy_head}/kernel"
    weights[head] = np.full_like(weights[head], 3e38)  # finite, but not what comes out
    with (
        np.errstate(all="ignore"),
        pytest.raises(Inaccurate, match=r"pb of 13_Step-8044\.ckpt differs by nan"),
    ):
        export_policy(weights, SHALLOW, NAME, tmp_path, ["pb"])
    assert list(tmp_path.iterdir()) == []


def test_a_complete_checkpoint_has_the_69_variables_of_stock_rl_coach(tmp_path):
    weights = lively(SHALLOW)
    write_checkpoint(tmp_path, NAME, weights, complete=True)
    stored = dict(tf.train.list_variables(str(tmp_path / NAME)))
    reader = tf.train.load_checkpoint(str(tmp_path / NAME))
    slot = f"{ONLINE}/{ONLINE}/network_1/ppo_head_0/policy_fc/kernel/Adam_1"
    assert len(stored) == 69
    assert stored[slot] == [512, 5]
    assert stored[f"{ONLINE}/{ONLINE}/network_0/gradients_from_head_0-0_rescalers/Adam"] == []
    assert reader.get_tensor(f"{ONLINE}/global_step") == 0
    assert reader.get_tensor(f"{ONLINE}/beta1_power") == pytest.approx(0.9)
    again = read_checkpoint(tmp_path / NAME, SHALLOW)
    assert all(np.array_equal(again[name], weights[name]) for name in weights)


def test_tensorflow_1_restores_a_complete_checkpoint_from_its_meta_graph(tmp_path):
    v1 = tf.compat.v1
    write_checkpoint(tmp_path, NAME, lively(SHALLOW), complete=True)
    with tf.Graph().as_default(), v1.Session() as process:
        saver = v1.train.import_meta_graph(str(tmp_path / f"{NAME}.meta"))
        saver.restore(process, str(tmp_path / NAME))
        kinds = {v.op.name: v.dtype.base_dtype for v in v1.global_variables()}
    assert len(kinds) == 69
    assert kinds[f"{ONLINE}/global_step"] == tf.int64


def test_a_checkpoint_of_another_network_is_refused_with_what_is_accepted(tmp_path):
    write_checkpoint(tmp_path, NAME, lively(MIXED))
    with pytest.raises(InvalidInput, match=r"NETWORK_SHALLOW with FRONT_FACING_CAMERA and 5 act"):
        read_checkpoint(tmp_path / NAME, SHALLOW)
