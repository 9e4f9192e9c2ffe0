"""
What a learner learns by: `algorithm_of` chooses, nothing else asks which it is.

An algorithm remembers what the cars go through, draws their actions and says when there is enough
to learn from. Clipped PPO learns from what came since the last update and forgets it; SAC learns
from a replay of the last steps.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from services.trainer.architecture import Blueprint, Observations, SacBlueprint
from services.trainer.exploration import SquashedNoise, exploration_of
from services.trainer.memory import Memory
from services.trainer.network import ActorCritic
from services.trainer.ppo import Ppo, UpdateReport
from services.trainer.precision import check_bfloat16
from services.trainer.replay import Replay
from services.trainer.rollout import Rollout, StepEnd
from services.trainer.sac import Sac
from services.trainer.sac_network import SacNetwork
from services.trainer.schedules import rates_after


class Algorithm(Protocol):
    """Acts and learns; each camera step is `see`, `learn` where it is due, and `act`."""

    @property
    def network(self) -> ActorCritic:
        """What it learns."""

    @property
    def is_open(self) -> bool:
        """Whether the cars have acted and it is not known yet what came of it."""

    def compile(self) -> None:
        """Make all TensorFlow functions ready; without it the first calls take seconds longer."""

    def record_outcome(self, rewards: NDArray[np.float32], ends: NDArray[np.uint8]) -> None:
        """Take in what came of the last actions: rewards (cars,) and `StepEnd`s (cars,)."""

    def see(self, observations: Observations) -> None:
        """Take in what the cars see now, (cars, *shape) each."""

    def act(self, env_steps: int, rng: np.random.Generator) -> NDArray[Any]:
        """Draw actions (cars, ...) for what was seen last; `env_steps` counts those of all cars."""

    @property
    def outputs(self) -> NDArray[np.float32] | None:
        """Raw outputs (cars, width) that `act` drew from last; None where that is not told."""

    def is_due(self, episodes: int) -> bool:
        """Whether there is enough to learn from; so many episodes ended since the last update."""

    def learn(self, rng: np.random.Generator, env_steps: int) -> UpdateReport | None:
        """
        One update after so many steps of all cars; None where there is nothing to learn from.

        Raises:
            Diverged: learning blew up.
        """

    def forget(self) -> None:
        """Forget what the cars went through; the network stays."""

    def exported_policy(self, observations: Observations) -> NDArray[np.float32]:
        """What the exported policy tells for observations (n, *shape)."""

    def memory(self) -> Memory:
        """A copy of all that learning goes on from, but for what the cars went through."""

    def recall(self, memory: Memory) -> None:
        """Take over a memory of the same network; see `check_memory`."""


def algorithm_of(spec: RunSpec, blueprint: Blueprint) -> Algorithm:
    """
    The algorithm that `training_algorithm` asks for.

    Raises:
        InvalidInput: a horizon beyond the memory, or a precision that is not to be had.
    """
    if isinstance(blueprint, SacBlueprint):
        return OffPolicy(spec, blueprint)
    return OnPolicy(spec, blueprint)


class OnPolicy:
    """Clipped PPO: learns from a rollout that the policy has just driven."""

    def __init__(self, spec: RunSpec, blueprint: Blueprint) -> None:
        hyper = spec.hyperparameters
        rows = _rollout_rows(hyper, blueprint.trunk.most_steps)
        if hyper.precision == "bfloat16":
            check_bfloat16()
        self.network = ActorCritic(blueprint, spec.seed, hyper.policy_averaging, hyper.precision)
        self._hyper, self._ppo = hyper, Ppo(self.network, hyper)
        self._rollout = Rollout(rows, hyper.cars, blueprint, self.network.distribution)
        self._exploration = exploration_of(hyper, blueprint.continuous)
        self.outputs: NDArray[np.float32] | None = None

    @property
    def is_open(self) -> bool:
        """The rollout's last row has no outcome."""
        return self._rollout.is_open

    def compile(self) -> None:
        """Compile and call the policy once."""
        self._ppo.compile()
        self._ppo.policy(self._rollout.latest())

    def record_outcome(self, rewards: NDArray[np.float32], ends: NDArray[np.uint8]) -> None:
        """Close the row."""
        self._rollout.record_outcome(rewards, ends)

    def see(self, observations: Observations) -> None:
        """Begin a row."""
        self._rollout.see(observations)

    def act(self, env_steps: int, rng: np.random.Generator) -> NDArray[Any]:
        """Draw actions as `exploration_type` asks for."""
        raw = self.outputs = self._ppo.policy(self._rollout.latest())
        actions = self._exploration.choose(raw, env_steps, rng)
        self._rollout.record_choice(actions, self.network.distribution.settled(raw))
        return actions

    def is_due(self, episodes: int) -> bool:
        """At the horizon or at DeepRacer's cap, or without a horizon after enough episodes."""
        if self._rollout.is_full:
            return True
        by_episodes = self._hyper.horizon is None
        return by_episodes and episodes >= self._hyper.num_episodes_between_training

    def learn(self, rng: np.random.Generator, env_steps: int) -> UpdateReport | None:
        """One update by the rollout, which is begun anew."""
        is_empty = self._rollout.known.size == 0
        rates = rates_after(env_steps, self._hyper)
        report = None if is_empty else self._ppo.update(self._rollout, rng, rates)
        self._rollout.restart()
        return report

    def forget(self) -> None:
        """Begin another rollout."""
        self._rollout.clear()

    def exported_policy(self, observations: Observations) -> NDArray[np.float32]:
        """Probabilities or means."""
        return self.network.distribution.greedy(self._ppo.exported_policy(observations))

    def memory(self) -> Memory:
        """Network and optimiser."""
        return {**self.network.memory(), **self._ppo.adam.memory()}

    def recall(self, memory: Memory) -> None:
        """Network and optimiser."""
        self.network.recall(memory)
        self._ppo.adam.recall(memory)


