"""
Our learner with rl-coach's agent as its algorithm.

Rl-coach learns from whole episodes: those that are under way while it learns go on, and are learned
from after they have ended.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from services.trainer.architecture import Blueprint, Observations, Weights
from services.trainer.checkpoint import SUFFIXES, read_checkpoint
from services.trainer.coach.agent import CoachAgent
from services.trainer.learner import Learner
from services.trainer.memory import Memory
from services.trainer.ppo import Diverged, UpdateReport
from services.trainer.rollout import StepEnd


class CoachAlgorithm:
    """See `algorithms.Algorithm`; the spec is one that `check_supported` passes for this engine."""

    def __init__(self, spec: RunSpec, blueprint: Blueprint) -> None:
        self._hyper, self._blueprint = spec.hyperparameters, blueprint
        with tempfile.TemporaryDirectory(prefix="slipstream-coach-") as folder:
            self._agent = CoachAgent(blueprint, self._hyper, spec.seed, Path(folder))
        self.network: Any = self._agent
        self._rng: np.random.Generator | None = None
        self._rewards, self._ends = self._unknown()
        self._is_aged = False
        self.is_open = False
        self.outputs: NDArray[np.float32] | None = None  # rl-coach keeps them to itself

    def compile(self) -> None:
        """Sessions are ready as they are."""

    def record_outcome(self, rewards: NDArray[np.float32], ends: NDArray[np.uint8]) -> None:
        """Keep it until it is seen what came next: to rl-coach that is one thing."""
        self._rewards, self._ends = rewards, ends
        self.is_open = False

    def see(self, observations: Observations) -> None:
        """Let every car's episode go on, end or, where the last step is unknown, begin anew."""
        for car in range(self._hyper.cars):
            state = {sensor: observations[sensor][car] for sensor in self._blueprint.sensors}
            if self._ends[car] == StepEnd.VOID:
                self._agent.forget(car)
                self._agent.see(car, state)
            else:
                ended = bool(self._ends[car] != StepEnd.RUNNING)
                self._agent.see(car, state, float(self._rewards[car]), ended=ended)
        self._rewards, self._ends = self._unknown()

    def act(self, env_steps: int, rng: np.random.Generator) -> NDArray[Any]:
        """The actions that rl-coach chooses, for one car after the other."""
        if not self._is_aged:
            self._agent.age(env_steps)
            self._is_aged = True
        self._seed_by(rng)
        self.is_open = True
        return np.array([self._agent.choose(car) for car in range(self._hyper.cars)])

    def is_due(self, episodes: int) -> bool:
        """Enough episodes, or as many steps as DeepRacer's memory takes."""
        enough = episodes >= self._hyper.num_episodes_between_training
        return enough or self._agent.kept_steps >= self._blueprint.trunk.most_steps

    def learn(self, rng: np.random.Generator, env_steps: int) -> UpdateReport:
        """One update by the episodes that have ended."""
        self._seed_by(rng)
        report = self._agent.learn()
        last = report.losses[-1]
        if not np.isfinite([last.surrogate_loss, last.value_loss, report.gradient_norm]).all():
            raise Diverged(
                f"losses are {[last.surrogate_loss, last.value_loss]} and the gradient's norm is "
                f"{report.gradient_norm}: a smaller lr (it is {self._hyper.lr}), a reward_scale "
                f"below {self._hyper.reward_scale} or a max_grad_norm keep them finite"
            )
        return report

    def forget(self) -> None:
        """The episodes under way; what came after a checkpoint is unknown."""
        self._rewards, self._ends = self._unknown()
        self.is_open = self._is_aged = False

    def exported_policy(self, observations: Observations) -> NDArray[np.float32]:
        """Probabilities, or means."""
        return self._agent.policy(observations)

    def memory(self) -> Memory:
        """Nothing: its checkpoints hold all of it."""
        return {}

    def recall(self, memory: Memory) -> None:
        """There is nothing to take over."""

    def save(self, prefix: Path) -> None:
        """Write rl-coach's own checkpoint."""
        self._agent.save(prefix)

    def restore(self, prefix: Path) -> None:
        """Take over a checkpoint with its optimiser. Raises `KeyError` where it has none."""
        self._agent.restore(prefix)

    def _unknown(self) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        cars = self._hyper.cars
        return np.zeros(cars, np.float32), np.full(cars, StepEnd.VOID, np.uint8)

    def _seed_by(self, rng: np.random.Generator) -> None:
        """rl-coach draws from the generators of the process: each of ours begins them anew."""
        if rng is not self._rng:
            self._rng = rng
            self._agent.reseed(int(rng.integers(2**32)))


class CoachLearner(Learner):
    """As `Learner`; its checkpoints hold the optimiser, so that a resumed run goes on exactly."""

    _algorithm: CoachAlgorithm

    def __init__(self, spec: RunSpec, **named: Any) -> None:
        super().__init__(spec, algorithm=CoachAlgorithm, **named)

    def _write(self, folder: Path, name: str, weights: Weights) -> tuple[Path, ...]:
        self._algorithm.save(folder / name)
        (folder / ".coach_checkpoint").write_text(name, "utf-8")
        return tuple(folder / f"{name}{suffix}" for suffix in SUFFIXES)

    def _resume(self, prefix: Path) -> None:
        read_checkpoint(prefix, self._blueprint)  # refuses what rl-coach would crash on
        try:
            self._algorithm.restore(prefix)
        except KeyError as error:
            raise InvalidInput(
                f"checkpoint {prefix.name} lacks {error}: one with the optimiser's state is "
                "accepted"
            ) from error
