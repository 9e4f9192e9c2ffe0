"""
Value network and policy of a blueprint, as TensorFlow variables and the graph over them.

Weights leave and enter in DeepRacer's form; the variables in memory belong to centred pictures: see
`weight_form.py`.
"""

from collections.abc import Mapping
from math import prod, sqrt
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from services.trainer.architecture import (
    LOG_STD,
    VALUE,
    VALUE_HEAD,
    Blueprint,
    Layer,
    Weights,
)
from services.trainer.distributions import STD_EPSILON, distribution_of
from services.trainer.memory import Memory
from services.trainer.weight_form import PIXEL_MEAN, PIXEL_SPREAD, check_weights, fold, unfold

COMPUTED_IN = {"fp32": tf.float32, "bfloat16": tf.bfloat16}
"""Types by the names that `precision` has."""
LOG_STD_RANGE = (-20.0, 3.0)
"""DeepRacer's rl_coach clips the logarithm of the standard deviations to it."""
LONG_COLUMN = 1024
"""Columns this long are orthogonal within some per cent as they are drawn; QR takes seconds."""


def configure_threads(intra_op: int = 1, inter_op: int = 2) -> None:
    """
    Set TensorFlow's thread pools; once in a process, before anything else of this module.

    Value and policy are two networks of one size: one thread for each of them waits less than two
    threads that share every operation.
    """
    tf.config.threading.set_intra_op_parallelism_threads(intra_op)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op)