class OffPolicy:
    """SAC: learns from steps of a replay, as many minibatches as there were new steps."""

    def __init__(self, spec: RunSpec, blueprint: SacBlueprint) -> None:
        hyper = spec.hyperparameters
        if hyper.precision != "fp32":
            raise InvalidInput(f"precision {hyper.precision!r} with SAC: 'fp32' is accepted")
        self.network: SacNetwork = SacNetwork(blueprint, spec.seed, hyper.policy_averaging)
        self._hyper, self._sac = hyper, Sac(self.network, hyper)
        distribution = self.network.distribution
        self._replay = Replay(hyper.replay_size, hyper.cars, blueprint, distribution)
        self._exploration = SquashedNoise()
        self.outputs: NDArray[np.float32] | None = None
        self._rows_since_update = self._steps_since_update = self._steps = 0

    @property
    def is_open(self) -> bool:
        """The replay's last row has no outcome."""
        return self._replay.is_open

    def compile(self) -> None:
        """Compile and call the policy once."""
        self._sac.compile()
        self._sac.policy(self._replay.latest())

    def record_outcome(self, rewards: NDArray[np.float32], ends: NDArray[np.uint8]) -> None:
        """Close the row."""
        known = int(np.count_nonzero(ends != StepEnd.VOID))
        self._rows_since_update += 1
        self._steps_since_update += known
        self._steps += known
        self._replay.record_outcome(rewards, ends)

    def see(self, observations: Observations) -> None:
        """Begin a row."""
        self._replay.see(observations)

    def act(self, env_steps: int, rng: np.random.Generator) -> NDArray[Any]:
        """Draw from the policy."""
        self.outputs = self._sac.policy(self._replay.latest())
        actions = self._exploration.choose(self.outputs, env_steps, rng)
        self._replay.record_choice(actions)
        return actions

    def is_due(self, episodes: int) -> bool:
        """After the warm-up: at the horizon, or without one after enough episodes."""
        if self._steps < self._hyper.warm_up_steps:
            return False
        if self._hyper.horizon is not None:
            return self._rows_since_update >= self._hyper.horizon
        return episodes >= self._hyper.num_episodes_between_training

    def learn(self, rng: np.random.Generator, env_steps: int) -> UpdateReport | None:
        """One update of `replay_ratio` minibatches for each step since the last one."""
        minibatches = round(self._steps_since_update * self._hyper.replay_ratio)
        self._rows_since_update = self._steps_since_update = 0
        if self._replay.known.size == 0 or minibatches == 0:
            return None
        rate = rates_after(env_steps, self._hyper).learning_rate
        return self._sac.update(self._replay, minibatches, rng, rate)

    def forget(self) -> None:
        """Empty the replay, which is warmed up again."""
        self._replay.clear()
        self._rows_since_update = self._steps_since_update = self._steps = 0

    def exported_policy(self, observations: Observations) -> NDArray[np.float32]:
        """Actions of the means."""
        return self.network.distribution.greedy(self._sac.exported_policy(observations))

    def memory(self) -> Memory:
        """Network and optimiser."""
        return {**self.network.memory(), **self._sac.adam.memory()}

    def recall(self, memory: Memory) -> None:
        """Network and optimiser."""
        self.network.recall(memory)
        self._sac.adam.recall(memory)


def _rollout_rows(hyper: Hyperparameters, most_steps: int) -> int:
    """Rows of all cars between updates: the horizon, or as many as DeepRacer's cap allows."""
    cars, horizon = hyper.cars, hyper.horizon
    most = max(1, most_steps // cars)
    if horizon is not None and horizon > most:
        raise InvalidInput(
            f"horizon {horizon} with {cars} cars: together they make at most {most_steps} steps, "
            f"so that up to {most} are accepted"
        )
    return horizon or most
