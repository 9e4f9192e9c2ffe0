"""The reward function's child process: what it answers, and how it ends."""

import os
import subprocess
import sys
import threading

import numpy as np
import psutil
import pytest

from libs.common.reward.process import RewardProcess
from tests.reward_sources import STEP, function, reward_of, start

# What it answers


def test_one_round_trip_gives_the_rewards_of_all_cars_in_order() -> None:
    with start(function("return params['speed'] * 2")) as process:
        batch = [{**STEP, "speed": speed} for speed in (1.0, 2.0, 0.1)]
        assert process.rewards(batch) == [2.0, 4.0, 0.2]
        assert process.rewards(batch[:1]) == [2.0]
        assert process.rewards([]) == []


def test_floats_arrive_to_the_last_bit() -> None:
    value = 0.1 + 0.2
    assert reward_of(function("return params['x']"), {**STEP, "x": value}) == value


def test_constants_are_sent_once_and_seen_in_every_call() -> None:
    source = function("return len(params['waypoints']) + params['track_length']")
    constants = {"waypoints": [(0.0, 0.0)] * 7, "track_length": 0.5}
    with RewardProcess(source, constants) as process:
        assert process.rewards([{}, {}]) == [7.5, 7.5]


def test_points_are_tuples_as_on_deepracer() -> None:
    body = "return float(all(isinstance(point, tuple) for point in params['waypoints']))"
    assert reward_of(function(body)) == 1.0


def test_numpy_values_in_params_arrive_as_plain_ones() -> None:
    params = {
        **STEP,
        "speed": np.float32(1.5),
        "is_left_of_center": np.bool_(True),
        "closest_waypoints": np.array([3, 4]),
    }
    body = (
        "assert params['is_left_of_center'] is True\n"
        "return params['speed'] + params['closest_waypoints'][1]"
    )
    assert reward_of(function(body), params) == 5.5


def test_params_have_deepracers_types_to_the_last_one() -> None:
    columns = {
        "steps": np.array([1.0, 2.0]),
        "is_offtrack": np.array([True, False]),
        "action": np.array([3, 0]),
        "closest_waypoints": np.array([[0, 1], [4, 5]]),
        "objects_location": np.zeros((2, 3, 2)),
        "objects_speed": np.zeros((2, 0), np.float32),
        "objects_left_of_center": [[True], [False, True]],
    }
    body = (
        "shapes = [params['steps'], params['is_offtrack'], params['action'],\n"
        "    params['closest_waypoints'], params['closest_waypoints'][0],\n"
        "    params['objects_location'], params['objects_location'][0],\n"
        "    params['objects_location'][0][0], params['objects_speed'],\n"
        "    params['objects_left_of_center'][0]]\n"
        "print([type(one).__name__ for one in shapes])\n"
        "return params['action'] + 0.5"
    )
    with start(function(body)) as process:
        assert process.rewards(columns) == [3.5, 0.5]
        first, second = process.printed.splitlines()
    assert first == second
    assert first == str(
        ["float", "bool", "int", "list", "int", "list", "tuple", "float", "list", "bool"]
    )


def test_columns_may_change_from_step_to_step() -> None:
    with start(function("return float(len(params['objects_speed']))")) as process:
        for count in (0, 3, 3, 1):
            columns = {"objects_speed": np.zeros((2, count))}
            assert process.rewards(columns) == [count, count]


def test_a_function_of_2019_reads_the_action() -> None:
    source = "import numpy as np\nfrom shapely.geometry import Point\n" + function(
        "return np.float64(params['action'] * Point(0, 0).distance(Point(0, 2)))"
    )
    with start(source) as process:
        assert process.rewards({"action": np.array([4, 1])}) == [8.0, 2.0]


def test_a_function_that_changes_its_params_changes_its_own_copy() -> None:
    body = (
        "count = len(params['waypoints'])\n"
        "params['waypoints'].clear()\n"
        "params['track_length'] = 0\n"
        "return count"
    )
    with start(function(body)) as process:
        assert process.rewards([STEP, STEP]) == process.rewards([STEP, STEP])