class ActorCritic:
    """
    Both networks as TensorFlow variables, drawn anew from a seed.

    While it learns fast, a policy swings around what it has found: one that laps may fail after
    the next update. The mean over its last updates hardly swings. That mean is what is exported,
    evaluated and raced where `averaging` asks for it; the policy that learns stays as it is.

    Args:
        blueprint: which network, for which sensors and actions.
        seed: the same seed gives the same weights.
        averaging: how much of the exported policy an update leaves in place; 0 exports the policy
            that learns.
        precision: of the hidden layers while it learns and acts; weights, heads and what is
            exported are float32 throughout.
    """

    def __init__(
        self, blueprint: Blueprint, seed: int, averaging: float = 0.0, precision: str = "fp32"
    ) -> None:
        self.blueprint = blueprint
        self._computed_in = COMPUTED_IN[precision]
        self.distribution = distribution_of(
            blueprint.actions, blueprint.continuous, blueprint.squashed
        )
        self.shapes = blueprint.weight_shapes()
        rng = np.random.default_rng(seed)
        gains = {f"{scope}/kernel": gain for scope, gain in self._gains().items()}
        self.variables: dict[str, Any] = {
            name: tf.Variable(_initial_value(gains.get(name, sqrt(2.0)), shape, rng, name))
            for name, shape in self.shapes.items()
        }
        self._averaging, self._averaged_updates = averaging, 0
        self._exported = dict(self.variables)
        if averaging > 0:
            acts = f"{blueprint.policy_network}/"
            of_policy = {n: each for n, each in self.variables.items() if n.startswith(acts)}
            self._exported |= {name: tf.Variable(each) for name, each in of_policy.items()}
        self._average = tf.function(self._average_by)

    def centre(self, observations: Mapping[str, Any]) -> dict[str, Any]:
        """Observations, whole or pooled, as float32; those of cameras of about unit spread."""
        cameras = self.blueprint.cameras
        return {
            sensor: _centred(each) if sensor in cameras else each
            for sensor, each in observations.items()
        }

    def policy(self, inputs: Mapping[str, Any]) -> Any:
        """Raw outputs (n, width) of the policy that learns, for centred inputs."""
        return policy_outputs(self.variables, self.blueprint, self._rounded(inputs))

    def exported_policy(self, inputs: Mapping[str, Any]) -> Any:
        """As `policy`, of the policy that is exported, in float32 whatever it learns in."""
        return policy_outputs(self._exported, self.blueprint, inputs)

    def values(self, inputs: Mapping[str, Any]) -> Any:
        """Expected returns (n,) for centred inputs."""
        features = embed(self.variables, self.blueprint, VALUE, self._rounded(inputs))
        return dense(self.variables, VALUE_HEAD, features)[:, 0]

    def average(self) -> None:
        """Move the exported policy towards the one that learns: once after every update."""
        self._averaged_updates += 1
        if self._averaging > 0:
            # A plain mean, until there is as much to average as asked for.
            share = max(1 - self._averaging, 1 / self._averaged_updates)
            self._average(tf.constant(share, tf.float32))

    def export_weights(self) -> Weights:
        """A copy of all weights in DeepRacer's form."""
        weights = {name: variable.numpy() for name, variable in self._exported.items()}
        return fold(weights, self.blueprint)

    def adopt_weights(self, weights: Weights) -> None:
        """
        Take over weights in DeepRacer's form.

        Raises:
            InvalidInput: a variable is missing or does not fit; nothing was changed.
        """
        check_weights(weights, self.shapes)
        known = {name: weights[name] for name in self.shapes}
        for name, array in unfold(known, self.blueprint).items():
            self.variables[name].assign(array)
            self._exported[name].assign(array)
        self._averaged_updates = 1  # they count as one

    def _rounded(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs in the type that the hidden layers then compute in."""
        return {sensor: tf.cast(each, self._computed_in) for sensor, each in inputs.items()}

    def _gains(self) -> dict[str, float]:
        """Of the kernels that are not followed by a ReLU: 1 for the value, 0.01 for the policy."""
        return {VALUE_HEAD: 1.0, self.blueprint.policy_head: 0.01}

    def memory(self) -> Memory:
        """A copy of all weights as they are while it learns, and of those that are exported."""
        return {
            **{name: variable.numpy() for name, variable in self._remembered().items()},
            "averaged_updates": np.asarray(self._averaged_updates, np.int64),
        }

    def recall(self, memory: Memory) -> None:
        """Take over what another one had; names and shapes are its own."""
        for name, variable in self._remembered().items():
            variable.assign(memory[name])
        self._averaged_updates = int(memory["averaged_updates"])

    def _remembered(self) -> dict[str, Any]:
        apart = {n: each for n, each in self._exported.items() if each is not self.variables[n]}
        return {
            **{f"weights/{name}": each for name, each in self.variables.items()},
            **{f"exported/{name}": each for name, each in apart.items()},
        }

    def _average_by(self, share: Any) -> None:
        for name, exported in self._exported.items():
            if exported is not self.variables[name]:
                exported.assign_add(share * (self.variables[name] - exported))


def policy_outputs(
    variables: Mapping[str, Any], blueprint: Blueprint, inputs: Mapping[str, Any]
) -> Any:
    """Logits (n, actions), or means and standard deviations (n, 2 * actions)."""
    features = _policy_features(variables, blueprint, inputs)
    head = dense(variables, blueprint.policy_head, features)
    if not blueprint.continuous:
        return head
    spread = blueprint.spread_head
    log_std = dense(variables, spread, features) if spread else variables[LOG_STD]
    std = tf.exp(tf.clip_by_value(log_std, *LOG_STD_RANGE)) + STD_EPSILON
    return tf.concat([head, tf.broadcast_to(std, tf.shape(head))], axis=1)


def policy_head(
    variables: Mapping[str, Any], blueprint: Blueprint, inputs: Mapping[str, Any]
) -> Any:
    """Logits or means (n, actions)."""
    features = _policy_features(variables, blueprint, inputs)
    return dense(variables, blueprint.policy_head, features)


def _policy_features(
    variables: Mapping[str, Any], blueprint: Blueprint, inputs: Mapping[str, Any]
) -> Any:
    features = embed(variables, blueprint, blueprint.policy_network, inputs)
    for layer in blueprint.policy_layers():
        features = apply_layer(variables, blueprint.policy_network, layer, features)
    return features


def embed(
    variables: Mapping[str, Any], blueprint: Blueprint, network: str, inputs: Mapping[str, Any]
) -> Any:
    """
    The features (n, units) that a network's head reads.

    Operations bear rl_coach's names: tools that look into a frozen policy ask for them.
    """
    features = embed_sensors(variables, blueprint, network, inputs)
    for layer in blueprint.middleware_layers():
        features = apply_layer(variables, network, layer, features)
    return features


def embed_sensors(
    variables: Mapping[str, Any], blueprint: Blueprint, network: str, inputs: Mapping[str, Any]
) -> Any:
    """The embeddings of all sensors (n, numbers), end to end, before a middleware."""
    joined = [
        _embedding(variables, blueprint, network, sensor, inputs[sensor])
        for sensor in blueprint.sensors
    ]
    return tf.concat(joined, -1, name=f"{network}/merger") if len(joined) > 1 else joined[0]


def _embedding(
    variables: Mapping[str, Any], blueprint: Blueprint, network: str, sensor: str, features: Any
) -> Any:
    if features.shape[1:] != blueprint.pooled[sensor]:
        side = blueprint.trunk.embedder(sensor).pooling
        features = tf.nn.avg_pool2d(features, side, side, "VALID")
    for layer in blueprint.embedder_layers(sensor):
        if len(layer.kernel) == 2:  # on the channels of every pixel
            features = tf.reshape(features, (-1, layer.kernel[0]))
        features = apply_layer(variables, network, layer, features)
    flat = (-1, blueprint.embedding_size(sensor))
    return tf.reshape(features, flat, name=f"{network}/{sensor}/flatten/Reshape")


def apply_layer(variables: Mapping[str, Any], network: str, layer: Layer, features: Any) -> Any:
    """One layer and its ReLU, in the type of the features."""
    scope, kind = f"{network}/{layer.name}", features.dtype
    if len(layer.kernel) == 2:
        return tf.nn.relu(_affine(variables, scope, features, kind))
    kernel = tf.cast(variables[f"{scope}/kernel"], kind)
    bias = tf.cast(variables[f"{scope}/bias"], kind)
    features = tf.nn.conv2d(features, kernel, layer.stride, "VALID", name=f"{scope}/Conv2D")
    return tf.nn.relu(tf.nn.bias_add(features, bias))


def dense(variables: Mapping[str, Any], scope: str, features: Any) -> Any:
    """A head: a layer without ReLU, in float32."""
    return _affine(variables, scope, tf.cast(features, tf.float32), tf.float32)


def _affine(variables: Mapping[str, Any], scope: str, features: Any, kind: Any) -> Any:
    kernel = tf.cast(variables[f"{scope}/kernel"], kind)
    bias = tf.cast(variables[f"{scope}/bias"], kind)
    product = tf.matmul(features, kernel, name=f"{scope}/MatMul")
    return tf.nn.bias_add(product, bias, name=f"{scope}/BiasAdd")


def _centred(images: Any) -> Any:
    return (tf.cast(images, tf.float32) - PIXEL_MEAN) * (1 / PIXEL_SPREAD)


def _initial_value(
    gain: float, shape: tuple[int, ...], rng: np.random.Generator, name: str
) -> NDArray[np.float32]:
    """Orthogonal kernels; gain sqrt(2) before a ReLU."""
    if not name.endswith("/kernel"):
        return np.zeros(shape, np.float32)
    return (gain * _orthogonal(prod(shape[:-1]), shape[-1], rng)).reshape(shape).astype(np.float32)


def _orthogonal(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.float64]:
    tall, narrow = max(rows, columns), min(rows, columns)
    matrix = rng.standard_normal((tall, narrow))
    if tall > LONG_COLUMN:
        matrix /= sqrt(tall)
    else:
        matrix = np.linalg.qr(matrix)[0]
    return matrix if rows >= columns else matrix.T
