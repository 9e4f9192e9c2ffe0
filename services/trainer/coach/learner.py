"""
A run's learner whose agent is rl-coach's: what `services.trainer.learner` is, by other means.

Like there, one call of `act` is one camera step of all cars. Rl-coach learns from whole episodes:
those that are under way while it learns go on, and are learned from after they have ended.
"""

import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.continuous import command_bounds, scale_actions
from libs.common.deepracer.metadata import ContinuousActionSpace, ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from libs.common.events import CarStep, IterationEnded
from services.trainer.architecture import (
    HEIGHT_PX,
    TRUNKS,
    WIDTH_PX,
    Observations,
    Weights,
    blueprint_of,
)
from services.trainer.checkpoint import (
    SUFFIXES,
    checkpoint_name,
    checkpoint_number,
    read_checkpoint,
)
from services.trainer.coach.agent import CoachAgent
from services.trainer.distributions import distribution_of
from services.trainer.episodes import EpisodeNumbers
from services.trainer.frozen import freeze_policy
from services.trainer.learner import Decision, SavedCheckpoint
from services.trainer.ppo import Diverged
from services.trainer.progress import (
    Activity,
    IterationMeter,
    LearnerState,
    reached_limit,
    read_state,
    state_path,
)
from services.trainer.transfer import describe_transfer, transfer_weights


