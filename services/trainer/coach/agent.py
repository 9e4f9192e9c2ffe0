"""
rl-coach's clipped PPO agent, for several cars at once.

The agent is rl-coach's own: it chooses every action, keeps whole episodes and learns from them. Its
class knows one episode under way; that of each car is laid by while another one has its turn.

This module needs `compatibility.install()` to have run.
"""

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow.compat.v1 as v1
from numpy.typing import NDArray
from rl_coach import utils
from rl_coach.agents.clipped_ppo_agent import ClippedPPOAgent, ClippedPPOAgentParameters
from rl_coach.architectures.embedder_parameters import InputEmbedderParameters
from rl_coach.architectures.layers import Conv2d, Dense
from rl_coach.architectures.middleware_parameters import FCMiddlewareParameters
from rl_coach.base_parameters import TaskParameters, VisualizationParameters
from rl_coach.core_types import EnvironmentEpisodes, EnvResponse, RunPhase
from rl_coach.exploration_policies.e_greedy import EGreedyParameters
from rl_coach.filters.filter import NoInputFilter, NoOutputFilter
from rl_coach.filters.reward.reward_rescale_filter import RewardRescaleFilter
from rl_coach.graph_managers.graph_manager import GraphManager, ScheduleParameters
from rl_coach.level_manager import LevelManager
from rl_coach.logger import screen
from rl_coach.schedules import LinearSchedule
from rl_coach.spaces import (
    BoxActionSpace,
    DiscreteActionSpace,
    PlanarMapsObservationSpace,
    RewardSpace,
    SpacesDefinition,
    StateSpace,
    VectorObservationSpace,
)

from libs.common.deepracer.hyperparameters import Hyperparameters
from services.trainer.architecture import Blueprint, Observations, Weights
from services.trainer.coach.mapping import (
    Scheme,
    algorithm_values,
    embedder_scheme,
    epsilon_schedule,
    middleware_scheme,
    network_values,
)
from services.trainer.coach.metrics import UpdateWatch
from services.trainer.distributions import distribution_of
from services.trainer.ppo import VALUE_CHUNK, UpdateReport, fitting_batch_size

State = Mapping[str, NDArray[np.generic]]
"""What one car sees: an array by sensor."""

OF_AN_EPISODE = (
    "curr_state",
    "current_episode_buffer",
    "current_episode_steps_counter",
    "episode_running_info",
    "last_action_info",
    "total_reward_in_current_episode",
    "total_shaped_reward_in_current_episode",
)
"""The agent's attributes that belong to the episode under way."""


