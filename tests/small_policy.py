"""Frozen graphs with DeepRacer's names that are small enough to be made for one test."""

from pathlib import Path

import numpy as np

from services.simulator.policy import OUTPUT, input_node

Weights = dict[str, np.ndarray]


def small_weights(actions: int) -> Weights:
    """One convolution and one dense layer, random."""
    random = np.random.default_rng(1)
    shapes = {"kernel": (8, 8, 1, 4), "bias": (4,), "dense": (29 * 39 * 4, actions)}
    return {name: random.normal(0, 0.05, shape) for name, shape in shapes.items()}


def write_policy(weights: Weights, path: Path) -> Path:
    """Write the graph: convolution, ReLU, dense, softmax."""
    import tensorflow as tf

    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        images = v1.placeholder(
            tf.float32, [None, 120, 160, 1], name=input_node("FRONT_FACING_CAMERA")
        )
        values = {name: tf.constant(array, tf.float32) for name, array in weights.items()}
        maps = tf.nn.conv2d(images / 255.0, values["kernel"], 4, "VALID") + values["bias"]
        hidden = tf.reshape(tf.nn.relu(maps), [-1, 29 * 39 * 4])
        tf.nn.softmax(hidden @ values["dense"], name=OUTPUT)
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path
