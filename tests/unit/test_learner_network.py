"""The SHALLOW network: shapes, seeds, and the two forms of its weights."""

import numpy as np
import pytest

from libs.common.errors import InvalidInput
from services.trainer.network import (
    POLICY_HEAD,
    ActorCritic,
    check_weights,
    fold,
    unfold,
    weight_shapes,
)

SMALL = {"height_px": 36, "width_px": 40}


def relu(numbers):
    return np.maximum(numbers, 0)


def convolve(images, kernel, bias, stride):
    """A plain VALID convolution of (n, height, width, channels)."""
    size = kernel.shape[0]
    rows = (images.shape[1] - size) // stride + 1
    columns = (images.shape[2] - size) // stride + 1
    result = np.empty((len(images), rows, columns, kernel.shape[3]))
    for row in range(rows):
        for column in range(columns):
            y, x = row * stride, column * stride
            window = images[:, y : y + size, x : x + size]
            result[:, row, column] = np.tensordot(window, kernel, 3) + bias
    return result


def deepracer_forward(weights, images, trunk, head):
    """DeepRacer's graph in plain numpy: bytes divided by 255, three convolutions, 512, a head."""
    scope = f"main_level/agent/main/online/{trunk}"
    features = images[..., np.newaxis] / 255.0
    for layer, stride in ((0, 4), (2, 2), (4, 1)):
        name = f"{scope}/FRONT_FACING_CAMERA/Conv2d_{layer}"
        kernel, bias = weights[f"{name}/kernel"].astype(np.float64), weights[f"{name}/bias"]
        features = relu(convolve(features, kernel, bias, stride))
    name = f"{scope}/middleware_fc_embedder/Dense_0"
    flat = features.reshape(len(images), -1)
    hidden = relu(flat @ weights[f"{name}/kernel"] + weights[f"{name}/bias"])
    return hidden @ weights[f"{scope}/{head}/kernel"] + weights[f"{scope}/{head}/bias"]


def test_shallow_has_the_sizes_of_deepracers_for_its_camera():
    shapes = weight_shapes(actions=5)
    dense = "main_level/agent/main/online/network_1/middleware_fc_embedder/Dense_0"
    assert len(shapes) == 20
    assert shapes[f"{dense}/kernel"] == (11 * 16 * 64, 512)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 11_682_118


def test_exported_weights_in_deepracers_graph_give_the_same_outputs():
    network = ActorCritic(4, seed=1, **SMALL)
    images = np.random.default_rng(2).integers(0, 256, (3, 36, 40)).astype(np.uint8)
    weights = network.export_weights()
    pixels = network.centre(images)
    logits = deepracer_forward(weights, images, "network_1", "ppo_head_0/policy_fc")
    values = deepracer_forward(weights, images, "network_0", "v_values_head_0/output")
    assert np.allclose(network.logits(pixels).numpy(), logits, atol=1e-5)
    assert np.allclose(network.values(pixels).numpy(), values[:, 0], atol=1e-5)


def test_folding_and_unfolding_cancel_out():
    weights = ActorCritic(4, seed=1, **SMALL).export_weights()
    again = fold(unfold(weights))
    assert all(np.allclose(again[name], weights[name], atol=1e-6) for name in weights)


def test_one_seed_gives_one_network():
    first, same, other = (ActorCritic(3, seed, **SMALL).export_weights() for seed in (5, 5, 6))
    assert all(np.array_equal(first[name], same[name]) for name in first)
    kernel = f"{POLICY_HEAD}/kernel"
    assert not np.array_equal(first[kernel], other[kernel])


def test_adopted_weights_are_exported_again():
    source, target = ActorCritic(3, 1, **SMALL), ActorCritic(3, 2, **SMALL)
    target.adopt_weights(source.export_weights())
    images = np.random.default_rng(3).integers(0, 256, (2, 36, 40)).astype(np.uint8)
    expected = source.logits(source.centre(images)).numpy()
    assert np.allclose(target.logits(target.centre(images)).numpy(), expected, atol=1e-5)


def test_an_averaged_policy_is_a_mean_first_and_then_forgets_by_shares():
    network = ActorCritic(3, 1, **SMALL, averaging=0.75)
    name = f"{POLICY_HEAD}/bias"
    exported = []
    for number in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        network.variables[name].assign([number] * 3)
        network.average()
        exported.append(float(network.export_weights()[name][0]))
    assert exported == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.125, 3.84375])
    assert network.variables[name].numpy().tolist() == [6.0] * 3


def test_the_averaged_policy_is_what_is_asked_and_exported():
    network = ActorCritic(3, 1, **SMALL, averaging=0.9)
    before = network.export_weights()
    for variable in network.variables.values():
        variable.assign_add(np.full(variable.shape, 0.05))
    pixels = network.centre(np.random.default_rng(3).integers(0, 256, (2, 36, 40)).astype("uint8"))
    expected = deepracer_forward(
        before,
        (pixels.numpy()[..., 0] * 60 + 110),
        "network_1",
        "ppo_head_0/policy_fc",
    )
    assert np.allclose(network.exported_logits(pixels).numpy(), expected, atol=1e-4)
    assert not np.allclose(network.logits(pixels).numpy(), expected, atol=1e-2)


def test_without_averaging_the_policy_that_learns_is_exported():
    network = ActorCritic(3, 1, **SMALL)
    name = f"{POLICY_HEAD}/bias"
    network.variables[name].assign([1.0, 2.0, 3.0])
    network.average()
    assert network.export_weights()[name].tolist() == [1.0, 2.0, 3.0]


def test_weights_of_another_action_space_are_refused_by_name_and_shape():
    network = ActorCritic(3, 1, **SMALL)
    before = network.export_weights()
    with pytest.raises(InvalidInput, match=r"policy_fc/kernel has shape \(512, 5\).*\(512, 3\)"):
        network.adopt_weights(ActorCritic(5, 1, **SMALL).export_weights())
    after = network.export_weights()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_every_unfit_variable_is_named():
    shapes = {"a": (2,), "b": (2,), "c": (2,)}
    with pytest.raises(InvalidInput) as refused:
        check_weights({"b": np.zeros(3), "c": np.array([0, np.nan])}, shapes)
    assert len(refused.value.problems) == 3