class CoachAgent:
    """
    One clipped PPO agent of rl-coach and its session.

    Args:
        blueprint: which network, for which sensors and actions; without pooling, which rl-coach
            does not know.
        hyper: without a horizon.
        seed: of all random numbers.
        folder: where rl-coach may write while it is built; later it writes nothing by itself.
    """

    def __init__(
        self, blueprint: Blueprint, hyper: Hyperparameters, seed: int, folder: Path
    ) -> None:
        self._blueprint, self._hyper = blueprint, hyper
        self.distribution = distribution_of(blueprint.actions, blueprint.continuous)
        _silence(screen, "log_dict", "log_title")
        # Its locks are of one process here. Those of a `Manager` are processes of their own, which
        # outlive a learner that ends at once and hold its output open: the trainer would wait.
        utils.Manager = lambda: threading
        with v1.Graph().as_default():
            self._manager = _manager(blueprint, hyper, seed, folder)
        self._agent = self._manager.level_managers[0].agents["agent"]
        self._network = self._agent.networks["main"]
        online = self._network.online_network
        online.predict = _in_parts(online.predict)
        # Tables that nobody reads, a row for each episode: the run's events tell the same.
        self._agent.agent_logger = self._agent.agent_episode_logger = _Nobody()
        self._manager.phase = RunPhase.TRAIN
        self._cars: list[dict[str, Any]] = [{} for _ in range(hyper.cars)]
        for car in range(hyper.cars):
            self.forget(car)

    # -- driving ---------------------------------------------------------------------------

    def see(self, car: int, state: State, reward: float = 0.0, *, ended: bool = False) -> None:
        """
        What a car sees after its last action, or before its first one of an episode.

        Where the last action `ended` the episode, this is the beginning of the next one.
        """
        with self._turn_of(car) as agent:
            agent.observe(EnvResponse(dict(state), reward, game_over=ended))
            if ended:
                agent.handle_episode_ended()
                agent.reset_internal_state()
                agent.observe(EnvResponse(dict(state), 0.0, game_over=False))

    def choose(self, car: int) -> Any:
        """The car's next action: an index, or numbers of about -1 to 1."""
        with self._turn_of(car) as agent:
            return agent.act().action

    def forget(self, car: int) -> None:
        """Leave the car's episode unfinished; the next one begins."""
        with self._turn_of(car) as agent:
            agent.reset_internal_state()

    @contextmanager
    def _turn_of(self, car: int) -> Iterator[Any]:
        agent = self._agent
        vars(agent).update(self._cars[car])
        yield agent
        self._cars[car] = {name: getattr(agent, name) for name in OF_AN_EPISODE}

    # -- learning --------------------------------------------------------------------------

    @property
    def kept_steps(self) -> int:
        """Steps of whole episodes that the next update learns from."""
        steps: int = self._agent.memory.num_transitions_in_complete_episodes()
        return steps

    def learn(self) -> UpdateReport:
        """Learn from the episodes that are kept, and forget them; there has to be one."""
        agent = self._agent
        size = fitting_batch_size(self._hyper.batch_size, self.kept_steps)
        agent.ap.network_wrappers["main"].batch_size = size
        # The steps of whole episodes may fill the memory before there are so many episodes.
        agent.last_training_phase_step = agent.current_episode - self._episodes_of_rollout
        with UpdateWatch(agent, self._network) as watch:
            agent.train()
        return watch.report()

    @property
    def _episodes_of_rollout(self) -> int:
        episodes: int = self._agent.ap.algorithm.num_consecutive_playing_steps.num_steps
        return episodes

    def reseed(self, seed: int) -> None:
        """Begin the random numbers of the process anew, from 32 bits."""
        np.random.seed(seed)
        random.seed(seed)

    def age(self, env_steps: int) -> None:
        """Bring what changes with the steps of the run to where it is after so many."""
        schedule = getattr(self._agent.exploration_policy, "epsilon_schedule", None)
        if schedule is not None:
            for _ in range(min(env_steps, self._hyper.epsilon_steps)):
                schedule.step()

    # -- weights ---------------------------------------------------------------------------

    def policy(self, observations: Observations) -> NDArray[np.float32]:
        """Probabilities (n, actions), or means (n, 2), for observations (n, *shape)."""
        outputs = self._network.online_network.predict(dict(observations))
        return np.asarray(outputs[1], np.float32)

    def export_weights(self) -> Weights:
        """A copy of the weights in DeepRacer's form."""
        (saver,) = self._manager.checkpoint_saver
        arrays = saver.to_arrays(self._manager.sess)
        return {name: arrays[name] for name in self._blueprint.weight_shapes()}

    def adopt_weights(self, weights: Weights) -> None:
        """Take over weights in DeepRacer's form; the optimiser begins anew."""
        (saver,) = self._manager.checkpoint_saver
        own = saver.to_arrays(self._manager.sess)
        saver.from_arrays(self._manager.sess, {**own, **weights})

    def save(self, prefix: Path) -> None:
        """Write a checkpoint with the optimiser's state: rl-coach's own files."""
        self._manager.checkpoint_saver.save(self._manager.sess, str(prefix))

    def restore(self, prefix: Path) -> None:
        """Take over a checkpoint with the optimiser's state. Raises `KeyError` without one."""
        self._manager.checkpoint_saver.restore(self._manager.sess, str(prefix))


