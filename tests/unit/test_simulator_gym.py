"""The Gymnasium environments: they pass its checker, and one car and many are the same cars."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import services.simulator.gym
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.errors import InvalidInput, NotFound
from libs.common.tracks import load_built_in
from services.simulator.gym import SlipstreamEnv, SlipstreamVectorEnv
from services.simulator.gym.observations import Observation

STARTER = Path(__file__).parents[2] / "models" / "starter"
CONTINUOUS = {
    "action_space": {
        "steering_angle": {"low": -20.0, "high": 30.0},
        "speed": {"low": 0.5, "high": 2.5},
    },
    "action_space_type": "continuous",
    "version": "5",
}
STARTER_ACTIONS = json.loads((STARTER / "model_metadata.json").read_text())
LOOP = load_built_in("loop")
STRAIGHT = 2  # of the starter's actions


@pytest.fixture
def make() -> Iterator[Callable[..., SlipstreamEnv]]:
    """Environments that are closed after the test."""
    made: list[gymnasium.Env[Any, Any]] = []

    def open_one(**arguments: Any) -> SlipstreamEnv:
        made.append(gymnasium.make(services.simulator.gym.ID, **arguments))
        environment = made[-1].unwrapped
        assert isinstance(environment, SlipstreamEnv)
        return environment

    yield open_one
    for environment in made:
        environment.close()


def make_many(cars: int, **arguments: Any) -> SlipstreamVectorEnv:
    environments = gymnasium.make_vec(services.simulator.gym.ID, num_envs=cars, **arguments)
    assert isinstance(environments, SlipstreamVectorEnv)
    return environments


@pytest.mark.parametrize("race", ["time_trial", "object_avoidance", "head_to_bot"])
@pytest.mark.parametrize("metadata", [None, CONTINUOUS], ids=["discrete", "continuous"])
def test_the_environment_passes_gymnasiums_checker_without_a_warning(
    make: Callable[..., SlipstreamEnv], metadata: dict[str, Any] | None, race: str
) -> None:
    check_env(make(model_metadata=metadata, type=race))


@pytest.mark.parametrize(
    "sensors",
    [
        ("STEREO_CAMERAS", "LIDAR"),
        ("LEFT_CAMERA",),
        ("FRONT_FACING_CAMERA", "SECTOR_LIDAR"),
        ("FRONT_FACING_CAMERA", "DISCRETIZED_SECTOR_LIDAR"),
    ],
)
def test_what_is_observed_follows_the_sensors_of_the_metadata(
    make: Callable[..., SlipstreamEnv], sensors: tuple[str, ...]
) -> None:
    rules = {
        "model_metadata": {**STARTER_ACTIONS, "sensor": list(sensors)},
        "type": "object_avoidance",
        "world": {"look": "championship"},
        "randomisation": {"brightness": [0.7, 1.3], "noise": [1, 9], "friction": [0.5, 1]},
    }
    check_env(environment := make(**rules))
    if len(sensors) > 1:
        assert isinstance(environment.observation_space, spaces.Dict)
        assert set(environment.observation_space) == set(sensors)
    environments = make_many(3, **rules)
    observations, _ = environments.reset(seed=[4, 5, 6])
    assert observations in environments.observation_space
    single, _ = environment.reset(seed=5)
    for measured, its in zip(as_arrays(observations), as_arrays(single), strict=True):
        assert np.array_equal(measured[1], its)
    environments.close()


def as_arrays(observation: Observation) -> list[np.ndarray]:
    return list(observation.values()) if isinstance(observation, dict) else [observation]


def test_pictures_for_people_show_the_world_that_is_asked_for_in_colour(
    make: Callable[..., SlipstreamEnv],
) -> None:
    pictures, seen = [], []
    for world in (None, {"look": "championship"}, WorldSpec(field="wood")):
        environment = make(world=world, render_mode="rgb_array")
        seen.append(as_arrays(environment.reset(seed=1)[0])[0])
        picture = environment.render()
        assert picture is not None
        assert np.ptp(picture.astype(int), axis=2).max() > 100  # the dashes are orange
        pictures.append(picture)
    for other in (1, 2):
        assert not np.array_equal(pictures[0], pictures[other])
        assert not np.array_equal(seen[0], seen[other])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"world": {"look": "nice"}}, "world: look: got 'nice'; accepted: 'plain' or"),
        ({"world": {"road": "mud"}}, "world: road: got 'mud'; accepted: 'asphalt' or"),
        ({"randomisation": {"noise": 3}}, "randomisation: noise: got 3; accepted: two numbers"),
        ({"model_metadata": {**STARTER_ACTIONS, "sensor": ["SONAR"]}}, "sensor: got 'SONAR'"),
    ],
)
def test_worlds_and_sensors_that_are_not_there_are_refused(
    make: Callable[..., SlipstreamEnv], arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        make(**arguments)


def test_it_is_found_by_the_name_of_its_module_alone() -> None:
    environment = gymnasium.make("services.simulator.gym:Slipstream-v1", max_steps=10)
    observation, _ = environment.reset(seed=1)
    assert observation in environment.observation_space
    environment.close()


def test_many_cars_see_and_return_arrays_of_their_spaces() -> None:
    environments = make_many(5)
    assert environments.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observations, infos = environments.reset(seed=3)
    assert observations in environments.observation_space
    assert observations.shape == (5, 120, 160, 1)
    results = environments.step(environments.action_space.sample())
    assert results[0] in environments.observation_space
    assert [array.dtype.kind for array in results[1:4]] == ["f", "b", "b"]
    for values in (*results[1:4], *infos.values(), *results[4].values()):
        assert values.shape == (5,)
    environments.close()


@pytest.mark.parametrize("metadata", [None, CONTINUOUS], ids=["discrete", "continuous"])
def test_many_cars_are_the_same_cars_as_one_by_one(
    make: Callable[..., SlipstreamEnv], metadata: dict[str, Any] | None
) -> None:
    seeds, rules = [11, 5, 902], {"model_metadata": metadata, "max_steps": 25}
    environments = make_many(3, **rules)
    singles = [make(**rules) for _ in seeds]
    seen, _ = environments.reset(seed=seeds)
    for car, (single, seed) in enumerate(zip(singles, seeds, strict=True)):
        assert np.array_equal(seen[car], single.reset(seed=seed)[0])
    environments.action_space.seed(0)
    over = np.zeros(3, bool)
    for _ in range(70):
        actions = environments.action_space.sample()
        seen, rewards, terminated, truncated, infos = environments.step(actions)
        for car, single in enumerate(singles):
            if over[car]:
                observation, info = single.reset()
                expected = (0.0, False, False)
            else:
                observation, *rest, info = single.step(actions[car])
                expected = tuple(rest)
            assert np.array_equal(seen[car], observation)
            assert (rewards[car], terminated[car], truncated[car]) == expected
            assert info == {name: infos[name][car] for name in info}
            assert infos["_lap_s"][car] == ("lap_s" in info)
        over = terminated | truncated
    assert infos["episode_index"].min() >= 2
    environments.close()


def test_gymnasiums_own_vector_of_single_cars_has_the_same_episodes() -> None:
    episodes = []
    for mode in ("sync", "vector_entry_point"):
        cars = gymnasium.make_vec(
            services.simulator.gym.ID, num_envs=3, vectorization_mode=mode, max_steps=20
        )
        recorded = RecordEpisodeStatistics(cars)
        recorded.reset(seed=[5, 6, 7])
        recorded.action_space.seed(1)
        for _ in range(50):
            recorded.step(recorded.action_space.sample())
        episodes.append((list(recorded.return_queue), list(recorded.length_queue)))
        recorded.close()
    assert len(episodes[0][0]) >= 6
    assert episodes[0] == episodes[1]


def test_cars_that_race_each_other_fill_their_tracks() -> None:
    with pytest.raises(InvalidInput, match="got 3 cars for tracks that 2 share"):
        make_many(3, type="head_to_model")
    environments = make_many(4, type="head_to_model", max_steps=10)
    environments.reset(seed=1)
    for _ in range(12):
        *_, infos = environments.step(np.full(4, STRAIGHT))
    assert infos["episode_index"].tolist() == [1, 1, 1, 1]
    environments.close()


def test_the_same_seed_gives_the_same_drive_however_many_cars_and_threads_there_are() -> None:
    drives = []
    for cars, threads in ((40, 1), (40, 2), (24, 3)):
        environments = make_many(cars, threads=threads, track="oval")
        random = np.random.default_rng(1)
        seen = [environments.reset(seed=list(range(cars)))[0][:24]]
        for _ in range(30):
            actions = random.integers(0, 5, 40)[:cars]
            observations, rewards, *_ = environments.step(actions)
            seen += [observations[:24], rewards[:24]]
        drives.append(seen)
        environments.close()
    for drive in drives[1:]:
        assert all(np.array_equal(*pair) for pair in zip(drives[0], drive, strict=True))


def test_other_seeds_start_elsewhere_and_the_constructors_seed_is_that_of_the_first_reset(
    make: Callable[..., SlipstreamEnv],
) -> None:
    places = [make().reset(seed=seed)[1]["progress_pct"] for seed in (1, 2)]
    wheres = [make().reset(seed=seed)[1]["x_m"] for seed in (1, 2)]
    assert places[0] == pytest.approx(places[1], abs=0.1)
    assert wheres[0] != wheres[1]
    assert make(seed=1).reset()[1]["x_m"] == wheres[0]


def test_without_a_copy_the_observations_are_one_array_that_changes() -> None:
    fresh, reused = make_many(2), make_many(2, copy=False)
    for environments, is_same in ((fresh, False), (reused, True)):
        first, _ = environments.reset(seed=1)
        second = environments.step(np.array([0, 4]))[0]
        assert np.shares_memory(first, second) is is_same
        environments.close()


def test_leaving_the_road_terminates_and_the_step_limit_truncates(
    make: Callable[..., SlipstreamEnv],
) -> None:
    environment = make(max_steps=200)
    environment.reset(seed=0)
    terminated = truncated = False
    while not terminated:
        _, reward, terminated, truncated, info = environment.step(0)
    assert (truncated, info["status"]) == (False, "off_track")
    assert reward == pytest.approx(1e-3)
    short = make(max_steps=10)
    short.reset(seed=0)
    ends = [short.step(STRAIGHT)[2:] for _ in range(10)]
    assert ends[-2][:2] == (False, False)
    assert ends[-1][:2] == (False, True)
    assert ends[-1][2]["status"] == "time_up"


def test_a_whole_lap_terminates_with_its_time(make: Callable[..., SlipstreamEnv]) -> None:
    environment = make(model_metadata=CONTINUOUS, track="oval")
    _, info = environment.reset(seed=0)
    terminated = False
    track = load_built_in("oval")
    while not terminated:
        here = track.project([[info["x_m"], info["y_m"]]])
        target = track.points_at(here.distance_m + 0.6)[0]
        gap = math.atan2(target[1] - info["y_m"], target[0] - info["x_m"]) - info["heading_rad"]
        wanted = math.degrees(math.atan2(math.sin(gap), math.cos(gap)))
        steering = np.clip((wanted - 5.0) / 25.0, -1.0, 1.0)  # of -20 to 30 degrees
        action = np.array([steering, 0.0], np.float32)
        _, _, terminated, _, info = environment.step(action)
    assert info["status"] == "lap_complete"
    assert info["lap_s"] == pytest.approx(info["steps"] / 15)


def test_a_function_a_file_and_the_built_in_reward_agree(
    make: Callable[..., SlipstreamEnv],
) -> None:
    source = (STARTER / "reward_function.py").read_text("utf-8")
    names: dict[str, Any] = {}
    exec(source, names)
    file = STARTER / "reward_function.py"
    kinds = [make(reward=reward) for reward in ("centre_line", names["reward_function"], file)]
    for environment in kinds:
        environment.reset(seed=4)
    for action in [2, 4, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]:
        rewards = {environment.step(action)[1] for environment in kinds}
        assert len(rewards) == 1


def test_a_reward_function_gets_deepracers_params_as_its_own_to_spoil(
    make: Callable[..., SlipstreamEnv],
) -> None:
    seen: list[dict[str, Any]] = []

    def reward_function(params: dict[str, Any]) -> float:
        seen.append(dict(params))
        params["waypoints"].clear()
        return 2

    environment = make(reward=reward_function, direction="clockwise")
    environment.reset(seed=0)
    rewards = [environment.step(3)[1] for _ in range(2)]
    assert rewards == [2.0, 2.0]
    assert [params["steps"] for params in seen] == [1, 2]
    assert seen[1]["steering_angle"] == pytest.approx(15)
    assert seen[1]["is_reversed"] is True
    assert seen[1]["action"] == 3


def test_a_sandboxed_reward_function_knows_which_way_each_car_drives(tmp_path: Path) -> None:
    file = tmp_path / "reward_function.py"
    file.write_text(
        "def reward_function(params):\n"
        "    return params['waypoints'][1][0] + 1000 * params['is_reversed']\n"
    )
    environments = make_many(2, reward=file, alternate_direction=True, max_steps=10)
    environments.reset(seed=0)
    actions = np.full(2, STRAIGHT)
    rewards = [environments.step(actions)[1] for _ in range(13)]
    ways = [way.waypoints[1, 0] for way in (LOOP, LOOP.reversed())]
    assert rewards[9] == pytest.approx(np.full(2, ways[0]))
    assert rewards[10].tolist() == [0.0, 0.0]
    assert rewards[11] == pytest.approx(np.full(2, ways[1] + 1000))
    environments.close()


@pytest.mark.parametrize("value", [math.nan, math.inf, -100_001, None, "1"])
def test_a_reward_that_is_no_number_is_refused(
    make: Callable[..., SlipstreamEnv], value: object
) -> None:
    environment = make(reward=lambda params: value)
    environment.reset(seed=0)
    with pytest.raises(InvalidInput, match=f"returned {value!r}; accepted: a number within"):
        environment.step(0)


def test_a_picture_for_people_is_as_large_as_deepracers_camera(
    make: Callable[..., SlipstreamEnv],
) -> None:
    environment = make(render_mode="rgb_array")
    environment.reset(seed=0)
    picture = environment.render()
    assert picture is not None
    assert (picture.shape, picture.dtype) == ((480, 640, 3), np.uint8)
    assert make().render() is None
    environments = make_many(2, render_mode="rgb_array")
    environments.reset(seed=0)
    assert [frame.shape for frame in environments.render() or ()] == [(480, 640, 3)] * 2
    environments.close()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"track": "nowhere"}, NotFound, "'nowhere'; there are .*loop"),
        ({"track": "missing.npy"}, NotFound, "missing.npy is no file"),
        ({"reward": "fastest"}, InvalidInput, "'fastest'; accepted: 'centre_line'"),
        ({"reward": "missing.py"}, InvalidInput, "'missing.py'"),
        ({"render_mode": "human"}, InvalidInput, "'human'; accepted: None or 'rgb_array'"),
        ({"max_steps": 3}, InvalidInput, "max_steps: got 3; accepted: .* from 10 to 10000"),
        ({"tyres": "soft"}, InvalidInput, "tyres"),
        ({"version": "9"}, InvalidInput, "'9'"),
        ({"model_metadata": "missing.json"}, InvalidInput, "'missing.json'"),
        ({"model_metadata": {**CONTINUOUS, "sensor": ["RADAR"]}}, InvalidInput, "'RADAR'"),
        ({"model_metadata": {"action_space": []}}, InvalidInput, "0 actions; accepted: 2 to 64"),
    ],
)
def test_what_cant_be_driven_is_refused_with_what_is_accepted(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        SlipstreamEnv(**arguments)


@pytest.mark.parametrize("cars", [0, 100_000])
def test_no_car_or_too_many_are_refused(cars: int) -> None:
    with pytest.raises(InvalidInput, match=f"got {cars}; accepted: 1 to 4096"):
        make_many(cars)


@pytest.mark.parametrize("action", [5, -1, 1.5, math.nan, "left", [1, 2]])
def test_an_action_out_of_a_discrete_space_is_refused_and_nothing_moves(
    make: Callable[..., SlipstreamEnv], action: object
) -> None:
    environment = make()
    before, _ = environment.reset(seed=0)
    with pytest.raises(InvalidInput, match="accepted: .*0 to 4"):
        environment.step(action)
    assert environment.step(STRAIGHT)[4]["steps"] == 1


@pytest.mark.parametrize("action", [[0.0, 1.5], [math.nan, 0.0], [0.0], 3, "left"])
def test_an_action_out_of_a_continuous_space_is_refused(
    make: Callable[..., SlipstreamEnv], action: object
) -> None:
    environment = make(model_metadata=CONTINUOUS)
    environment.reset(seed=0)
    with pytest.raises(InvalidInput, match="each from -1 to 1"):
        environment.step(action)


def test_continuous_actions_reach_from_bound_to_bound(
    make: Callable[..., SlipstreamEnv], tmp_path: Path
) -> None:
    commands = []
    file = tmp_path / "model_metadata.json"
    file.write_text(json.dumps(CONTINUOUS))

    def reward_function(params: dict[str, Any]) -> float:
        commands.append((params["steering_angle"], params["speed"]))
        return 0.0

    environment = make(model_metadata=file, reward=reward_function)
    environment.reset(seed=0)
    for action in ([-1, -1], [0, 0], [1, 1]):
        environment.step(np.array(action, np.float32))
    assert np.array(commands) == pytest.approx(np.array([(-20, 0.5), (5, 1.5), (30, 2.5)]))


def test_the_number_of_seeds_is_that_of_the_cars() -> None:
    environments = make_many(3)
    with pytest.raises(InvalidInput, match="got 2 seeds; accepted: one, or 3"):
        environments.reset(seed=[1, 2])
    environments.close()
