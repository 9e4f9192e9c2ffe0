"""The networks: shapes, seeds, and the two forms of their weights."""

import numpy as np
import pytest

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.errors import InvalidInput
from services.trainer.architecture import TRUNKS, Blueprint, blueprint_of, sensor_shapes
from services.trainer.network import ActorCritic
from services.trainer.weight_form import check_weights, fold, unfold

CAMERA = "FRONT_FACING_CAMERA"
HEIGHT, WIDTH = 36, 40
LIDARS = ("LIDAR", "SECTOR_LIDAR", "DISCRETIZED_SECTOR_LIDAR")


def blueprint(actions=3, network="SHALLOW", sensors=(CAMERA,), size=(HEIGHT, WIDTH), **rest):
    name = network if network == "FAST" else f"DEEP_CONVOLUTIONAL_NETWORK_{network}".rstrip("_")
    return Blueprint(name, sensor_shapes(sensors, *size), actions, **rest)


def seen(sketch, count=3, seed=2):
    """Random observations for every sensor of a network."""
    rng = np.random.default_rng(seed)
    return {
        sensor: rng.integers(0, 256, (count, *shape)).astype(np.uint8)
        if sketch.is_camera(sensor)
        else rng.random((count, *shape)).astype(np.float32)
        for sensor, shape in sketch.inputs.items()
    }


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


PLAIN = {
    # Strides of the convolutions, dense layers of the camera, of the middleware; rl_coach's own
    # graphs gave the names.
    "SHALLOW": ((4, 2, 1), 0, 1),
    "": ((2, 1, 2, 1), 1, 1),
    "DEEP": ((4, 2, 2, 1), 2, 2),
}


def deepracer_forward(weights, images, network, head, kind="SHALLOW"):
    """DeepRacer's graph in plain numpy, for bytes (n, height, width, 1)."""
    scope = f"main_level/agent/main/online/{network}"
    strides, dense, middleware = PLAIN[kind]
    features = images / 255.0
    for layer, stride in enumerate(strides):
        name = f"{scope}/{CAMERA}/Conv2d_{2 * layer}"
        kernel, bias = weights[f"{name}/kernel"].astype(np.float64), weights[f"{name}/bias"]
        features = relu(convolve(features, kernel, bias, stride))
    for layer in range(dense):  # as rl_coach, before it flattens: on the channels alone
        name = f"{scope}/{CAMERA}/Dense_{2 * (len(strides) + layer)}"
        features = relu(features @ weights[f"{name}/kernel"] + weights[f"{name}/bias"])
    features = features.reshape(len(images), -1)
    for layer in range(middleware):
        name = f"{scope}/middleware_fc_embedder/Dense_{2 * layer}"
        features = relu(features @ weights[f"{name}/kernel"] + weights[f"{name}/bias"])
    return features @ weights[f"{scope}/{head}/kernel"] + weights[f"{scope}/{head}/bias"]


def test_shallow_has_the_sizes_of_deepracers_for_its_camera():
    shapes = blueprint(5, size=(120, 160)).weight_shapes()
    dense = "main_level/agent/main/online/network_1/middleware_fc_embedder/Dense_0"
    assert len(shapes) == 20
    assert shapes[f"{dense}/kernel"] == (11 * 16 * 64, 512)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 11_682_118


@pytest.mark.parametrize(
    ("network", "sensors", "width"),
    [
        ("", (CAMERA,), 56_000),
        ("DEEP", (CAMERA,), 3 * 6 * 512),
        ("DEEP", ("LEFT_CAMERA", "LIDAR"), 3 * 6 * 512 + 256),
        ("SHALLOW", ("STEREO_CAMERAS", "SECTOR_LIDAR"), 11_264 + 256),
        ("", ("STEREO_CAMERAS",), 25 * 35 * 128),
        ("FAST", (CAMERA,), 6 * 9 * 32),
    ],
)
def test_the_middleware_reads_all_embeddings_end_to_end(network, sensors, width):
    sketch = blueprint(network=network, sensors=sensors, size=(120, 160))
    assert sketch.middleware_layers()[0].kernel[0] == width


def test_the_deeper_networks_have_rl_coachs_names_and_shapes():
    shapes = blueprint(2, network="", size=(120, 160), continuous=True).weight_shapes()
    online = "main_level/agent/main/online"
    assert shapes[f"{online}/network_1/{CAMERA}/Dense_8/kernel"] == (64, 64)
    assert shapes[f"{online}/network_1/ppo_head_0/policy_mean/kernel"] == (512, 2)
    assert shapes[f"{online}/network_1/ppo_head_0/policy_log_std"] == (1, 2)
    shapes = blueprint(network="DEEP", sensors=("LIDAR", CAMERA), size=(120, 160)).weight_shapes()
    assert shapes[f"{online}/network_0/{CAMERA}/Dense_10/kernel"] == (512, 512)
    assert shapes[f"{online}/network_0/LIDAR/Dense_2/kernel"] == (256, 256)
    assert shapes[f"{online}/network_0/middleware_fc_embedder/Dense_2/kernel"] == (256, 128)


