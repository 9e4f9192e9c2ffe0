"""How actions are drawn from the policy while it trains."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.hyperparameters import Hyperparameters


class Exploration(Protocol):
    """Draws one action for each car."""

    def choose(
        self, raw: NDArray[np.float32], env_steps: int, rng: np.random.Generator
    ) -> NDArray[Any]:
        """
        Draw actions (cars, ...) from the network's raw outputs (cars, width).

        `env_steps` counts the camera steps of all cars since the run began.
        """


class Sampling:
    """Discrete actions with the probabilities of the policy."""

    def choose(
        self, raw: NDArray[np.float32], env_steps: int, rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Draw by the Gumbel-max trick: the argmax of logits plus Gumbel noise."""
        noise = rng.gumbel(size=raw.shape)
        return np.asarray(np.argmax(raw + noise, axis=1), np.int32)


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
        self, raw: NDArray[np.float32], env_steps: int, rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Each car decides for itself whether it explores."""
        cars, actions = raw.shape
        # Each car is one step further than the one before it.
        epsilons = np.array([self.epsilon(env_steps + car) for car in range(cars)])
        explores = rng.random(cars) < epsilons
        chosen = np.where(explores, rng.integers(actions, size=cars), np.argmax(raw, axis=1))
        return np.asarray(chosen, np.int32)


class Noise:
    """Continuous actions from normal distributions, as rl_coach's additive noise draws them."""

    def choose(
        self, raw: NDArray[np.float32], env_steps: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw from means and standard deviations; what is drawn may be beyond -1 to 1."""
        mean, std = np.split(raw, 2, axis=1)
        return np.asarray(rng.normal(mean, std), np.float32)


class SquashedNoise:
    """Actions within -1 to 1, as SAC draws them: the hyperbolic tangent of `Noise`."""

    def choose(
        self, raw: NDArray[np.float32], env_steps: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw from means and standard deviations before the tangent."""
        return np.tanh(Noise().choose(raw, env_steps, rng))


def exploration_of(hyperparameters: Hyperparameters, continuous: bool = False) -> Exploration:
    """What `exploration_type` asks for; it has no say over continuous actions."""
    if continuous:
        return Noise()
    if hyperparameters.exploration_type == "e-greedy":
        return EpsilonGreedy(hyperparameters.e_greedy_value, hyperparameters.epsilon_steps)
    return Sampling()
