"""
DeepRacer's SHALLOW network: a value trunk (`network_0`) and a policy trunk (`network_1`).

Weights leave and enter in DeepRacer's form: its variable names, and a graph that divides the
camera's bytes by 255. Learning itself goes faster on centred inputs, so the variables in memory
belong to `(byte - 110) / 60`. Both are affine in the byte and the first convolution is linear and
not padded, so that one form turns into the other exactly: see `fold` and `unfold`.
"""

from collections.abc import Mapping
from math import prod, sqrt
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from libs.common.errors import InvalidInput

Weights = dict[str, NDArray[np.float32]]
"""Arrays by DeepRacer's variable names, for inputs divided by 255."""

HEIGHT_PX, WIDTH_PX = 120, 160
CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Filters, kernel and stride of each layer (reference, section 3); padding VALID, then ReLU."""
DENSE_UNITS = 512
BYTE_SCALE = 255.0
PIXEL_MEAN, PIXEL_SPREAD = 110.0, 60.0

ONLINE = "main_level/agent/main/online"
SENSOR = "FRONT_FACING_CAMERA"
VALUE, POLICY = f"{ONLINE}/network_0", f"{ONLINE}/network_1"
VALUE_HEAD = f"{VALUE}/v_values_head_0/output"
POLICY_HEAD = f"{POLICY}/ppo_head_0/policy_fc"


def convolution_scope(trunk: str, layer: int) -> str:
    """rl_coach counts the activations as layers too, so that the numbers are 0, 2 and 4."""
    return f"{trunk}/{SENSOR}/Conv2d_{2 * layer}"


def dense_scope(trunk: str) -> str:
    """The one dense layer of a trunk."""
    return f"{trunk}/middleware_fc_embedder/Dense_0"


def configure_threads(intra_op: int = 2, inter_op: int = 1) -> None:
    """Set TensorFlow's thread pools; once in a process, before anything else of this module."""
    tf.config.threading.set_intra_op_parallelism_threads(intra_op)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op)


def flat_features(height_px: int, width_px: int) -> int:
    """How many numbers the convolutions make of one image: 11264 of 120 x 160."""
    for _, kernel, stride in CONVOLUTIONS:
        height_px = (height_px - kernel) // stride + 1
        width_px = (width_px - kernel) // stride + 1
    return height_px * width_px * CONVOLUTIONS[-1][0]


def weight_shapes(
    actions: int, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX
) -> dict[str, tuple[int, ...]]:
    """Shape of every variable by its name: ten of the value network, then ten of the policy."""
    shapes: dict[str, tuple[int, ...]] = {}
    for trunk, head, outputs in ((VALUE, VALUE_HEAD, 1), (POLICY, POLICY_HEAD, actions)):
        channels = 1
        for layer, (filters, kernel, _) in enumerate(CONVOLUTIONS):
            scope = convolution_scope(trunk, layer)
            shapes[f"{scope}/kernel"] = (kernel, kernel, channels, filters)
            shapes[f"{scope}/bias"] = (filters,)
            channels = filters
        shapes[f"{dense_scope(trunk)}/kernel"] = (flat_features(height_px, width_px), DENSE_UNITS)
        shapes[f"{dense_scope(trunk)}/bias"] = (DENSE_UNITS,)
        shapes[f"{head}/kernel"] = (DENSE_UNITS, outputs)
        shapes[f"{head}/bias"] = (outputs,)
    return shapes


