"""
Proximal policy optimisation with a clipped ratio, as DeepRacer's rl_coach does it.

Read from top to bottom: an update takes a rollout, estimates what each action was worth
(`generalized_advantages`), and walks `num_epochs` times through it in minibatches (`_step`).

Papers: PPO, https://arxiv.org/abs/1707.06347; GAE, https://arxiv.org/abs/1506.02438.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.errors import PlatformError
from libs.common.events import EpochLosses
from services.trainer.adam import Adam, clip_to_norm
from services.trainer.architecture import Observations
from services.trainer.network import ActorCritic
from services.trainer.rollout import Rollout, StepEnd
from services.trainer.schedules import Rates

HUBER_DELTA = 1.0
VALUE_CHUNK = 256
"""Frames that are valued at once: large enough to be fast, small enough for the memory."""


class Diverged(PlatformError):
    """Learning blew up: a loss or a gradient is no longer a finite number."""

    status_code: ClassVar[int] = 422
    title: ClassVar[str] = "Learning diverged"


@dataclass(frozen=True)
class UpdateReport:
    """What an update did; the ratios are means over its minibatches."""

    losses: tuple[EpochLosses, ...]
    explained_variance: float | None  # None where all returns are alike
    clip_fraction: float | None  # None where nothing is clipped
    gradient_norm: float  # before it was clipped
    learning_rate: float


def generalized_advantages(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    ends: NDArray[np.uint8],
    discount_factor: float,
    gae_lambda: float,
) -> NDArray[np.float32]:
    """
    How much better each action was than the value of its state.

    Args:
        rewards: (rows, cars).
        values: (rows + 1, cars); the last row is of the observations after the last step.
        ends: (rows, cars) of `StepEnd`. After a truncated step the next observation belongs to
            another episode, so that the value of the state before stands for that after it.

    Returns:
        (rows, cars); 0 in void transitions.
    """
    following = np.where(ends == StepEnd.TERMINAL, 0, values[1:])
    following = np.where(ends == StepEnd.TRUNCATED, values[:-1], following)
    deltas = rewards + discount_factor * following - values[:-1]
    decay = discount_factor * gae_lambda * (ends == StepEnd.RUNNING)
    advantages = np.zeros_like(rewards)
    carried = np.zeros(rewards.shape[1], np.float32)
    for row in reversed(range(len(rewards))):
        carried = deltas[row] + decay[row] * carried
        carried[ends[row] == StepEnd.VOID] = 0
        advantages[row] = carried
    return advantages


def fitting_batch_size(wanted: int, transitions: int) -> int:
    """`wanted`, or the largest power of two that so few transitions fill."""
    return wanted if transitions >= wanted else 1 << (transitions.bit_length() - 1)


class Ppo:
    """The optimiser of one network: Adam's state and the compiled functions."""

    def __init__(self, network: ActorCritic, hyperparameters: Hyperparameters) -> None:
        self._network = network
        self._hyper = hyperparameters
        self.adam = Adam(network.variables, hyperparameters.lr)
        self._beta_entropy = tf.Variable(hyperparameters.beta_entropy, dtype=tf.float32)
        blueprint, numbers = network.blueprint, tf.TensorSpec((None,), tf.float32)
        raw = _signature(blueprint.inputs, blueprint.dtype)
        seen = _signature(blueprint.pooled, blueprint.pooled_dtype)
        self._distribution = network.distribution
        width, shape = self._distribution.width, self._distribution.action_shape
        policies = tf.TensorSpec((None, width), tf.float32)
        actions = tf.TensorSpec((None, *shape), self._distribution.action_type)
        self._policy = tf.function(self._policy_of, input_signature=[seen])
        self._exported = tf.function(self._exported_policy_of, input_signature=[raw])
        self._values = tf.function(self._values_of, input_signature=[seen])
        self._step = tf.function(
            self._step_on, input_signature=[seen, actions, policies, numbers, numbers]
        )

    def compile(self) -> None:
        """Trace what training calls, so that no request waits for it later."""
        for function in (self._policy, self._values, self._step):
            function.get_concrete_function()

    def policy(self, observations: Observations) -> NDArray[np.float32]:
        """The policy's raw outputs (n, width) for pooled observations."""
        raw: NDArray[np.float32] = self._policy(dict(observations)).numpy()
        return raw

    def exported_policy(self, observations: Observations) -> NDArray[np.float32]:
        """As `policy`, of the policy as it is exported, for whole observations (n, *shape)."""
        raw: NDArray[np.float32] = self._exported(dict(observations)).numpy()
        return raw

    def values(self, observations: Observations) -> NDArray[np.float32]:
        """Values (n,) of pooled observations."""
        count = len(next(iter(observations.values())))
        chunks = [slice(start, start + VALUE_CHUNK) for start in range(0, count, VALUE_CHUNK)]
        return np.concatenate(
            [self._values(_rows(observations, chunk)).numpy() for chunk in chunks]
        )

    def update(
        self, rollout: Rollout, rng: np.random.Generator, rates: Rates | None = None
    ) -> UpdateReport:
        """
        Learn from a rollout with at least one transition that is not void.

        `rates` are those of the hyperparameters where none are given.

        Raises:
            Diverged: a loss or gradient is not finite.
        """
        rates = rates or Rates(self._hyper.lr, self._hyper.beta_entropy)
        self.adam.rate.assign(rates.learning_rate)
        self._beta_entropy.assign(rates.beta_entropy)
        values = self.values(_flat(rollout.observations)).reshape(-1, rollout.cars)
        rewards = rollout.rewards * np.float32(self._hyper.reward_scale)
        advantages = generalized_advantages(
            rewards, values, rollout.ends, self._hyper.discount_factor, self._hyper.gae_lambda
        )
        returns = advantages + values[:-1]
        known = rollout.known
        metrics = self._learn(rollout, _standardised(advantages, known), returns, known, rng)
        self._network.average()
        return _report(
            metrics, advantages.ravel()[known], returns.ravel()[known], rates.learning_rate
        )

    def _learn(
        self,
        rollout: Rollout,
        advantages: NDArray[np.float32],
        returns: NDArray[np.float32],
        known: NDArray[np.intp],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """
        All epochs, or as many as `target_kl` allows.

        Returns:
            The metrics of `_step` as (epochs, minibatches, metrics).
        """
        seen = _flat(rollout.observations)
        columns = (
            rollout.actions.reshape(-1, *self._distribution.action_shape),
            rollout.policies.reshape(-1, self._distribution.width),
            advantages.ravel(),
            returns.ravel(),
        )
        size = fitting_batch_size(self._hyper.batch_size, len(known))
        epochs = []
        for _ in range(self._hyper.num_epochs):
            shuffled = rng.permutation(known)
            # As DeepRacer does, what does not fill a minibatch is left out of this epoch.
            batches = shuffled[: len(shuffled) // size * size].reshape(-1, size)
            epochs.append(
                [
                    self._minibatch(_rows(seen, b), *(column[b] for column in columns))
                    for b in batches
                ]
            )
            if self._moved_enough(epochs[-1]):
                break
        return np.array(epochs)

    def _moved_enough(self, epoch: list[NDArray[np.float32]]) -> bool:
        """Whether the policy of this epoch was as far from the one that drove as it may be."""
        most = self._hyper.target_kl
        return most is not None and float(np.mean([metrics[2] for metrics in epoch])) > most

    def _minibatch(self, observations: Observations, *columns: NDArray[Any]) -> NDArray[np.float32]:
        metrics: NDArray[np.float32] = self._step(observations, *columns).numpy()
        if not np.isfinite(metrics).all():
            raise Diverged(
                f"losses are {metrics[:2].tolist()} and the gradient's norm is {metrics[-1]}: a "
                f"smaller lr (it is {self._hyper.lr}), a reward_scale below "
                f"{self._hyper.reward_scale} or a max_grad_norm keep them finite"
            )
        return metrics

    def _policy_of(self, observations: Any) -> Any:
        return _in_halves(self._network.policy, self._network.centre(observations))

    def _exported_policy_of(self, observations: Any) -> Any:
        return _in_halves(self._network.exported_policy, self._network.centre(observations))

    def _values_of(self, observations: Any) -> Any:
        return _in_halves(self._network.values, self._network.centre(observations))

    def _step_on(
        self, observations: Any, actions: Any, old_policies: Any, advantages: Any, returns: Any
    ) -> Any:
        """One minibatch: surrogate loss, value loss, KL, entropy, clip fraction, gradient norm."""
        clip, distribution = self._hyper.clip_coef, self._distribution
        old_taken = distribution.log_prob(old_policies, actions)
        with tf.GradientTape() as tape:
            inputs = self._network.centre(observations)
            policies = distribution.normalised(self._network.policy(inputs))
            ratio = tf.exp(distribution.log_prob(policies, actions) - old_taken)
            clipped = tf.clip_by_value(ratio, 1 - clip, 1 + clip)
            surrogate_loss = -tf.reduce_mean(tf.minimum(ratio * advantages, clipped * advantages))
            value_loss = self._value_loss(self._network.values(inputs) - returns)
            entropy = tf.reduce_mean(distribution.entropy(policies))
            loss = surrogate_loss + value_loss - self._beta_entropy * entropy
        gradients = tape.gradient(loss, self.adam.variables)
        gradients, norm = clip_to_norm(gradients, self._hyper.max_grad_norm)
        self.adam.descend(gradients)
        kl_divergence = tf.reduce_mean(distribution.divergence(old_policies, policies))
        clip_fraction = tf.reduce_mean(tf.cast(tf.abs(ratio - 1) > clip, tf.float32))
        return tf.stack([surrogate_loss, value_loss, kl_divergence, entropy, clip_fraction, norm])

    def _value_loss(self, errors: Any) -> Any:
        if self._hyper.loss_type == "mean squared error":
            return tf.reduce_mean(tf.square(errors))
        within = tf.minimum(tf.abs(errors), HUBER_DELTA)
        return tf.reduce_mean(0.5 * tf.square(within) + HUBER_DELTA * (tf.abs(errors) - within))


def _signature(
    shapes: Mapping[str, tuple[int, ...]], dtype: Callable[[str], type[np.generic]]
) -> dict[str, Any]:
    """Any number of observations, as a compiled function takes them."""
    return {
        sensor: tf.TensorSpec((None, *shape), dtype(sensor)) for sensor, shape in shapes.items()
    }


def _in_halves(outputs: Callable[[Any], Any], inputs: Mapping[str, Any]) -> Any:
    """
    A network's outputs for all inputs, (n, ...), computed side by side.

    An operation has one thread (see `configure_threads`), so that a single network would leave the
    other processors idle.
    """
    count = tf.shape(next(iter(inputs.values())))[0]
    middle = count // 2
    # Of an odd number both have the one in the middle: no half may be empty, as that of a single
    # car would be. oneDNN's convolutions of nothing have a wrong shape on some processors.
    first = {sensor: seen[: count - middle] for sensor, seen in inputs.items()}
    second = {sensor: seen[middle:] for sensor, seen in inputs.items()}
    return tf.concat([outputs(first)[:middle], outputs(second)], 0)


def _flat(observations: Observations) -> Observations:
    """(rows, cars, *shape) as (rows * cars, *shape)."""
    return {sensor: seen.reshape(-1, *seen.shape[2:]) for sensor, seen in observations.items()}


def _rows(observations: Observations, rows: Any) -> Observations:
    """Some of the observations of every sensor."""
    return {sensor: seen[rows] for sensor, seen in observations.items()}


def _standardised(advantages: NDArray[np.float32], known: NDArray[np.intp]) -> NDArray[np.float32]:
    """Advantages of mean 0 and spread 1 over the known transitions, as DeepRacer has them."""
    of_known = advantages.ravel()[known]
    scaled: NDArray[np.float32] = (advantages - of_known.mean()) / (of_known.std() + 1e-8)
    return scaled.astype(np.float32)


def _report(
    metrics: NDArray[np.float32],
    advantages: NDArray[np.float32],
    returns: NDArray[np.float32],
    learning_rate: float,
) -> UpdateReport:
    spread = float(returns.var())
    return UpdateReport(
        losses=tuple(
            EpochLosses(
                epoch=epoch,
                surrogate_loss=float(means[0]),
                value_loss=float(means[1]),
                kl_divergence=float(means[2]),
                entropy=float(means[3]),
            )
            for epoch, means in enumerate(metrics.mean(axis=1))
        ),
        # An advantage by GAE is the return less the value.
        explained_variance=1 - float(advantages.var()) / spread if spread > 0 else None,
        clip_fraction=float(metrics[..., 4].mean()),
        gradient_norm=float(metrics[..., 5].mean()),
        learning_rate=learning_rate,
    )