def test_each_car_has_globals_of_its_own() -> None:
    source = "count = 0\n" + function("global count\ncount += 1\nreturn count")
    with start(source) as process:
        assert process.rewards([STEP, STEP]) == [1, 1]
        assert process.rewards([STEP, STEP]) == [2, 2]
        assert process.rewards([STEP], cars=[1]) == [3]


def test_a_car_can_get_constants_of_its_own() -> None:
    with start(function("return float(params['is_reversed'])")) as process:
        process.set_constants({"is_reversed": True}, cars=[1])
        assert process.rewards([STEP, STEP]) == [0.0, 1.0]


def test_the_libraries_of_the_reference_can_be_imported() -> None:
    source = (
        "import bisect, collections, functools, itertools, json, math, random, statistics, time\n"
        "import typing\n"
        "import numpy as np\n"
        "import scipy.interpolate\n"
        "from scipy.spatial import distance\n"
        "from shapely.geometry import Point, Polygon\n"
    ) + function(
        "square = Polygon([(0, 0), (0, 1), (1, 1), (1, 0)])\n"
        "inside = square.contains(Point(0.5, 0.5))\n"
        "return np.float32(inside) + distance.euclidean([0, 0], [3, 4])"
    )
    assert reward_of(source) == 6.0


@pytest.mark.parametrize("result", ["np.float32(0.5)", "np.array(0.5)", "np.float64(0.5)"])
def test_numpy_numbers_are_rewards(result: str) -> None:
    assert reward_of("import numpy as np\n" + function(f"return {result}")) == 0.5


def test_a_whole_number_is_a_reward() -> None:
    assert reward_of(function("return 3")) == 3.0


def test_random_numbers_repeat_with_the_seed() -> None:
    source = "import random\nimport numpy as np\n" + function(
        "return random.random() + np.random.rand()"
    )
    rewards = []
    for seed in (1, 1, 2):
        with RewardProcess(source, {}, seed=seed) as process:
            rewards.append(process.rewards([STEP] * 3))
    assert rewards[0] == rewards[1] != rewards[2]


def test_what_is_printed_is_kept_apart_and_bounded() -> None:
    with start(function("print('x' * 3000)\nreturn 1")) as process:
        assert process.rewards([STEP] * 8) == [1.0] * 8
        assert len(process.printed) == process.limits.printed_chars
        process.rewards([STEP])
        assert process.printed == "x" * 3000 + "\n"


def test_a_batch_larger_than_a_pipe_goes_through() -> None:
    batch = [{**STEP, "notes": "x" * 1000} for _ in range(1000)]
    with start(function("return len(params['notes'])")) as process:
        assert process.rewards(batch, cars=[0] * 1000) == [1000.0] * 1000


# How it ends


def test_a_closed_process_is_gone_and_can_be_closed_again() -> None:
    process = start(function("return 1"))
    pid = process.pid
    process.close()
    process.close()
    assert not process.alive
    assert not psutil.pid_exists(pid)


PARENT = """
from libs.common.reward.limits import RewardLimits
from libs.common.reward.process import RewardProcess

source = "def reward_function(params):\\n    while True: sum(range(100))"
process = RewardProcess(source, {}, limits=RewardLimits(call_s=200, batch_s=200))
print(process.pid, flush=True)
process.rewards([{}])
"""


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_the_child_dies_with_its_parent_even_in_the_middle_of_a_call() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        before_s = child.cpu_times().user
        while child.cpu_times().user < before_s + 0.2:  # until it is in the call
            os.sched_yield()
        parent.kill()
    while is_running(child.pid):
        os.sched_yield()


def test_children_of_several_threads_do_not_disturb_each_other() -> None:
    results: dict[int, list[float]] = {}

    def drive(number: int) -> None:
        with start(function(f"return {number} + params['speed']")) as process:
            results[number] = [process.rewards([STEP])[0] for _ in range(50)]

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [number + STEP["speed"]] * 50 for number in range(3)}
