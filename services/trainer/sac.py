"""
Soft actor-critic with a state value and its target, as DeepRacer's rl_coach does it.

Read from top to bottom: an update draws minibatches from the replay (`Sac.update`), and learns from
each (`_step_on`) three things at once, all of them from what the networks said before it:

- the action values: reward and the discounted value, by the target network, of what followed;
- the state value: the smaller action value of an action drawn now, plus its surprise
  `-alpha log pi`;
- the policy: to draw actions of which the same sum is larger.

The weight `sac_alpha` of the surprise is fixed, as DeepRacer's is. Its density `pi` is that of an
action of -1 to 1; DeepRacer's is that of degrees and m/s, which makes every step worth more or less
by the same number.

Papers: SAC, https://arxiv.org/abs/1801.01290, of which this is algorithm 1 (equations 5 to 13).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.events import EpochLosses
from services.trainer.adam import Adam, clip_to_norm
from services.trainer.architecture import Blueprint, Observations
from services.trainer.ppo import HUBER_DELTA, Diverged, UpdateReport
from services.trainer.replay import Replay, Transitions
from services.trainer.sac_network import SacNetwork


class Sac:
    """The optimiser of one network: Adam's state and the compiled functions."""

    def __init__(self, network: SacNetwork, hyperparameters: Hyperparameters) -> None:
        self._network, self._hyper = network, hyperparameters
        learned = [*network.policy_variables, *network.critic_variables]
        names = {id(variable): name for name, variable in network.variables.items()}
        self.adam = Adam({names[id(each)]: each for each in learned}, hyperparameters.lr)
        self._distribution = network.distribution
        seen, numbers = _signature(network.blueprint), tf.TensorSpec((None,), tf.float32)
        actions = tf.TensorSpec((None, *self._distribution.action_shape), tf.float32)
        self._policy = tf.function(self._policy_of, input_signature=[seen])
        self._exported = tf.function(self._exported_policy_of, input_signature=[seen])
        self._step = tf.function(
            self._step_on, input_signature=[seen, actions, numbers, seen, numbers, actions]
        )

    def compile(self) -> None:
        """Trace what training calls, so that no request waits for it later."""
        for function in (self._policy, self._step):
            function.get_concrete_function()

    def policy(self, observations: Observations) -> NDArray[np.float32]:
        """Means and standard deviations (n, 4) for observations (n, *shape)."""
        raw: NDArray[np.float32] = self._policy(dict(observations)).numpy()
        return raw

    def exported_policy(self, observations: Observations) -> NDArray[np.float32]:
        """As `policy`, of the policy as it is exported."""
        raw: NDArray[np.float32] = self._exported(dict(observations)).numpy()
        return raw

    def update(
        self,
        replay: Replay,
        minibatches: int,
        rng: np.random.Generator,
        learning_rate: float | None = None,
    ) -> UpdateReport:
        """
        Learn from so many minibatches of a replay in which something is known.

        `learning_rate` is that of the hyperparameters where none is given.

        Raises:
            Diverged: a loss or gradient is not finite.
        """
        rate = self._hyper.lr if learning_rate is None else learning_rate
        self.adam.rate.assign(rate)
        probe = replay.sample(self._hyper.batch_size, rng).observations
        before = self.policy(probe)
        metrics = np.array(
            [
                self._minibatch(replay.sample(self._hyper.batch_size, rng), rng)
                for _ in range(minibatches)
            ]
        )
        self._network.average()
        moved = self._distribution.divergence(before, self.policy(probe)).numpy()
        return _report(metrics, float(moved.mean()), rate)

    def _minibatch(self, drawn: Transitions, rng: np.random.Generator) -> NDArray[np.float32]:
        """Learn from one minibatch; returns the metrics of `_step_on`."""
        noise = rng.standard_normal(drawn.actions.shape, np.float32)
        rewards = drawn.rewards * np.float32(self._hyper.reward_scale)
        metrics: NDArray[np.float32] = self._step(
            drawn.observations, drawn.actions, rewards, drawn.following, drawn.lasting, noise
        ).numpy()
        if not np.isfinite(metrics).all():
            raise Diverged(
                f"losses are {metrics[:3].tolist()} and the gradient's norm is {metrics[-1]}: a "
                f"smaller lr (it is {self._hyper.lr}), a reward_scale below "
                f"{self._hyper.reward_scale} or a max_grad_norm keep them finite"
            )
        return metrics

    def _policy_of(self, observations: Any) -> Any:
        return self._network.policy(self._network.centre(observations))

    def _exported_policy_of(self, observations: Any) -> Any:
        return self._network.exported_policy(self._network.centre(observations))

    def _step_on(
        self,
        observations: Any,
        actions: Any,
        rewards: Any,
        following: Any,
        lasting: Any,
        noise: Any,
    ) -> Any:
        """One minibatch: policy loss, action value loss, state value loss, entropy, variances."""
        network, alpha = self._network, self._hyper.sac_alpha
        after = network.target_values(network.centre(following))
        q_targets = rewards + self._hyper.discount_factor * lasting * after
        with tf.GradientTape(persistent=True) as tape:
            inputs = network.centre(observations)
            embeddings = network.q_embeddings(inputs)
            q_errors = [each - q_targets for each in network.q_values(embeddings, actions)]
            q_loss = 0.5 * tf.add_n([tf.reduce_mean(tf.square(each)) for each in q_errors])
            drawn, log_probs = self._distribution.draw(network.policy(inputs), noise)
            worth = tf.minimum(*network.q_values(tf.stop_gradient(embeddings), drawn))
            soft_values = worth - alpha * log_probs
            policy_loss = -tf.reduce_mean(soft_values)
            value_errors = network.values(inputs) - tf.stop_gradient(soft_values)
            value_loss = self._value_loss(value_errors)
            critic_loss = q_loss + value_loss
        gradients = [
            *tape.gradient(policy_loss, network.policy_variables),
            *tape.gradient(critic_loss, network.critic_variables),
        ]
        gradients, norm = clip_to_norm(gradients, self._hyper.max_grad_norm)
        self.adam.descend(gradients)
        network.follow(self._hyper.tau)
        variances = [tf.math.reduce_variance(each) for each in (q_errors[0], q_targets)]
        entropy = -tf.reduce_mean(log_probs)
        return tf.stack([policy_loss, q_loss, value_loss, entropy, *variances, norm])

    def _value_loss(self, errors: Any) -> Any:
        """Of the state value; the action values' is half the mean square whatever is asked for."""
        if self._hyper.loss_type == "mean squared error":
            return tf.reduce_mean(tf.square(errors))
        within = tf.minimum(tf.abs(errors), HUBER_DELTA)
        return tf.reduce_mean(0.5 * tf.square(within) + HUBER_DELTA * (tf.abs(errors) - within))


def _signature(blueprint: Blueprint) -> Mapping[str, Any]:
    """Any number of observations, as a compiled function takes them."""
    return {
        sensor: tf.TensorSpec((None, *shape), blueprint.dtype(sensor))
        for sensor, shape in blueprint.inputs.items()
    }


def _report(metrics: NDArray[np.float32], divergence: float, learning_rate: float) -> UpdateReport:
    """Means over the minibatches (minibatches, metrics); the value loss is the action values'."""
    means = [float(each) for each in metrics.mean(axis=0)]
    policy_loss, q_loss, _, entropy, unexplained, spread, norm = means
    losses = EpochLosses(
        epoch=0,
        surrogate_loss=policy_loss,
        value_loss=q_loss,
        kl_divergence=divergence,
        entropy=entropy,
    )
    return UpdateReport(
        losses=(losses,),
        explained_variance=1 - unexplained / spread if spread > 0 else None,
        clip_fraction=None,
        gradient_norm=norm,
        learning_rate=learning_rate,
    )
