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
    clip_fraction: float
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
        frames = tf.TensorSpec((None, network.height_px, network.width_px), tf.uint8)
        numbers = tf.TensorSpec((None,), tf.float32)
        old_log_probs = tf.TensorSpec((None, network.actions), tf.float32)
        actions = tf.TensorSpec((None,), tf.int32)
        self._logits = tf.function(self._logits_of, input_signature=[frames])
        self._exported = tf.function(self._exported_logits_of, input_signature=[frames])
        self._values = tf.function(self._values_of, input_signature=[frames])
        self._step = tf.function(
            self._step_on, input_signature=[frames, actions, old_log_probs, numbers, numbers]
        )

    def compile(self) -> None:
        """Trace what training calls, so that no request waits for it later."""
        for function in (self._logits, self._values, self._step):
            function.get_concrete_function()

    def logits(self, observations: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The policy's logits (n, actions) for observations (n, height, width)."""
        logits: NDArray[np.float32] = self._logits(observations).numpy()
        return logits

    def exported_logits(self, observations: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `logits`, of the policy as it is exported."""
        logits: NDArray[np.float32] = self._exported(observations).numpy()
        return logits

    def values(self, observations: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Values (n,) of observations (n, height, width)."""
        chunks = range(0, len(observations), VALUE_CHUNK)
        return np.concatenate(
            [self._values(observations[start : start + VALUE_CHUNK]).numpy() for start in chunks]
        )

    def update(self, rollout: Rollout, rng: np.random.Generator) -> UpdateReport:
        """
        Learn from a rollout with at least one transition that is not void.

        Raises:
            Diverged: a loss or gradient is not finite.
        """
        seen = rollout.observations
        values = self.values(seen.reshape(-1, *seen.shape[2:])).reshape(seen.shape[:2])
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
        frames = rollout.observations[:-1].reshape(-1, *rollout.observations.shape[2:])
        columns = (
            rollout.actions.ravel(),
            rollout.log_probs.reshape(-1, self._network.actions),
            advantages.ravel(),
            returns.ravel(),
        )
        size = fitting_batch_size(self._hyper.batch_size, len(known))
        epochs = []
        for _ in range(self._hyper.num_epochs):
            shuffled = rng.permutation(known)
            # As DeepRacer does, what does not fill a minibatch is left out of this epoch.
            batches = shuffled[: len(shuffled) // size * size].reshape(-1, size)
            epochs.append([self._minibatch(frames[b], *(c[b] for c in columns)) for b in batches])
        return np.array(epochs)

    def _minibatch(self, *batch: NDArray[Any]) -> NDArray[np.float32]:
        metrics: NDArray[np.float32] = self._step(*batch).numpy()
        if not np.isfinite(metrics).all():
            raise Diverged(
                f"losses are {metrics[:2].tolist()} and the gradient's norm is {metrics[-1]}: a "
                f"smaller lr (it is {self._hyper.lr}), a reward_scale below "
                f"{self._hyper.reward_scale} or a max_grad_norm keep them finite"
            )
        return metrics

    def _logits_of(self, observations: Any) -> Any:
        return self._network.logits(self._network.centre(observations))

    def _exported_logits_of(self, observations: Any) -> Any:
        return self._network.exported_logits(self._network.centre(observations))

    def _values_of(self, observations: Any) -> Any:
        return self._network.values(self._network.centre(observations))

    def _step_on(
        self, observations: Any, actions: Any, old_log_probs: Any, advantages: Any, returns: Any
    ) -> Any:
        """One minibatch: surrogate loss, value loss, KL, entropy, clip fraction, gradient norm."""
        clip = self._hyper.clip_coef
        with tf.GradientTape() as tape:
            pixels = self._network.centre(observations)
            log_probs = tf.nn.log_softmax(self._network.logits(pixels))
            taken = tf.gather(log_probs, actions, batch_dims=1)
            old_taken = tf.gather(old_log_probs, actions, batch_dims=1)
            ratio = tf.exp(taken - old_taken)
            clipped = tf.clip_by_value(ratio, 1 - clip, 1 + clip)
            surrogate_loss = -tf.reduce_mean(tf.minimum(ratio * advantages, clipped * advantages))
            value_loss = self._value_loss(self._network.values(pixels) - returns)
            entropy = -tf.reduce_mean(tf.reduce_sum(tf.exp(log_probs) * log_probs, axis=1))
            loss = surrogate_loss + value_loss - self._hyper.beta_entropy * entropy
        gradients = tape.gradient(loss, self._variables)
        norm = tf.linalg.global_norm(gradients)
        if self._hyper.max_grad_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._hyper.max_grad_norm, norm)
        self._descend(gradients)
        gap = tf.exp(old_log_probs) * (old_log_probs - log_probs)
        kl_divergence = tf.reduce_mean(tf.reduce_sum(gap, axis=1))
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
