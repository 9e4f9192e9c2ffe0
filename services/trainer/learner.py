"""
The learner: acts for all cars of a run, remembers what came of it, and learns when it is time.

One call of `act` is one camera step of all cars. The policy is the one that learns, so that a
rollout needs no exchange of weights. One seed gives the same run, whatever the clock says: all
random numbers follow from the seed and the number of updates.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.continuous import command_bounds, scale_actions
from libs.common.deepracer.metadata import ContinuousActionSpace, ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from libs.common.events import CarStep, IterationEnded, PolicyView
from services.trainer.algorithms import Algorithm, algorithm_of
from services.trainer.architecture import (
    HEIGHT_PX,
    WIDTH_PX,
    Blueprint,
    Observations,
    Weights,
    blueprint_of,
)
from services.trainer.checkpoint import (
    checkpoint_name,
    checkpoint_number,
    read_checkpoint,
    write_checkpoint,
)
from services.trainer.episodes import EpisodeNumbers
from services.trainer.frozen import freeze_policy
from services.trainer.insight import explain, saliency
from services.trainer.memory import memory_path, read_memory, write_memory
from services.trainer.ppo import Diverged
from services.trainer.progress import (
    Activity,
    IterationMeter,
    LearnerState,
    reached_limit,
    read_state,
    state_path,
)
from services.trainer.rollout import StepEnd
from services.trainer.transfer import describe_transfer, transfer_weights


@dataclass(frozen=True)
class Decision:
    """What the cars do next."""

    episodes: tuple[int, ...]  # the number of the episode that each car drives now
    iteration: int  # finished so far
    # One for each car, in one of two forms: indices of a discrete action space, or steering (rad,
    # + = left) and speed (m/s) within a continuous one.
    actions: tuple[int, ...] = ()
    commands: tuple[tuple[float, float], ...] = ()
    ended: IterationEnded | None = None  # set in the call in which an iteration ended
    policy: PolicyView | None = None  # of the first car, where it was asked for


@dataclass(frozen=True)
class SavedCheckpoint:
    """The files of one checkpoint in a local folder."""

    name: str  # "13_Step-8044.ckpt"
    number: int
    env_steps: int
    files: tuple[Path, ...]  # data, index, meta
    policy: Path  # model_13.pb
    state: Path  # state_13.json
    memory: Path | None = None  # memory_13.npz


class Learner:
    """
    One run's learner.

    Args:
        spec: the run.
        height_px, width_px: of the observations.
        used_episodes: numbers of episodes that ended in earlier attempts, as the journal has them;
            without them a restored learner takes those that its checkpoint counted.
        clock: seconds that only grow.
        algorithm: makes what acts and learns.

    Raises:
        InvalidInput: a horizon beyond the memory.
    """

    def __init__(
        self,
        spec: RunSpec,
        *,
        height_px: int = HEIGHT_PX,
        width_px: int = WIDTH_PX,
        used_episodes: Iterable[int] = (),
        clock: Callable[[], float] = time.perf_counter,
        algorithm: Callable[[RunSpec, Blueprint], Algorithm] = algorithm_of,
    ) -> None:
        self._spec, self._hyper, self._clock = spec, spec.hyperparameters, clock
        self._size_px = (height_px, width_px)
        self._blueprint = blueprint_of(spec.metadata, *self._size_px)
        self._algorithm = algorithm(spec, self._blueprint)
        self._network = self._algorithm.network
        self._distribution = self._network.distribution
        self._numbers = EpisodeNumbers(used_episodes)
        self._episodes: list[int] = []
        self._state = LearnerState(episodes=self._numbers.ended)
        self._ended_since_update = 0
        self._begun_anew: set[int] = set()
        self._told_at: float | None = None  # when the last decision was given, or the clock's read
        self._meter = IterationMeter(self._distribution.bins, self._state)
        self._rng = self._random_numbers()

    @property
    def state(self) -> LearnerState:
        """A copy of the counters."""
        return self._state.model_copy(deep=True)

    def compile(self) -> None:
        """Make all TensorFlow functions ready; without it the first calls take seconds longer."""
        self._algorithm.compile()

    def begin_rollout(self, cars: Collection[int] | None = None) -> None:
        """
        The simulator of these cars (all, by default) begins anew.

        What they did last has no outcome and teaches nothing; what they did before is kept. Their
        open episodes never ended and keep their numbers.
        """
        self._begun_anew.update(range(self._hyper.cars) if cars is None else cars)

    def note_used_episodes(self, numbers: Iterable[int]) -> None:
        """
        Learn which episodes are over, as the journal knows them.

        A simulator may have died after it told the journal and before it told the learner: a car
        that drives such an episode gets another number.
        """
        self._numbers.note_ended(numbers)
        self._state.episodes = self._numbers.ended
        self._episodes = [
            self._numbers.take() if self._numbers.is_over(number) else number
            for number in self._episodes
        ]

    def act(
        self,
        observations: Observations,
        steps: Sequence[CarStep] = (),
        *,
        tell_policy: bool = False,
        tell_saliency: bool = False,
    ) -> Decision:
        """
        Take in what became of the last actions, learn if it is time, and choose the next actions.

        Args:
            observations: by sensor (cars, *shape), after the steps: uint8 (height, width, channels)
                of a camera, float32 numbers of a lidar.
            steps: for each car what became of its last action; ignored where there is none.
            tell_policy: what the policy makes of what the first car sees.
            tell_saliency: and which parts of its picture weigh most.

        Raises:
            InvalidInput: another shape or number than the run's.
            Diverged: learning blew up.
        """
        self._check(observations, steps)
        self._lap("wait_s")
        if self._algorithm.is_open:
            self._take_in(steps)
        self._algorithm.see(observations)
        self._begun_anew.clear()
        self._lap("infer_s")
        is_due = self._algorithm.is_due(self._ended_since_update)
        ended = self._learn() if is_due else None
        self._lap("learn_s")
        actions = self._choose()
        self._lap("infer_s")
        policy = self._explain(observations, actions[0], tell_saliency) if tell_policy else None
        decision = Decision(
            tuple(self._episodes), self._state.iteration, ended=ended, policy=policy
        )
        space = self._spec.metadata.action_space
        if isinstance(space, ContinuousActionSpace):
            scaled = scale_actions(command_bounds(space), actions).tolist()
            return replace(
                decision, commands=tuple((steering, speed) for steering, speed in scaled)
            )
        return replace(decision, actions=tuple(actions.tolist()))

    def _explain(
        self, observations: Observations, action: Any, tell_saliency: bool
    ) -> PolicyView | None:
        outputs = self._algorithm.outputs
        if outputs is None:
            return None
        view = explain(self._spec.metadata, self._distribution, outputs[0], action)
        if not tell_saliency:
            return view
        first = {sensor: each[:1] for sensor, each in observations.items()}
        return view.model_copy(update={"saliency": saliency(self._network, first)})

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
        """
        The policy as `save` exports it, for observations (n, *shape) by sensor.

        Returns:
            (n, actions) probabilities of discrete actions, (n, 2) means of continuous ones.
        """
        return self._algorithm.exported_policy(observations)

    def export_weights(self) -> Weights:
        """A copy of the weights in DeepRacer's form."""
        return self._network.export_weights()

    def adopt_weights(self, weights: Weights) -> None:
        """
        Begin with the weights of another run; the counters stay.

        Raises:
            InvalidInput: a variable is missing or does not fit.
        """
        self._network.adopt_weights(weights)

    def adopt_checkpoint(self, prefix: Path, source: ModelMetadata | None = None) -> str | None:
        """
        Begin with a checkpoint's weights; the counters stay.

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
        self.adopt_weights(transfer_weights(weights, source, own, self.export_weights()))
        return describe_transfer(source, own)

    def save(self, folder: Path, *, complete: bool = False) -> SavedCheckpoint:
        """
        Write checkpoint, frozen policy and counters; the number is that of the iterations.

        A `complete` one has the learner's memory too: `restore` then goes on exactly from there.

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
        files = self._write(folder, name, weights)
        memory = None
        if complete and (held := self._algorithm.memory()):
            memory = write_memory(memory_path(folder, number), held)
        return SavedCheckpoint(name, number, env_steps, files, policy, state, memory)

    def restore(self, folder: Path, name: str) -> None:
        """
        Go on from a checkpoint of this run; without a memory beside it the optimiser begins anew.

        Raises:
            NotFound: it has no file of counters; then it is for `adopt_weights`.
            InvalidInput: files are broken or of another network.
        """
        state = read_state(state_path(folder, checkpoint_number(name)))
        self._resume(folder / name)
        memory = memory_path(folder, checkpoint_number(name))
        if memory.exists():
            self._algorithm.recall(read_memory(memory, self._algorithm.memory()))
        if self._numbers.ended == 0:
            self._numbers = EpisodeNumbers(state.ended_episodes())
        # Episodes may have ended after the checkpoint: `used_episodes` counts them.
        self._state = state.model_copy(update={"episodes": self._numbers.ended})
        self._episodes = []
        self._algorithm.forget()
        self._meter = IterationMeter(self._distribution.bins, self._state)
        self._rng = self._random_numbers()

    def _write(self, folder: Path, name: str, weights: Weights) -> tuple[Path, ...]:
        """The files of a checkpoint."""
        return write_checkpoint(folder, name, weights)

    def _resume(self, prefix: Path) -> None:
        """Take over a checkpoint of this run."""
        self.adopt_checkpoint(prefix)

    def _check(self, observations: Observations, steps: Sequence[CarStep]) -> None:
        cars = self._hyper.cars
        for sensor, shape in self._blueprint.inputs.items():
            seen, kind = observations.get(sensor), np.dtype(self._blueprint.dtype(sensor))
            if seen is None or seen.shape != (cars, *shape) or seen.dtype != kind:
                got = "missing" if seen is None else f"{seen.dtype} {seen.shape}"
                raise InvalidInput(
                    f"observations of {sensor} are {got}: {kind} {(cars, *shape)} are accepted"
                )
        has_outcomes = self._algorithm.is_open and len(self._begun_anew) < cars
        if has_outcomes and len(steps) != cars:
            raise InvalidInput(f"{len(steps)} outcomes for {cars} cars: one each is accepted")

    def _take_in(self, steps: Sequence[CarStep]) -> None:
        """Close the open row with what became of it."""
        rewards = np.zeros(self._hyper.cars, np.float32)
        ends = np.full(self._hyper.cars, StepEnd.VOID, np.uint8)
        for car in sorted(set(range(self._hyper.cars)) - self._begun_anew):
            rewards[car] = steps[car].reward
            ends[car] = _step_end(steps[car], by_horizon=self._hyper.horizon is not None)
            self._state.env_steps += 1
            if steps[car].done:
                self._end_episode(car, steps[car])
        self._algorithm.record_outcome(rewards, ends)

    def _end_episode(self, car: int, last_step: CarStep) -> None:
        number = self._episodes[car]
        self._numbers.end(number)
        self._meter.note_episode(last_step.model_copy(update={"episode": number}))
        window = self._hyper.num_episodes_between_training
        self._state.note_episode(last_step.episode_reward, window)
        self._state.episodes = self._numbers.ended
        self._ended_since_update += 1
        self._episodes[car] = self._numbers.take()

    def _learn(self) -> IterationEnded | None:
        """One update, and the end of the iteration if it was its last."""
        report = self._algorithm.learn(self._rng, self._state.env_steps)
        if report is None:
            return None
        self._meter.note_update(report)
        self._state.updates += 1
        self._ended_since_update = 0
        self._rng = self._random_numbers()
        self._lap("learn_s")
        per_iteration = self._hyper.updates_per_iteration if self._hyper.horizon else 1
        if self._meter.updates < per_iteration:
            return None
        return self._end_iteration()

    def _end_iteration(self) -> IterationEnded:
        ended = self._meter.summary(self._spec.name, self._state, self._hyper.lr)
        self._state.note_iteration(ended, self._spec.limits.target_iterations)
        self._meter = IterationMeter(self._distribution.bins, self._state)
        return ended

    def _choose(self) -> NDArray[Any]:
        while len(self._episodes) < self._hyper.cars:
            self._episodes.append(self._numbers.take())
        actions = self._algorithm.act(self._state.env_steps, self._rng)
        self._meter.count_actions(self._distribution.histogram(actions))
        return actions

    def _random_numbers(self) -> np.random.Generator:
        """Those of the steps that begin now and of the update that follows them."""
        return np.random.default_rng((self._spec.seed, self._state.updates))

    def _lap(self, activity: Activity) -> None:
        """Book the time since the last lap."""
        now = self._clock()
        if self._told_at is not None:
            self._meter.spend(activity, now - self._told_at)
            self._state.elapsed_s += now - self._told_at
        self._told_at = now


def _step_end(step: CarStep, by_horizon: bool) -> StepEnd:
    """
    What followed a step.

    DeepRacer takes every end of an episode for the end of the world. With a horizon, the end of a
    lap and the step cap are what they are: a line that is crossed at full speed.
    """
    if not step.done:
        return StepEnd.RUNNING
    if by_horizon and (step.truncated or step.status == "lap_complete"):
        return StepEnd.TRUNCATED
    return StepEnd.TERMINAL