def _in_parts(predict: Callable[[Observations], list[Any]]) -> Callable[..., list[Any]]:
    """Values of a whole rollout at once would take gigabytes; in parts they are the same."""

    def predict_in_parts(inputs: Observations) -> list[Any]:
        count = len(next(iter(inputs.values())))
        slices = [slice(start, start + VALUE_CHUNK) for start in range(0, count, VALUE_CHUNK)]
        parts = [predict({name: seen[part] for name, seen in inputs.items()}) for part in slices]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    return predict_in_parts


class _Nobody:
    """Takes whatever is told and does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def _silence(speaker: Any, *methods: str) -> None:
    """Standard output is the trainer's line; `order.py` tells what it expects there."""
    for name in methods:
        setattr(speaker, name, lambda *_, **__: None)


def _manager(blueprint: Blueprint, hyper: Hyperparameters, seed: int, folder: Path) -> Any:
    """A graph of one level with one agent and no environment, with its session."""
    task = TaskParameters(use_cpu=True, experiment_path=str(folder), seed=seed)
    silent = VisualizationParameters(print_networks_summary=False, dump_csv=False)
    parameters = _agent_parameters(blueprint, hyper)
    parameters.task_parameters, parameters.visualization = task, silent

    def level_of_one_agent(_: TaskParameters) -> tuple[list[Any], list[Any]]:
        agent = ClippedPPOAgent(parameters)
        spaces = _spaces(blueprint)
        level = LevelManager("main_level", agent, environment=None, spaces_definition=spaces)
        return [level], []

    manager = GraphManager("graph", ScheduleParameters(), silent)
    manager._create_graph = level_of_one_agent
    return manager.create_graph(task)


def _agent_parameters(blueprint: Blueprint, hyper: Hyperparameters) -> Any:
    parameters = ClippedPPOAgentParameters()
    parameters.name = "agent"
    parameters.input_filter, parameters.output_filter = NoInputFilter(), NoOutputFilter()
    if hyper.reward_scale != 1:
        rescale = RewardRescaleFilter(hyper.reward_scale)
        parameters.input_filter.add_reward_filter("scale", rescale)
    _set(parameters.algorithm, algorithm_values(hyper))
    episodes = EnvironmentEpisodes(hyper.num_episodes_between_training)
    parameters.algorithm.num_consecutive_playing_steps = episodes
    network = parameters.network_wrappers["main"]
    _set(network, network_values(hyper))
    network.input_embedders_parameters = {
        sensor: InputEmbedderParameters(
            scheme=_layers(embedder_scheme(blueprint, sensor)), activation_function="relu"
        )
        for sensor in blueprint.sensors
    }
    network.middleware_parameters = FCMiddlewareParameters(
        scheme=_layers(middleware_scheme(blueprint)), activation_function="relu"
    )
    if (epsilons := epsilon_schedule(hyper)) is not None:
        greedy = EGreedyParameters()
        greedy.epsilon_schedule = LinearSchedule(*epsilons)
        parameters.exploration[DiscreteActionSpace] = greedy
    return parameters


def _set(parameters: Any, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        assert hasattr(parameters, name), name
        setattr(parameters, name, value)


def _layers(scheme: Scheme) -> list[Any]:
    return [Conv2d(*layer) if len(layer) > 1 else Dense(*layer) for layer in scheme]


def _spaces(blueprint: Blueprint) -> Any:
    seen = {
        sensor: PlanarMapsObservationSpace(np.array(shape), low=0, high=255)
        if blueprint.is_camera(sensor)
        else VectorObservationSpace(shape[0])
        for sensor, shape in blueprint.inputs.items()
    }
    actions = (
        BoxActionSpace(blueprint.actions, low=-1.0, high=1.0)
        if blueprint.continuous
        else DiscreteActionSpace(blueprint.actions)
    )
    return SpacesDefinition(StateSpace(seen), goal=None, action=actions, reward=RewardSpace(1))
