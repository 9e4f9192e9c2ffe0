"""
Frozen policies: `model_N.pb`, the file that the car and every evaluation run.

The graph is built straight from the weights, with DeepRacer's node names: bytes 0..255 in, the
probabilities of the actions out. TensorFlow 1.15 reads it as well, so nothing in it may be younger.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorflow.python.framework import op_def_registry

from libs.common.errors import InvalidInput
from services.trainer.network import (
    BYTE_SCALE,
    CONVOLUTIONS,
    HEIGHT_PX,
    POLICY,
    POLICY_HEAD,
    SENSOR,
    VALUE,
    WIDTH_PX,
    Weights,
    convolution_scope,
    dense_scope,
)

INPUT_NODE = f"{VALUE}/{SENSOR}/{SENSOR}"
"""The placeholder lies with the value network: rl_coach makes it there and shares it."""
OUTPUT_NODE = f"{POLICY}/ppo_head_0/policy"


def freeze_policy(weights: Weights, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX) -> bytes:
    """
    The policy of `weights` (DeepRacer's form) as a serialized GraphDef.

    Its input is float32 (n, height, width, 1) of 0..255, its output (n, actions).
    """
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        image = v1.placeholder(tf.float32, (None, height_px, width_px, 1), name=INPUT_NODE)
        scope = f"{POLICY}/{SENSOR}"
        scale = tf.constant(BYTE_SCALE, name=f"{scope}/truediv/y")
        features = tf.realdiv(image, scale, name=f"{scope}/truediv")
        for layer, (_, _, stride) in enumerate(CONVOLUTIONS):
            features = _convolve(features, weights, convolution_scope(POLICY, layer), stride)
        flat = (-1, weights[f"{dense_scope(POLICY)}/kernel"].shape[0])
        features = tf.reshape(features, flat, name=f"{scope}/flatten/Reshape")
        features = _connect(features, weights, dense_scope(POLICY))
        features = tf.nn.relu(features, name=f"{dense_scope(POLICY)}_activation")
        tf.nn.softmax(_connect(features, weights, POLICY_HEAD), name=OUTPUT_NODE)
    definition = graph.as_graph_def()
    _strip_attributes(definition)
    serialized: bytes = definition.SerializeToString(deterministic=True)
    return serialized


def frozen_probabilities(model: bytes, observations: NDArray[np.uint8]) -> NDArray[np.float32]:
    """
    Run a frozen policy on observations (n, height, width): probabilities (n, actions).

    Raises:
        InvalidInput: the bytes hold no such graph.
    """
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(model)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as process:
            pixels = observations[..., np.newaxis].astype(np.float32)
            result = process.run(f"{OUTPUT_NODE}:0", {f"{INPUT_NODE}:0": pixels})
    except (DecodeError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InvalidInput(
            f"{len(model)} bytes hold no frozen DeepRacer policy: {error}"
        ) from error
    return np.asarray(result, np.float32)


def _convolve(features: Any, weights: Weights, scope: str, stride: int) -> Any:
    kernel = tf.constant(weights[f"{scope}/kernel"], name=f"{scope}/kernel")
    bias = tf.constant(weights[f"{scope}/bias"], name=f"{scope}/bias")
    features = tf.nn.conv2d(features, kernel, stride, "VALID", name=f"{scope}/Conv2D")
    features = tf.compat.v1.nn.bias_add(features, bias, name=f"{scope}/BiasAdd")
    return tf.nn.relu(features, name=f"{scope}_activation")


def _connect(features: Any, weights: Weights, scope: str) -> Any:
    kernel = tf.constant(weights[f"{scope}/kernel"], name=f"{scope}/kernel")
    bias = tf.constant(weights[f"{scope}/bias"], name=f"{scope}/bias")
    product = tf.matmul(features, kernel, name=f"{scope}/MatMul")
    return tf.compat.v1.nn.bias_add(product, bias, name=f"{scope}/BiasAdd")


def _strip_attributes(definition: Any) -> None:
    """
    Drop attributes that only repeat their default, and TensorFlow's own notes.

    TensorFlow 1.15 refuses attributes that it does not know, such as MatMul's younger `grad_a`.
    """
    for node in definition.node:
        for declared in op_def_registry.get(node.op).attr:
            is_default = declared.HasField("default_value") and (
                node.attr[declared.name].SerializeToString(deterministic=True)
                == declared.default_value.SerializeToString(deterministic=True)
            )
            if is_default:
                del node.attr[declared.name]
        for name in [name for name in node.attr if name.startswith("_")]:
            del node.attr[name]
