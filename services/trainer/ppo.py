"""
Proximal policy optimisation with a clipped ratio, as DeepRacer's rl_coach does it.

Read from top to bottom: an update takes a rollout, estimates what each action was worth
(`generalized_advantages`), and walks `num_epochs` times through it in minibatches (`_step`).

Papers: PPO, https://arxiv.org/abs/1707.06347; GAE, https://arxiv.org/abs/1506.02438; Adam,
https://arxiv.org/abs/1412.6980.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.errors import PlatformError
from libs.common.events import EpochLosses
from services.trainer.architecture import Blueprint, Observations
from services.trainer.network import ActorCritic
from services.trainer.rollout import Rollout, StepEnd

ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON = 0.9, 0.999, 1e-5
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
        self._variables = list(network.variables.values())
        self._moments = [tf.Variable(tf.zeros_like(variable)) for variable in self._variables]
        self._squares = [tf.Variable(tf.zeros_like(variable)) for variable in self._variables]
        self._powers = [tf.Variable(1.0), tf.Variable(1.0)]  # of both betas
        seen, numbers = _signature(network.blueprint), tf.TensorSpec((None,), tf.float32)
        self._distribution = network.distribution
        width, shape = self._distribution.width, self._distribution.action_shape
        policies = tf.TensorSpec((None, width), tf.float32)
        actions = tf.TensorSpec((None, *shape), self._distribution.action_type)
        self._policy = tf.function(self._policy_of, input_signature=[seen])
        self._exported = tf.function(self._exported_policy_of, input_signature=[seen])
        self._values = tf.function(self._values_of, input_signature=[seen])
        self._step = tf.function(
            self._step_on, input_signature=[seen, actions, policies, numbers, numbers]
        )

    def compile(self) -> None:
        """Trace what training calls, so that no request waits for it later."""
        for function in (self._policy, self._values, self._step):
            function.get_concrete_function()

    def policy(self, observations: Observations) -> NDArray[np.float32]:
        """The policy's raw outputs (n, width) for observations (n, *shape)."""
        raw: NDArray[np.float32] = self._policy(dict(observations)).numpy()
        return raw

    def exported_policy(self, observations: Observations) -> NDArray[np.float32]:
        """As `policy`, of the policy as it is exported."""
        raw: NDArray[np.float32] = self._exported(dict(observations)).numpy()
        return raw

    def values(self, observations: Observations) -> NDArray[np.float32]:
        """Values (n,) of observations (n, *shape)."""
        count = len(next(iter(observations.values())))
        chunks = [slice(start, start + VALUE_CHUNK) for start in range(0, count, VALUE_CHUNK)]
        return np.concatenate(
            [self._values(_rows(observations, chunk)).numpy() for chunk in chunks]
        )

    def update(self, rollout: Rollout, rng: np.random.Generator) -> UpdateReport:
        """
        Learn from a rollout with at least one transition that is not void.

        Raises:
            Diverged: a loss or gradient is not finite.
        """
        values = self.values(_flat(rollout.observations)).reshape(-1, rollout.cars)
        rewards = rollout.rewards * np.float32(self._hyper.reward_scale)
        advantages = generalized_advantages(
            rewards, values, rollout.ends, self._hyper.discount_factor, self._hyper.gae_lambda
        )
        returns = advantages + values[:-1]
        known = rollout.known
        metrics = self._learn(rollout, _standardised(advantages, known), returns, known, rng)
        self._network.average()
        return _report(metrics, advantages.ravel()[known], returns.ravel()[known])

    def _learn(
        self,
        rollout: Rollout,
        advantages: NDArray[np.float32],
        returns: NDArray[np.float32],
        known: NDArray[np.intp],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """All epochs; returns the metrics of `_step` as (epochs, minibatches, metrics)."""
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
        return np.array(epochs)

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
        return self._network.policy(self._network.centre(observations))

    def _exported_policy_of(self, observations: Any) -> Any:
        return self._network.exported_policy(self._network.centre(observations))

    def _values_of(self, observations: Any) -> Any:
        return self._network.values(self._network.centre(observations))

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
            loss = surrogate_loss + value_loss - self._hyper.beta_entropy * entropy
        gradients = tape.gradient(loss, self._variables)
        norm = tf.linalg.global_norm(gradients)
        if self._hyper.max_grad_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._hyper.max_grad_norm, norm)
        self._descend(gradients)
        kl_divergence = tf.reduce_mean(distribution.divergence(old_policies, policies))
        clip_fraction = tf.reduce_mean(tf.cast(tf.abs(ratio - 1) > clip, tf.float32))
        return tf.stack([surrogate_loss, value_loss, kl_divergence, entropy, clip_fraction, norm])

    def _value_loss(self, errors: Any) -> Any:
        if self._hyper.loss_type == "mean squared error":
            return tf.reduce_mean(tf.square(errors))
        within = tf.minimum(tf.abs(errors), HUBER_DELTA)
        return tf.reduce_mean(0.5 * tf.square(within) + HUBER_DELTA * (tf.abs(errors) - within))

    def _descend(self, gradients: list[Any]) -> None:
        """One step of Adam by the fused kernel, a quarter faster than its formula in Python."""
        for power, beta in zip(self._powers, (ADAM_BETA_1, ADAM_BETA_2), strict=True):
            power.assign(power * beta)
        for variable, moment, square, gradient in zip(
            self._variables, self._moments, self._squares, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=moment.handle,
                v=square.handle,
                beta1_power=self._powers[0],
                beta2_power=self._powers[1],
                lr=self._hyper.lr,
                beta1=ADAM_BETA_1,
                beta2=ADAM_BETA_2,
                epsilon=ADAM_EPSILON,
                grad=gradient,
            )


def _signature(blueprint: Blueprint) -> dict[str, Any]:
    """Any number of observations, as a compiled function takes them."""
    return {
        sensor: tf.TensorSpec((None, *shape), blueprint.dtype(sensor))
        for sensor, shape in blueprint.inputs.items()
    }


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
    metrics: NDArray[np.float32], advantages: NDArray[np.float32], returns: NDArray[np.float32]
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
    )
