"""
Frozen policies: `model_N.pb`, the file that the car and every evaluation run.

The graph is built straight from the weights, with DeepRacer's node names: bytes 0..255 in (and the
lidar's numbers as they are), out come the probabilities of discrete actions, or the means of
continuous ones. With SAC that is the mean after the hyperbolic tangent. DeepRacer's own graph has
it before, which its car and a simulator would cut at -1 and 1 instead of bending it.
TensorFlow 1.15 reads it as well, so nothing in it may be younger.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorflow.python.framework import op_def_registry

from libs.common.errors import InvalidInput
from services.trainer.architecture import (
    POLICY_SCOPE,
    SAC_POLICY,
    SAC_POLICY_SCOPE,
    VALUE,
    Blueprint,
    Observations,
    Weights,
)
from services.trainer.network import policy_head
from services.trainer.weight_form import BYTE_SCALE

OUTPUT_NODE = f"{POLICY_SCOPE}/policy"
INPUT_SCOPES = {OUTPUT_NODE: VALUE, f"{SAC_POLICY_SCOPE}/policy": SAC_POLICY}
"""The network whose scope the placeholders are in, by the output node."""


def input_node(sensor: str, network: str = VALUE) -> str:
    """A sensor's placeholder; rl_coach makes it with the first network and shares it."""
    return f"{network}/{sensor}/{sensor}"


def output_node(blueprint: Blueprint) -> str:
    """The node of what the policy tells."""
    return f"{blueprint.policy_scope}/policy"


def freeze_policy(weights: Weights, blueprint: Blueprint) -> bytes:
    """
    The policy of `weights` (DeepRacer's form) as a serialized GraphDef.

    Its inputs are float32 (n, *shape) for each sensor, its output (n, actions).
    """
    with tf.Graph().as_default() as graph:
        constants = {
            name: tf.constant(weights[name], name=name)
            for name in blueprint.weight_shapes()
            if name.startswith(f"{blueprint.policy_network}/")
        }
        inputs = {sensor: _placeholder(blueprint, sensor) for sensor in blueprint.sensors}
        outputs = policy_head(constants, blueprint, inputs)
        _finish(blueprint)(outputs, name=output_node(blueprint))
    definition = graph.as_graph_def()
    _strip_attributes(definition)
    serialized: bytes = definition.SerializeToString(deterministic=True)
    return serialized


def run_frozen(model: bytes, observations: Observations) -> NDArray[np.float32]:
    """
    Run a frozen policy: probabilities (n, actions), or means (n, 2).

    Raises:
        InvalidInput: the bytes hold no such graph.
    """
    definition = tf.compat.v1.GraphDef()
    output, scope = OUTPUT_NODE, VALUE
    try:
        definition.ParseFromString(model)
        there = {node.name for node in definition.node}
        output, scope = next(each for each in INPUT_SCOPES.items() if each[0] in there)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as process:
            fed = {f"{input_node(name, scope)}:0": each for name, each in observations.items()}
            result = process.run(f"{output}:0", fed)
    except (DecodeError, KeyError, ValueError, TypeError, RuntimeError, StopIteration) as error:
        inputs = ", ".join(input_node(sensor, scope) for sensor in observations)
        raise InvalidInput(
            f"{len(model)} bytes hold no frozen DeepRacer policy with the nodes {inputs} and "
            f"{output}: {error}"
        ) from error
    return np.asarray(result, np.float32)


def _finish(blueprint: Blueprint) -> Any:
    """From the last layer's numbers to what a policy tells."""
    if blueprint.squashed:
        return tf.tanh
    return tf.identity if blueprint.continuous else tf.nn.softmax


def _placeholder(blueprint: Blueprint, sensor: str) -> Any:
    shape = (None, *blueprint.inputs[sensor])
    given = tf.compat.v1.placeholder(
        tf.float32, shape, name=input_node(sensor, blueprint.input_network)
    )
    if not blueprint.is_camera(sensor):
        return given
    scope = f"{blueprint.policy_network}/{sensor}/truediv"
    return tf.realdiv(given, tf.constant(BYTE_SCALE, name=f"{scope}/y"), name=scope)


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