class CoachLearner:
    """
    One run's learner.

    Args:
        spec: the run, one that `check_supported` passes for this engine.
        height_px, width_px: of the observations.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        spec: RunSpec,
        *,
        height_px: int = HEIGHT_PX,
        width_px: int = WIDTH_PX,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._spec, self._hyper, self._clock = spec, spec.hyperparameters, clock
        self._size_px = (height_px, width_px)
        self._blueprint = blueprint_of(spec.metadata, *self._size_px)
        self._distribution = distribution_of(self._blueprint.actions, self._blueprint.continuous)
        self._most_steps = TRUNKS[spec.metadata.neural_network].most_steps
        self._folder = tempfile.TemporaryDirectory(prefix="slipstream-coach-")
        folder = Path(self._folder.name)
        self._agent = CoachAgent(self._blueprint, self._hyper, spec.seed, folder)
        self._numbers = EpisodeNumbers()
        self._episodes: list[int] = []
        self._state = LearnerState()
        self._ended_since_update = 0
        self._acted = False  # what the cars did last has no outcome yet
        self._begun_anew: set[int] = set()
        self._told_at: float | None = None  # when the last decision was given, or the clock's read
        self._meter = IterationMeter(self._distribution.bins, self._state)
        self._agent.reseed(spec.seed, 0)

    @property
    def state(self) -> LearnerState:
        """A copy of the counters."""
        return self._state.model_copy(deep=True)

    def begin_rollout(self, cars: Collection[int] | None = None) -> None:
        """
        The simulator of these cars (all, by default) begins anew.

        Their open episodes never end: nothing is learned from them, and they keep their numbers.
        """
        self._begun_anew.update(range(self._hyper.cars) if cars is None else cars)

    def note_used_episodes(self, numbers: Iterable[int]) -> None:
        """Learn which episodes are over, as the journal knows them."""
        self._numbers.note_ended(numbers)
        self._state.episodes = self._numbers.ended
        self._episodes = [
            self._numbers.take() if self._numbers.is_over(number) else number
            for number in self._episodes
        ]

    def act(self, observations: Observations, steps: Sequence[CarStep] = ()) -> Decision:
        """
        Take in what became of the last actions, learn if it is time, and choose the next actions.

        Args:
            observations: by sensor (cars, *shape), after the steps.
            steps: for each car what became of its last action; ignored where there is none.

        Raises:
            InvalidInput: another shape or number than the run's.
            Diverged: learning blew up.
        """
        self._check(observations, steps)
        self._lap("wait_s")
        self._take_in(observations, steps)
        self._lap("infer_s")
        ended = self._learn() if self._is_due() else None
        self._lap("learn_s")
        actions = self._choose()
        self._lap("infer_s")
        decision = Decision(tuple(self._episodes), self._state.iteration, ended=ended)
        space = self._spec.metadata.action_space
        if isinstance(space, ContinuousActionSpace):
            scaled = scale_actions(command_bounds(space), actions).tolist()
            return replace(
                decision, commands=tuple((steering, speed) for steering, speed in scaled)
            )
        return replace(decision, actions=tuple(actions.tolist()))

    def limit_reached(self) -> str | None:
        """The limit that is reached, as a sentence, or None; waiting for simulators counts too."""
        state = self._state.model_copy()
        if self._told_at is not None:
            state.elapsed_s += self._clock() - self._told_at
        return reached_limit(state, self._spec.limits, self._hyper)

    def note_better_evaluation(self) -> None:
        """An evaluation had a better mean progress than all before: this is no plateau."""
        self._state.improved_at = self._state.iteration

    def exported_policy(self, observations: Observations) -> NDArray[np.float32]:
        """Probabilities (n, actions), or means (n, 2), for observations (n, *shape) by sensor."""
        return self._agent.policy(observations)

    def export_weights(self) -> Weights:
        """A copy of the weights in DeepRacer's form."""
        return self._agent.export_weights()

    def adopt_checkpoint(self, prefix: Path, source: ModelMetadata | None = None) -> str | None:
        """
        Begin with the weights of a checkpoint, of whichever engine; the counters stay.

        Args:
            prefix: the path without the suffixes, as `folder / "13_Step-8044.ckpt"`.
            source: of the run that the checkpoint is of, where its actions may be others.

        Returns:
            What was taken, as a sentence; None where it was all.

        Raises:
            InvalidInput: a file is missing or broken, or it is of another network.
        """
        source, own = source or self._spec.metadata, self._spec.metadata
        weights = read_checkpoint(prefix, blueprint_of(source, *self._size_px))
        self._agent.adopt_weights(transfer_weights(weights, source, own, self.export_weights()))
        return describe_transfer(source, own)

    def save(self, folder: Path) -> SavedCheckpoint:
        """
        Write checkpoint, frozen policy and counters; the number is that of the iterations.

        The checkpoint is as rl-coach writes it, with the optimiser's state.

        Raises:
            Diverged: there are weights that are no finite numbers; nothing was written.
        """
        number, env_steps = self._state.iteration, self._state.env_steps
        weights = self.export_weights()
        if not all(np.isfinite(array).all() for array in weights.values()):
            raise Diverged("weights are no longer finite numbers")
        name = checkpoint_name(number, env_steps)
        state, policy = state_path(folder, number), folder / f"model_{number}.pb"
        folder.mkdir(parents=True, exist_ok=True)
        self._state.episode_gaps = self._numbers.gaps
        state.write_text(self._state.model_dump_json(), "utf-8")
        policy.write_bytes(freeze_policy(weights, self._blueprint))
        self._agent.save(folder / name)
        (folder / ".coach_checkpoint").write_text(name, "utf-8")
        files = tuple(folder / f"{name}{suffix}" for suffix in SUFFIXES)
        return SavedCheckpoint(name, number, env_steps, files, policy, state)

    def restore(self, folder: Path, name: str) -> None:
        """
        Go on from a checkpoint of this run, with its optimiser.

        Raises:
            NotFound: it has no file of counters; then it is for `adopt_checkpoint`.
            InvalidInput: files are broken or of another network.
        """
        state = read_state(state_path(folder, checkpoint_number(name)))
        read_checkpoint(folder / name, self._blueprint)  # refuses what rl-coach would crash on
        try:
            self._agent.restore(folder / name)
        except KeyError as error:
            raise InvalidInput(
                f"checkpoint {name} lacks {error}: one with the optimiser's state is accepted"
            ) from error
        if self._numbers.ended == 0:
            self._numbers = EpisodeNumbers(state.ended_episodes())
        # Episodes may have ended after the checkpoint: `note_used_episodes` counts them.
        self._state = state.model_copy(update={"episodes": self._numbers.ended})
        self._episodes, self._acted = [], False
        self._meter = IterationMeter(self._distribution.bins, self._state)
        self._agent.reseed(self._spec.seed, state.updates)
        self._agent.age(state.env_steps)

    def _check(self, observations: Observations, steps: Sequence[CarStep]) -> None:
        cars = self._hyper.cars
        for sensor, shape in self._blueprint.inputs.items():
            seen, kind = observations.get(sensor), np.dtype(self._blueprint.dtype(sensor))
            if seen is None or seen.shape != (cars, *shape) or seen.dtype != kind:
                got = "missing" if seen is None else f"{seen.dtype} {seen.shape}"
                raise InvalidInput(
                    f"observations of {sensor} are {got}: {kind} {(cars, *shape)} are accepted"
                )
        has_outcomes = self._acted and len(self._begun_anew) < cars
        if has_outcomes and len(steps) != cars:
            raise InvalidInput(f"{len(steps)} outcomes for {cars} cars: one each is accepted")

    def _take_in(self, observations: Observations, steps: Sequence[CarStep]) -> None:
        for car in range(self._hyper.cars):
            state = {sensor: observations[sensor][car] for sensor in self._blueprint.sensors}
            if not self._acted or car in self._begun_anew:
                self._agent.forget(car)
                self._agent.see(car, state)
                continue
            step = steps[car]
            self._state.env_steps += 1
            self._agent.see(car, state, step.reward, ended=step.done)
            if step.done:
                self._end_episode(car, step)
        self._begun_anew.clear()

    def _end_episode(self, car: int, last_step: CarStep) -> None:
        number = self._episodes[car]
        self._numbers.end(number)
        self._meter.note_episode(last_step.model_copy(update={"episode": number}))
        window = self._hyper.num_episodes_between_training
        self._state.note_episode(last_step.episode_reward, window)
        self._state.episodes = self._numbers.ended
        self._ended_since_update += 1
        self._episodes[car] = self._numbers.take()

    def _is_due(self) -> bool:
        """Enough episodes, or as many steps as DeepRacer's memory takes."""
        enough = self._ended_since_update >= self._hyper.num_episodes_between_training
        return enough or self._agent.kept_steps >= self._most_steps

    def _learn(self) -> IterationEnded:
        """One update, which is an iteration."""
        report = self._agent.learn()
        last = report.losses[-1]
        if not np.isfinite([last.surrogate_loss, last.value_loss, report.gradient_norm]).all():
            raise Diverged(
                f"losses are {[last.surrogate_loss, last.value_loss]} and the gradient's norm is "
                f"{report.gradient_norm}: a smaller lr (it is {self._hyper.lr}), a reward_scale "
                f"below {self._hyper.reward_scale} or a max_grad_norm keep them finite"
            )
        self._meter.note_update(report)
        self._state.updates += 1
        self._ended_since_update = 0
        self._agent.reseed(self._spec.seed, self._state.updates)
        self._lap("learn_s")
        ended = self._meter.summary(self._spec.name, self._state, self._hyper.lr)
        self._state.note_iteration(ended, self._spec.limits.target_iterations)
        self._meter = IterationMeter(self._distribution.bins, self._state)
        return ended

    def _choose(self) -> NDArray[Any]:
        while len(self._episodes) < self._hyper.cars:
            self._episodes.append(self._numbers.take())
        actions = np.array([self._agent.choose(car) for car in range(self._hyper.cars)])
        self._acted = True
        self._meter.count_actions(self._distribution.histogram(actions))
        return actions

    def _lap(self, activity: Activity) -> None:
        """Book the time since the last lap."""
        now = self._clock()
        if self._told_at is not None:
            self._meter.spend(activity, now - self._told_at)
            self._state.elapsed_s += now - self._told_at
        self._told_at = now
