"""Exported policies: a frozen graph of TensorFlow runs the same in OpenVINO; rubbish is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from libs.common.errors import InvalidInput
from libs.common.events import SensorArray
from services.simulator.policy import ExportedPolicy
from tests.small_policy import Weights, small_weights, write_policy

CAMERA = SensorArray(name="FRONT_FACING_CAMERA", shape=(120, 160, 1), dtype="uint8")
LIDAR = SensorArray(name="LIDAR", shape=(64,), dtype="float32")


def seen(images: np.ndarray) -> dict[str, np.ndarray]:
    return {CAMERA.name: images[..., np.newaxis]}


def policy_in_numpy(images: np.ndarray, weights: Weights) -> np.ndarray:
    """What the small graph computes: one convolution, ReLU, dense, softmax."""
    windows = np.lib.stride_tricks.sliding_window_view(images / 255.0, (8, 8), axis=(1, 2))
    maps = np.tensordot(windows[:, ::4, ::4], weights["kernel"][:, :, 0], axes=([3, 4], [0, 1]))
    hidden = np.maximum(maps + weights["bias"], 0).reshape(len(images), -1)
    logits = hidden @ weights["dense"]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def test_a_frozen_graph_gives_the_probabilities_of_its_weights(tmp_path: Path) -> None:
    weights = small_weights(actions=7)
    policy = ExportedPolicy(write_policy(weights, tmp_path / "model_3.pb"), [CAMERA])
    assert policy.actions == 7
    for count in (1, 8, 3):
        images = np.random.default_rng(count).integers(0, 256, (count, 120, 160), np.uint8)
        found = policy.probabilities(seen(images))
        assert found.dtype == np.float32
        assert found.shape == (count, 7)
        np.testing.assert_allclose(found, policy_in_numpy(images, weights), atol=1e-5)


def test_a_result_is_not_overwritten_by_the_next_call(tmp_path: Path) -> None:
    policy = ExportedPolicy(write_policy(small_weights(actions=5), tmp_path / "model.pb"), [CAMERA])
    first = policy.probabilities(seen(np.zeros((2, 120, 160), np.uint8)))
    kept = first.copy()
    policy.probabilities(seen(np.full((2, 120, 160), 200, np.uint8)))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x00" * 1000, b"\x0a\xff\xff\xff\xff"])
def test_a_file_that_is_no_graph_is_refused_with_what_is_accepted(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "model_0.pb"
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"'model_0.pb' \(\d+ bytes\) can't be read"):
        ExportedPolicy(path, [CAMERA])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        ExportedPolicy(tmp_path / "model_9.pb", [CAMERA])


def test_a_graph_without_the_policys_nodes_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.placeholder(tf.float32, [None, 120, 160, 1], name="camera")
    path = tmp_path / "other.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(InvalidInput, match="ppo_head_0/policy"):
        ExportedPolicy(path, [CAMERA])


def test_a_truncated_graph_is_refused(tmp_path: Path) -> None:
    path = write_policy(small_weights(actions=5), tmp_path / "model.pb")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InvalidInput, match="can't be read"):
        ExportedPolicy(path, [CAMERA])


@pytest.mark.parametrize(
    "sensors", [[CAMERA, LIDAR], [LIDAR], [CAMERA.model_copy(update={"shape": (120, 160, 2)})]]
)
def test_a_policy_for_other_sensors_is_refused_with_those_of_the_car(
    tmp_path: Path, sensors: list[SensorArray]
) -> None:
    path = write_policy(small_weights(actions=5), tmp_path / "model.pb")
    names = ", ".join(map(str, sensors))
    with pytest.raises(InvalidInput, match=f"for {re.escape(names)}$"):
        ExportedPolicy(path, sensors)
