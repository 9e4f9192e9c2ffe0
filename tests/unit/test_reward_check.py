"""The trial lap that a reward function has to survive before its run is queued."""

import math
from pathlib import Path

import pytest

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.reward.check import check_reward_function
from libs.common.reward.limits import RewardLimits
from libs.common.reward.process import RewardProcess
from libs.common.reward.samples import sample_constants, sample_lap
from libs.common.tracks import load_built_in
from services.simulator.race import Race

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize(
    "file", sorted(MODELS.glob("*/reward*.py")), ids=lambda file: file.parent.name
)
def test_every_shipped_reward_function_survives_the_lap(file: Path) -> None:
    assert check_reward_function(file.read_text(), file.name) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            "def reward_function(params):\n"
            "    if params['steps'] == 7:\n"
            "        raise ValueError('seven')\n"
            "    return 1.0\n",
            "line 3: at step 7 of a trial lap it raised ValueError: seven; accepted: a finite",
        ),
        (
            "def reward_function(params):\n    return 'fast'\n",
            "line 1: at step 1 of a trial lap it returned 'fast' (str); accepted: a number",
        ),
        (
            "def reward_function(params):\n    return params['speeed']\n",
            "line 2: at step 1 of a trial lap it raised KeyError: 'speeed'; accepted",
        ),
        (
            "def reward_function(params):\n    return 1 / (params['progress'] < 100)\n",
            "line 2: at step 176 of a trial lap it raised ZeroDivisionError",
        ),
        ("def reward(params):\n    return 1.0\n", "defines no function reward_function(params)"),
        ("def reward_function(params)\n    return 1\n", "line 1: raised SyntaxError: expected ':'"),
        ("import requests\n", "line 1: raised ImportError: a reward function can't import"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_step(source: str, problem: str) -> None:
    (found,) = check_reward_function(source, "reward.py")
    assert found.startswith("reward.py: ")
    assert problem in found


AVOIDS_OBJECTS = """
import math

def reward_function(params):
    behind, ahead = params["closest_objects"]
    x, y = params["objects_location"][ahead]
    heading = math.radians(params["objects_heading"][ahead])
    near = math.hypot(x - params["x"], y - params["y"]) < 0.8 and params["object_in_camera"]
    same = params["objects_left_of_center"][ahead] == params["is_left_of_center"]
    return 1e-3 if near and same else 1.0 + math.cos(heading) + params["objects_speed"][behind]
"""


def test_a_function_that_avoids_objects_is_tried_with_objects() -> None:
    assert check_reward_function(AVOIDS_OBJECTS, objects=True) == []
    (problem,) = check_reward_function(AVOIDS_OBJECTS)
    assert "line 6: at step 1 of a trial lap it raised IndexError" in problem


def test_a_function_that_never_returns_is_told_of() -> None:
    source = "def reward_function(params):\n    while True: sum(range(100))\n"
    (found,) = check_reward_function(source, limits=RewardLimits(call_s=0.3))
    assert "took longer than 0.3 s" in found


def test_the_trial_lap_is_a_plausible_one() -> None:
    lap = sample_lap()
    waypoints = sample_constants()["waypoints"]
    assert waypoints[0] == pytest.approx(waypoints[-1])
    assert [step["steps"] for step in lap] == list(range(1, len(lap) + 1))
    assert lap[-1]["progress"] == 100
    assert any(step["is_offtrack"] for step in lap)
    assert any(step["all_wheels_on_track"] for step in lap)
    for before, after in zip(lap, lap[1:], strict=False):
        driven = math.hypot(after["x"] - before["x"], after["y"] - before["y"])
        assert driven < 0.2
        assert max(after["closest_waypoints"]) < len(waypoints)


def test_the_trial_lap_has_the_simulators_keys_and_types() -> None:
    race = Race(load_built_in("loop"), RaceSpec(), "5", seeds=[0])
    race.step([0.1], [1.5], actions=[3])
    simulated = race.reward_params()[0]
    tried = {**sample_constants(), **sample_lap()[0]}
    assert tried.keys() == simulated.keys()
    assert {key: type(value) for key, value in tried.items()} == {
        key: type(value) for key, value in simulated.items()
    }


@pytest.mark.parametrize("race_type", ["time_trial", "object_avoidance", "head_to_bot"])
def test_a_reward_function_sees_what_the_simulator_measured(race_type: str) -> None:
    race = Race(load_built_in("loop"), RaceSpec(type=race_type), "5", seeds=[0, 1])
    race.step([0.1, -0.2], [1.5, 2.0], actions=[3, 1])
    source = "def reward_function(params):\n    print(params)\n    return 1.0\n"
    with RewardProcess(source, {}) as process:
        process.rewards(race.measured_columns())
        assert process.printed.splitlines() == [repr(params) for params in race.measured_params()]