@pytest.mark.parametrize("kind", PLAIN)
def test_exported_weights_in_deepracers_graph_give_the_same_outputs(kind):
    size = (76, 80) if kind == "DEEP" else (HEIGHT, WIDTH)
    network = ActorCritic(blueprint(4, network=kind, size=size), seed=1)
    observations = seen(network.blueprint)
    weights = network.export_weights()
    inputs, images = network.centre(observations), observations[CAMERA]
    logits = deepracer_forward(weights, images, "network_1", "ppo_head_0/policy_fc", kind)
    values = deepracer_forward(weights, images, "network_0", "v_values_head_0/output", kind)
    assert np.allclose(network.policy(inputs).numpy(), logits, atol=1e-5)
    assert np.allclose(network.values(inputs).numpy(), values[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("network", "camera", "lidar"),
    [*zip(TRUNKS, (CAMERA, "LEFT_CAMERA", CAMERA, "STEREO_CAMERAS"), (*LIDARS, None), strict=True)],
)
def test_cameras_and_lidars_go_together(network, camera, lidar):
    sensors = (camera,) if lidar is None else (lidar, camera)
    sketch = Blueprint(network, sensor_shapes(sensors, 76, 76), actions=3)
    critic = ActorCritic(sketch, seed=0)
    inputs = critic.centre(seen(sketch))
    assert critic.policy(inputs).shape == (3, 3)
    assert critic.values(inputs).shape == (3,)


def test_the_lidars_configuration_makes_its_width():
    metadata = ModelMetadata.model_validate(
        {
            "action_space": [{"steering_angle": angle, "speed": 1} for angle in (-10, 10)],
            "sensor": ["STEREO_CAMERAS", "DISCRETIZED_SECTOR_LIDAR"],
            "lidar_config": {"num_sectors": 16, "num_values_per_sector": 3},
        }
    )
    assert blueprint_of(metadata).inputs == {
        "STEREO_CAMERAS": (120, 160, 2),
        "DISCRETIZED_SECTOR_LIDAR": (48,),
    }


def test_a_lidar_has_a_say():
    network = ActorCritic(blueprint(sensors=(CAMERA, "SECTOR_LIDAR"), network="FAST"), seed=0)
    observations = seen(network.blueprint)
    before = network.values(network.centre(observations)).numpy()
    observations["SECTOR_LIDAR"] = 1 - observations["SECTOR_LIDAR"]
    assert not np.allclose(network.values(network.centre(observations)).numpy(), before)


def test_continuous_actions_begin_in_the_middle_with_a_spread_of_one():
    network = ActorCritic(blueprint(2, continuous=True), seed=1)
    raw = network.policy(network.centre(seen(network.blueprint))).numpy()
    assert np.abs(raw[:, :2]).max() < 0.1
    assert np.allclose(raw[:, 2:], 1.0)


def test_folding_and_unfolding_cancel_out():
    sketch = blueprint(4, sensors=("STEREO_CAMERAS", "LIDAR"))
    weights = ActorCritic(sketch, seed=1).export_weights()
    again = fold(unfold(weights, sketch), sketch)
    assert all(np.allclose(again[name], weights[name], atol=1e-6) for name in weights)


def test_one_seed_gives_one_network():
    first, same, other = (ActorCritic(blueprint(), seed).export_weights() for seed in (5, 5, 6))
    assert all(np.array_equal(first[name], same[name]) for name in first)
    kernel = f"{blueprint().policy_head}/kernel"
    assert not np.array_equal(first[kernel], other[kernel])


def test_adopted_weights_are_exported_again():
    source, target = ActorCritic(blueprint(), 1), ActorCritic(blueprint(), 2)
    target.adopt_weights(source.export_weights())
    inputs = source.centre(seen(source.blueprint))
    assert np.allclose(target.policy(inputs).numpy(), source.policy(inputs).numpy(), atol=1e-5)


def test_an_averaged_policy_is_a_mean_first_and_then_forgets_by_shares():
    network = ActorCritic(blueprint(), 1, averaging=0.75)
    name = f"{blueprint().policy_head}/bias"
    exported = []
    for number in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        network.variables[name].assign([number] * 3)
        network.average()
        exported.append(float(network.export_weights()[name][0]))
    assert exported == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.125, 3.84375])
    assert network.variables[name].numpy().tolist() == [6.0] * 3


def test_the_averaged_policy_is_what_is_asked_and_exported():
    network = ActorCritic(blueprint(), 1, averaging=0.9)
    before = network.export_weights()
    for variable in network.variables.values():
        variable.assign_add(np.full(variable.shape, 0.05))
    observations = seen(network.blueprint)
    inputs = network.centre(observations)
    expected = deepracer_forward(before, observations[CAMERA], "network_1", "ppo_head_0/policy_fc")
    assert np.allclose(network.exported_policy(inputs).numpy(), expected, atol=1e-4)
    assert not np.allclose(network.policy(inputs).numpy(), expected, atol=1e-2)


def test_without_averaging_the_policy_that_learns_is_exported():
    network = ActorCritic(blueprint(), 1)
    name = f"{blueprint().policy_head}/bias"
    network.variables[name].assign([1.0, 2.0, 3.0])
    network.average()
    assert network.export_weights()[name].tolist() == [1.0, 2.0, 3.0]


def test_weights_of_another_action_space_are_refused_by_name_and_shape():
    network = ActorCritic(blueprint(), 1)
    before = network.export_weights()
    with pytest.raises(InvalidInput, match=r"policy_fc/kernel has shape \(512, 5\).*\(512, 3\)"):
        network.adopt_weights(ActorCritic(blueprint(5), 1).export_weights())
    after = network.export_weights()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_every_unfit_variable_is_named():
    shapes = {"a": (2,), "b": (2,), "c": (2,)}
    with pytest.raises(InvalidInput) as refused:
        check_weights({"b": np.zeros(3), "c": np.array([0, np.nan])}, shapes)
    assert len(refused.value.problems) == 3
