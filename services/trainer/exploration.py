"""How actions are drawn from the policy while it trains."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.hyperparameters import Hyperparameters


class Exploration(Protocol):
    """Draws one action for each car."""

    def choose(
        self, logits: NDArray[np.float32], env_steps: int, rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """
        Draw actions (cars,) from logits (cars, actions).

        `env_steps` counts the camera steps of all cars since the run began.
        """


class Categorical:
    """Actions with the probabilities of the policy."""

    def choose(
        self, logits: NDArray[np.float32], env_steps: int, rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Draw by the Gumbel-max trick: the argmax of logits plus Gumbel noise."""
        noise = rng.gumbel(size=logits.shape)
        return np.asarray(np.argmax(logits + noise, axis=1), np.int32)


class EpsilonGreedy:
    """
    The most probable action, or with probability epsilon any.

    As in rl_coach epsilon falls linearly from 1 to `final` over `steps` steps of the environment.
    """

    def __init__(self, final: float, steps: int) -> None:
        self._final, self._steps = final, steps

    def epsilon(self, env_steps: int) -> float:
        """The share of random actions after so many steps."""
        return 1.0 + (self._final - 1.0) * min(1.0, env_steps / self._steps)

    def choose(
        self, logits: NDArray[np.float32], env_steps: int, rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Each car decides for itself whether it explores."""
        cars, actions = logits.shape
        # Each car is one step further than the one before it.
        epsilons = np.array([self.epsilon(env_steps + car) for car in range(cars)])
        explores = rng.random(cars) < epsilons
        chosen = np.where(explores, rng.integers(actions, size=cars), np.argmax(logits, axis=1))
        return np.asarray(chosen, np.int32)


def exploration_of(hyperparameters: Hyperparameters) -> Exploration:
    """What `exploration_type` asks for."""
    if hyperparameters.exploration_type == "e-greedy":
        return EpsilonGreedy(hyperparameters.e_greedy_value, hyperparameters.epsilon_steps)
    return Categorical()
