"""Many cars as a Gymnasium vector environment: arrays all the way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from libs.common.errors import InvalidInput
from libs.common.tracks import Track
from services.simulator.gym.batch import Batch
from services.simulator.gym.observations import Observation
from services.simulator.gym.rewards import CENTRE_LINE, RewardFunction
from services.simulator.gym.setting import (
    MetadataSource,
    RandomisationSource,
    WorldSource,
    read_setting,
)
from services.simulator.gym.single import RENDER_MODES, SEEDS, check_render_mode
from services.simulator.race import MAX_CARS
from services.simulator.vehicle import CONTROL_HZ

Bools = NDArray[np.bool_]
Step = tuple[Observation, NDArray[np.float64], Bools, Bools, dict[str, Any]]


class SlipstreamVectorEnv(VectorEnv[Observation, Any, NDArray[Any]]):
    """
    `num_envs` cars, each alone on its own copy of the track, but in races of several cars; see
    `SlipstreamEnv` for the rest.

    Autoreset is Gymnasium's next-step mode: the step after the one that ended a car's episode puts
    the car at its next start, ignores its action and is worth nothing. `infos` has arrays of the
    values that a single environment's `info` has; `infos["_lap_s"]` tells which cars have just
    completed a lap. What a car does depends on its seed and its actions alone, neither on the other
    cars nor on `threads`.

    Arguments beside those of `SlipstreamEnv`: `threads` (1) that share the cars, and `copy` (True).
    With `copy=False` `step` returns the same observations every time, which saves 19 kB of copying
    for each car, camera and step; keep no reference to them then.
    """

    metadata = {
        "render_modes": RENDER_MODES,
        "render_fps": int(CONTROL_HZ),
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        track: str | Path | Track = "loop",
        *,
        reward: str | Path | RewardFunction = CENTRE_LINE,
        model_metadata: MetadataSource = None,
        version: str | int | None = None,
        world: WorldSource = None,
        randomisation: RandomisationSource = None,
        render_mode: str | None = None,
        seed: int | None = None,
        threads: int = 1,
        copy: bool = True,
        **race: Any,
    ) -> None:
        """Raises `NotFound`, `InvalidInput` or `RewardError` for what can't be driven."""
        if not 1 <= num_envs <= MAX_CARS:
            raise InvalidInput(f"num_envs: got {num_envs}; accepted: 1 to {MAX_CARS}")
        check_render_mode(render_mode)
        self.num_envs, self.render_mode = num_envs, render_mode
        self._seed, self._copy = seed, copy
        setting = read_setting(track, model_metadata, version, race, world, randomisation)
        self._batch = Batch(setting, reward, list(range(num_envs)), threads)
        self.single_action_space = self._batch.actions.space
        self.single_observation_space = self._batch.observations.space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """
        Begin the next episodes of all cars; with a seed the first ones of that seed's.

        Args:
            seed: one for all, of which every car gets its own, or one for each car.
            options: none.
        """
        if seed is None and self._np_random is None:
            seed = self._seed
        begins = seed is not None or self._np_random is None
        if begins:
            self._batch.begin(self._draw_seeds(seed))
        else:
            self._batch.restart()
        return self._observe(), self._batch.infos()

    def step(self, actions: Any) -> Step:
        """Drive one camera step; `actions` has one for each car."""
        outcome = self._batch.step(actions)
        return (
            self._observe(),
            outcome.reward,
            outcome.terminated,
            outcome.truncated,
            outcome.infos,
        )

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """What each car sees, (480, 640, 3), or None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(self._batch.picture(car) for car in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """End the reward function's process, if there is one."""
        self._batch.close()

    def _draw_seeds(self, seed: int | Sequence[int | None] | None) -> list[int]:
        """Seeds of the cars; consecutive ones spread them evenly around the lap."""
        if isinstance(seed, Sequence):
            return self._seeds_of_each(seed)
        super().reset(seed=seed)
        first = int(self.np_random.integers(SEEDS - self.num_envs))
        return list(range(first, first + self.num_envs))

    def _seeds_of_each(self, seeds: Sequence[int | None]) -> list[int]:
        """The seeds that single environments with these seeds drive with."""
        if len(seeds) != self.num_envs:
            raise InvalidInput(f"seed: got {len(seeds)} seeds; accepted: one, or {self.num_envs}")
        drawn = [seeding.np_random(seed)[0] for seed in seeds]
        self.np_random = drawn[0]
        return [int(random.integers(SEEDS)) for random in drawn]

    def _observe(self) -> Observation:
        return self._batch.observe(copy=self._copy)
