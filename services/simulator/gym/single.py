"""One car as a Gymnasium environment."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
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
from services.simulator.vehicle import CONTROL_HZ

RENDER_MODES = ["rgb_array"]
SEEDS = 2**31


class SlipstreamEnv(gymnasium.Env[Observation, Any]):
    """
    ## Description
    DeepRacer's car drives a lap of a track by what its camera sees. Vehicle, camera, rules and
    reward parameters are those of the DeepRacer simulator; a step is one picture, 15 a second.

    ## Action space
    That of the `model_metadata`. Without one, `Discrete(5)`:

    | action | steering angle | speed |
    | --- | --- | --- |
    | 0 | -30° (right) | 1.5 m/s |
    | 1 | -15° | 1.5 m/s |
    | 2 | 0° | 1.5 m/s |
    | 3 | 15° | 1.5 m/s |
    | 4 | 30° (left) | 1.5 m/s |

    A continuous action space is `Box(-1, 1, (2,), float32)`: steering (1 is furthest left) and
    speed, each scaled to its bounds. An action outside the space raises `InvalidInput`.

    ## Observation space
    What the `sensor`s of the `model_metadata` measure: a `Box` where there is one sensor, which is
    the front camera by default, and a `Dict` of them by name where there are several.

    | sensor | space |
    | --- | --- |
    | `FRONT_FACING_CAMERA`, `LEFT_CAMERA`: grey | `Box(0, 255, (120, 160, 1), uint8)` |
    | `STEREO_CAMERAS`: left and right | `Box(0, 255, (120, 160, 2), uint8)` |
    | `LIDAR`: metres | `Box(0.15, 12, (64,), float32)` |
    | `SECTOR_LIDAR`: 1 where something is near | `Box(0, 1, (8,), float32)` |
    | `DISCRETIZED_SECTOR_LIDAR`: one-hot | `Box(0, 1, (sectors * values,), float32)` |

    ## Reward
    `reward="centre_line"` (default): 1 within a tenth of the road's width from the centre line,
    0.5 within a quarter, 0.1 within half, else 0.001. A function of DeepRacer's `params`, or the
    path of a `reward_function.py`, which runs in a sandbox, takes its place.

    ## Starting state
    The car stands on the centre line, heading along it: at `start_position` (a share of the lap,
    0 by default) moved on by a share that the seed stands for, and by 5 % of the lap with every
    episode. `change_start_position=False` starts every episode at `start_position`.

    ## Episode end
    Terminated: the lap is complete, the car hit something, all four wheels are off the road, it
    stood still for 15 steps, or it went backwards for 15. Truncated: after `max_steps` steps.

    `info` has `progress_pct`, `status` (as `lap_complete`, `off_track`), `steps`, `episode_index`,
    `x_m`, `y_m`, `heading_rad`, `speed_mps`, and `lap_s` once a lap is complete.

    ## Arguments
    | name | default | |
    | --- | --- | --- |
    | `track` | `"loop"` | a built-in track's name, the path of an `.npy` file, or a `Track` |
    | `reward` | `"centre_line"` | see above |
    | `model_metadata` | starter's | a path of a `model_metadata.json`, its content as a dict |
    | `world` | the plain one | fields of `world:` in a run folder, as `{"look": "championship"}` |
    | `randomisation` | none | fields of `randomisation:`, as `{"brightness": (0.7, 1.3)}` |
    | `version` | of the metadata | generation of the dynamics: "4" and before, or "5" and later |
    | `render_mode` | `None` | `"rgb_array"`: what the car sees at 640x480, in colour |
    | `seed` | random | of the first `reset` that is given none |
    | `type`, `max_steps`, `direction`, `start_position`, … | | as `race:` in a run folder |

    ## Version history
    * v1: the first.
    """

    metadata = {
        "render_modes": RENDER_MODES,
        "render_fps": int(CONTROL_HZ),
    }

    def __init__(
        self,
        track: str | Path | Track = "loop",
        *,
        reward: str | Path | RewardFunction = CENTRE_LINE,
        model_metadata: MetadataSource = None,
        version: str | int | None = None,
        world: WorldSource = None,
        randomisation: RandomisationSource = None,
        render_mode: str | None = None,
        seed: int | None = None,
        **race: Any,
    ) -> None:
        """Raises `NotFound`, `InvalidInput` or `RewardError` for what can't be driven."""
        check_render_mode(render_mode)
        self.render_mode = render_mode
        self._seed = seed
        setting = read_setting(track, model_metadata, version, race, world, randomisation)
        self._batch = Batch(setting, reward, [0])
        self.action_space = self._batch.actions.space
        self.observation_space = self._batch.observations.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the next episode; with a seed the first one of that seed's."""
        if seed is None and self._np_random is None:
            seed = self._seed
        begins = seed is not None or self._np_random is None
        super().reset(seed=seed)
        if begins:
            self._batch.begin([int(self.np_random.integers(SEEDS))])
        else:
            self._batch.restart()
        return self._batch.observe(0), self._info()

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Drive one camera step."""
        outcome = self._batch.step(action)
        terminated, truncated = bool(outcome.terminated[0]), bool(outcome.truncated[0])
        return self._batch.observe(0), float(outcome.reward[0]), terminated, truncated, self._info()

    def render(self) -> NDArray[np.uint8] | None:
        """(480, 640, 3) what the car sees, or None without a render mode."""
        return self._batch.picture(0) if self.render_mode else None

    def close(self) -> None:
        """End the reward function's process, if there is one."""
        self._batch.close()

    def _info(self) -> dict[str, Any]:
        arrays = self._batch.infos()
        complete = arrays.pop("_lap_s")[0]
        info = {name: values[0].item() for name, values in arrays.items()}
        if not complete:
            del info["lap_s"]
        return info


def check_render_mode(render_mode: str | None) -> None:
    """Raise `InvalidInput` for a mode that there is not."""
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise InvalidInput(f"render_mode: got {render_mode!r}; accepted: None or 'rgb_array'")
