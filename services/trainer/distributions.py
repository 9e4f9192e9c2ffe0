"""
What a policy network's outputs mean: chances of discrete actions, or normal distributions.

A distribution has two faces. With NumPy it serves acting: `settled` makes of the network's raw
outputs what a rollout remembers. With TensorFlow it serves learning: log-probabilities, entropy
and divergence, differentiable in the raw outputs.
"""

from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

STD_EPSILON = float(np.finfo(np.float32).eps)
"""rl_coach adds it to every standard deviation."""
HISTOGRAM_BINS = 10
"""Equal parts of each continuous action's range that are counted."""


class Distribution(Protocol):
    """Distributions of actions, one for each row of a network's outputs."""

    width: int  # numbers that describe the distribution of one action
    bins: int  # length of a histogram
    action_shape: tuple[int, ...]
    action_type: type[np.generic]

    def settled(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is remembered of raw outputs (n, width): (n, width)."""

    def greedy(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """What an exported policy tells: probabilities (n, actions), or means (n, 2)."""

    def histogram(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        """Counts (bins,) of actions."""

    def normalised(self, raw: Any) -> Any:
        """As `settled`, in TensorFlow."""

    def log_prob(self, settled: Any, actions: Any) -> Any:
        """Log-probabilities (n,) of actions."""

    def entropy(self, settled: Any) -> Any:
        """Entropies (n,) in nats."""

    def divergence(self, old: Any, new: Any) -> Any:
        """Kullback-Leibler divergences (n,) of the new from the old distributions."""


class Categorical:
    """Discrete actions: raw outputs are logits, what is remembered are log-probabilities."""

    action_shape: tuple[int, ...] = ()
    action_type: type[np.generic] = np.int32

    def __init__(self, actions: int) -> None:
        self.width = self.bins = actions

    def settled(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-probabilities."""
        shifted = raw - raw.max(axis=1, keepdims=True)
        logs: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return logs

    def greedy(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities."""
        return np.exp(self.settled(raw))

    def histogram(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        """How often each action was taken."""
        return np.bincount(actions, minlength=self.bins)

    def normalised(self, raw: Any) -> Any:
        """Log-probabilities."""
        return tf.nn.log_softmax(raw)

    def log_prob(self, settled: Any, actions: Any) -> Any:
        """Those of the actions taken."""
        return tf.gather(settled, actions, batch_dims=1)

    def entropy(self, settled: Any) -> Any:
        """Of the chances of all actions."""
        return -tf.reduce_sum(tf.exp(settled) * settled, axis=1)

    def divergence(self, old: Any, new: Any) -> Any:
        """Summed over the actions."""
        return tf.reduce_sum(tf.exp(old) * (old - new), axis=1)


class Gaussian:
    """
    Continuous actions, independent of each other: means, then standard deviations.

    An action is of -1 to 1; what is drawn beyond is driven at the bound, and learned from as drawn.
    """

    action_type: type[np.generic] = np.float32

    def __init__(self, actions: int) -> None:
        self.width, self.bins = 2 * actions, HISTOGRAM_BINS * actions
        self.action_shape: tuple[int, ...] = (actions,)

    def settled(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means and standard deviations, as they are."""
        return raw

    def greedy(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means."""
        return raw[:, : self.width // 2]

    def histogram(self, actions: NDArray[Any]) -> NDArray[np.int64]:
        """How often each tenth of -1 to 1 was driven, one action after the other."""
        tenths = (np.clip(actions, -1, 1) + 1) * (HISTOGRAM_BINS / 2)
        columns = np.minimum(tenths.astype(np.int64), HISTOGRAM_BINS - 1)
        columns += HISTOGRAM_BINS * np.arange(columns.shape[1])
        return np.bincount(columns.ravel(), minlength=self.bins)

    def normalised(self, raw: Any) -> Any:
        """Means and standard deviations, as they are."""
        return raw

    def log_prob(self, settled: Any, actions: Any) -> Any:
        """Summed over the actions."""
        mean, std = tf.split(settled, 2, axis=1)
        distances = tf.square((actions - mean) / std)
        return -tf.reduce_sum(0.5 * distances + tf.math.log(std) + 0.5 * np.log(2 * np.pi), axis=1)

    def entropy(self, settled: Any) -> Any:
        """Of the standard deviations alone."""
        _, std = tf.split(settled, 2, axis=1)
        return tf.reduce_sum(tf.math.log(std) + 0.5 * np.log(2 * np.pi * np.e), axis=1)

    def divergence(self, old: Any, new: Any) -> Any:
        """Summed over the actions."""
        (old_mean, old_std), (mean, std) = tf.split(old, 2, axis=1), tf.split(new, 2, axis=1)
        moved = (tf.square(old_std) + tf.square(old_mean - mean)) / (2 * tf.square(std))
        return tf.reduce_sum(tf.math.log(std / old_std) + moved - 0.5, axis=1)


class SquashedGaussian(Gaussian):
    """
    Actions within -1 to 1: the hyperbolic tangent of what is drawn from normal distributions.

    Means and standard deviations are those before the tangent. So are divergences, which it does
    not change; the entropy has no closed form and is estimated from `draw`.
    """

    def greedy(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """The action of the means."""
        return np.tanh(super().greedy(raw))

    def draw(self, settled: Any, noise: Any) -> tuple[Any, Any]:
        """
        Actions (n, actions) and their log-probabilities (n,), differentiable in `settled`.

        `noise` is standard normal. The density of the action is that of what was drawn, divided
        by the tangent's slope, of which the logarithm is written without cancellation.
        """
        mean, std = tf.split(settled, 2, axis=1)
        drawn = mean + std * noise
        slopes = 2.0 * (np.log(2.0) - drawn - tf.nn.softplus(-2.0 * drawn))
        return tf.tanh(drawn), self.log_prob(settled, drawn) - tf.reduce_sum(slopes, axis=1)


def distribution_of(actions: int, continuous: bool, squashed: bool = False) -> Distribution:
    """That of discrete actions, or of so many continuous ones."""
    if squashed:
        return SquashedGaussian(actions)
    return Gaussian(actions) if continuous else Categorical(actions)
