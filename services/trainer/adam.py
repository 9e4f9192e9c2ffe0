"""
Adam by TensorFlow's fused kernel, a quarter faster than its formula in Python.

Paper: https://arxiv.org/abs/1412.6980.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from services.trainer.memory import Memory

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-5


class Adam:
    """
    The moments of some variables, by their names; `descend` is for compiled functions.

    `rate` may be assigned between steps.
    """

    def __init__(self, variables: Mapping[str, Any], learning_rate: float) -> None:
        self._names, self.variables = list(variables), list(variables.values())
        self.rate = tf.Variable(learning_rate, dtype=tf.float32)
        self.moments = [tf.Variable(tf.zeros_like(variable)) for variable in self.variables]
        self.squares = [tf.Variable(tf.zeros_like(variable)) for variable in self.variables]
        self.powers = [tf.Variable(1.0), tf.Variable(1.0)]  # of both betas
        self.steps = tf.Variable(0, dtype=tf.int64)

    def descend(self, gradients: Sequence[Any]) -> None:
        """One step."""
        self.steps.assign_add(1)
        for power, beta in zip(self.powers, (BETA_1, BETA_2), strict=True):
            power.assign(power * beta)
        for variable, moment, square, gradient in zip(
            self.variables, self.moments, self.squares, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=moment.handle,
                v=square.handle,
                beta1_power=self.powers[0],
                beta2_power=self.powers[1],
                lr=self.rate,
                beta1=BETA_1,
                beta2=BETA_2,
                epsilon=EPSILON,
                grad=gradient,
            )

    def memory(self) -> Memory:
        """A copy of all that it knows."""
        return {name: variable.numpy() for name, variable in self._remembered().items()}

    def recall(self, memory: Memory) -> None:
        """Take over what another one knew; names and shapes are its own."""
        for name, variable in self._remembered().items():
            variable.assign(memory[name])

    def _remembered(self) -> dict[str, Any]:
        return {
            **{
                f"moment/{name}": each for name, each in zip(self._names, self.moments, strict=True)
            },
            **{
                f"square/{name}": each for name, each in zip(self._names, self.squares, strict=True)
            },
            "beta1_power": self.powers[0],
            "beta2_power": self.powers[1],
            "optimiser_steps": self.steps,
        }


def clip_to_norm(gradients: Sequence[Any], most: float | None) -> tuple[list[Any], Any]:
    """
    Gradients of at most this norm all together, and the norm that they had.

    Those that are small enough are left alone: to multiply them by 1 costs 3 % of an update.
    """
    norm = tf.linalg.global_norm(gradients)
    if most is None:
        return list(gradients), norm
    clipped = tf.cond(
        norm > most,
        lambda: [gradient * (most / norm) for gradient in gradients],
        lambda: list(gradients),
    )
    return list(clipped), norm