def check_weights(
    weights: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """
    Compare names, shapes and values with what the network needs; more names are welcome.

    Raises:
        InvalidInput: each variable that is missing, has another shape or is not finite.
    """
    problems = []
    for name, shape in shapes.items():
        array = weights.get(name)
        if array is None:
            problems.append(f"variable {name} is missing")
        elif array.shape != shape:
            problems.append(f"variable {name} has shape {array.shape}, this network has {shape}")
        elif not np.isfinite(array).all():
            problems.append(f"variable {name} holds values that are not finite")
    if problems:
        raise InvalidInput(problems)


def fold(weights: Weights) -> Weights:
    """Turn weights for `(byte - 110) / 60` into the same network's for `byte / 255`."""
    return _rescale(weights, BYTE_SCALE / PIXEL_SPREAD, -PIXEL_MEAN / PIXEL_SPREAD)


def unfold(weights: Weights) -> Weights:
    """The inverse of `fold`."""
    return _rescale(weights, PIXEL_SPREAD / BYTE_SCALE, PIXEL_MEAN / BYTE_SCALE)


def _rescale(weights: Weights, scale: float, offset: float) -> Weights:
    """Weights for the input x, made of those for the input `scale * x + offset`."""
    changed = dict(weights)
    for trunk in (VALUE, POLICY):
        scope = convolution_scope(trunk, 0)
        kernel = weights[f"{scope}/kernel"].astype(np.float64)
        bias = weights[f"{scope}/bias"] + offset * kernel.sum(axis=(0, 1, 2))
        changed[f"{scope}/kernel"] = (scale * kernel).astype(np.float32)
        changed[f"{scope}/bias"] = bias.astype(np.float32)
    return changed


class ActorCritic:
    """
    Both trunks as TensorFlow variables, drawn anew from a seed.

    While it learns fast, a policy swings around what it has found: one that laps may fail after
    the next update. The mean over its last updates hardly swings. That mean is what is exported,
    evaluated and raced where `averaging` asks for it; the policy that learns stays as it is.

    Args:
        actions: size of the discrete action space.
        seed: the same seed gives the same weights.
        height_px, width_px: of the camera; DeepRacer's is 120 x 160.
        averaging: how much of the exported policy an update leaves in place; 0 exports the policy
            that learns.
    """

    def __init__(
        self,
        actions: int,
        seed: int,
        height_px: int = HEIGHT_PX,
        width_px: int = WIDTH_PX,
        averaging: float = 0.0,
    ) -> None:
        self.actions = actions
        self.height_px, self.width_px = height_px, width_px
        self.shapes = weight_shapes(actions, height_px, width_px)
        rng = np.random.default_rng(seed)
        self.variables: dict[str, Any] = {
            name: tf.Variable(_initial_value(name, shape, rng))
            for name, shape in self.shapes.items()
        }
        self._averaging, self._averaged_updates = averaging, 0
        self._exported = dict(self.variables)
        if averaging > 0:
            of_policy = {name: each for name, each in self.variables.items() if POLICY in name}
            self._exported |= {name: tf.Variable(each) for name, each in of_policy.items()}
        self._average = tf.function(self._average_by)

    def centre(self, observations: Any) -> Any:
        """uint8 (n, height, width) as float32 (n, height, width, 1) of about unit spread."""
        pixels = (tf.cast(observations, tf.float32) - PIXEL_MEAN) * (1 / PIXEL_SPREAD)
        return pixels[..., tf.newaxis]

    def logits(self, pixels: Any) -> Any:
        """Unnormalised log-probabilities (n, actions) of the policy that learns."""
        return _forward(self.variables, POLICY, POLICY_HEAD, pixels)

    def exported_logits(self, pixels: Any) -> Any:
        """As `logits`, of the policy that is exported."""
        return _forward(self._exported, POLICY, POLICY_HEAD, pixels)

    def values(self, pixels: Any) -> Any:
        """Expected returns (n,) for centred pixels."""
        return _forward(self.variables, VALUE, VALUE_HEAD, pixels)[:, 0]

    def average(self) -> None:
        """Move the exported policy towards the one that learns: once after every update."""
        self._averaged_updates += 1
        if self._averaging > 0:
            # A plain mean, until there is as much to average as asked for.
            share = max(1 - self._averaging, 1 / self._averaged_updates)
            self._average(tf.constant(share, tf.float32))

    def export_weights(self) -> Weights:
        """A copy of all weights in DeepRacer's form."""
        return fold({name: variable.numpy() for name, variable in self._exported.items()})

    def adopt_weights(self, weights: Weights) -> None:
        """
        Take over weights in DeepRacer's form.

        Raises:
            InvalidInput: a variable is missing or does not fit; nothing was changed.
        """
        check_weights(weights, self.shapes)
        for name, array in unfold({name: weights[name] for name in self.shapes}).items():
            self.variables[name].assign(array)
            self._exported[name].assign(array)
        self._averaged_updates = 1  # they count as one

    def _average_by(self, share: Any) -> None:
        for name, exported in self._exported.items():
            if exported is not self.variables[name]:
                exported.assign_add(share * (self.variables[name] - exported))


def _forward(variables: Mapping[str, Any], trunk: str, head: str, pixels: Any) -> Any:
    """The outputs (n, units) of a head on its trunk, for centred pixels."""
    features = pixels
    for layer, (_, _, stride) in enumerate(CONVOLUTIONS):
        scope = convolution_scope(trunk, layer)
        features = tf.nn.conv2d(features, variables[f"{scope}/kernel"], stride, "VALID")
        features = tf.nn.relu(tf.nn.bias_add(features, variables[f"{scope}/bias"]))
    flat = tf.reshape(features, (-1, variables[f"{dense_scope(trunk)}/kernel"].shape[0]))
    return _dense(variables, head, tf.nn.relu(_dense(variables, dense_scope(trunk), flat)))


def _dense(variables: Mapping[str, Any], scope: str, features: Any) -> Any:
    product = tf.matmul(features, variables[f"{scope}/kernel"])
    return tf.nn.bias_add(product, variables[f"{scope}/bias"])


def _initial_value(
    name: str, shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Orthogonal kernels; gain sqrt(2) before a ReLU, 1 for the value, 0.01 for a flat policy."""
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    gain = {f"{VALUE_HEAD}/kernel": 1.0, f"{POLICY_HEAD}/kernel": 0.01}.get(name, sqrt(2.0))
    return (gain * _orthogonal(prod(shape[:-1]), shape[-1], rng)).reshape(shape).astype(np.float32)


def _orthogonal(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.float64]:
    tall, narrow = max(rows, columns), min(rows, columns)
    matrix = rng.standard_normal((tall, narrow))
    if tall > 4 * DENSE_UNITS:
        # Columns this long are orthogonal within some per cent as they are; QR takes seconds.
        matrix /= sqrt(tall)
    else:
        matrix = np.linalg.qr(matrix)[0]
    return matrix if rows >= columns else matrix.T
