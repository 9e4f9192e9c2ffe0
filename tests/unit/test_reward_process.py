"""The reward function's child process: what it answers, and every way in which it can fail."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from libs.common.reward.errors import RewardError
from libs.common.reward.limits import RewardLimits
from libs.common.reward.process import RewardProcess
from libs.common.reward.samples import sample_constants, sample_lap

LAP = sample_lap()
STEP = LAP[0]
SHORT = RewardLimits(call_s=0.3, batch_s=1.0)
SMALL = RewardLimits(memory_bytes=400 * 2**20, call_s=30, batch_s=60)


def function(body: str, top: str = "") -> str:
    """Source of a reward function; `body` begins on line 2."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"def reward_function(params):\n{lines}\n{top}\n"


def start(source: str, limits: RewardLimits | None = None) -> RewardProcess:
    return RewardProcess(source, sample_constants(), limits=limits)


def reward_of(source: str, params: dict[str, Any] = STEP) -> float:
    with start(source) as process:
        return process.rewards([params])[0]


def failure_of(source: str, limits: RewardLimits | None = None) -> RewardError:
    with pytest.raises(RewardError) as caught, start(source, limits) as process:
        process.rewards([STEP])
    return caught.value


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


# What it refuses to load


@pytest.mark.parametrize(
    ("source", "reason", "line"),
    [
        ("", "defines no function reward_function(params)", None),
        ("def reward(params):\n    return 1", "defines no function", None),
        ("reward_function = 3", "defines no function", None),
        ("x = 1\ndef reward_function(:\n    pass", "SyntaxError: invalid syntax", 2),
        ("def reward_function(params):\nreturn 1", "IndentationError: expected an indented", 2),
        ("x = 1\n1 / 0", "ZeroDivisionError: division by zero", 2),
        ("def reward_function():\n    return 1", "got reward_function(); accepted", 1),
        ("def reward_function(a, b):\n    return 1", "got reward_function(a, b); accepted", 1),
        ("import os", "can't import 'os'; accepted: bisect, collections", 1),
        ("import math\nfrom subprocess import run", "can't import 'subprocess'", 2),
        ("import libs.common.errors", "can't import 'libs.common.errors'", 1),
        ("from . import x", "can't import ''", 1),
        ("raise SystemExit", "SystemExit", 1),
        ("eval('1')", "NameError: eval() is not available to a reward function", 1),
        ("\0", "source code", None),
    ],
)
def test_a_source_that_does_not_load_is_refused_with_its_line(
    source: str, reason: str, line: int | None
) -> None:
    error = failure_of(source)
    assert error.kind == "load"
    assert reason in error.reason
    assert error.line == line
    assert error.status_code == 422


def test_one_argument_and_defaults_are_fine() -> None:
    assert reward_of("def reward_function(params, scale=2):\n    return scale") == 2
    assert reward_of("def reward_function(*args):\n    return len(args)") == 1


# What ends a call


def test_an_exception_comes_with_line_traceback_params_and_index() -> None:
    body = "return helper(params)"
    top = "def helper(params):\n    return 1 / (params['steps'] - 7)"
    with start(function(body, top)) as process:
        with pytest.raises(RewardError) as caught:
            process.rewards(LAP[:10])
        error = caught.value
        assert error.kind == "raised"
        assert error.reason == "raised ZeroDivisionError: division by zero"
        assert error.line == 4
        assert error.index == 6
        assert error.params["steps"] == 7
        assert 'File "reward_function.py", line 2, in reward_function' in error.traceback
        assert "return 1 / (params['steps'] - 7)" in error.traceback
        assert "child.py" not in error.traceback
        assert str(error) == "reward function: line 4: raised ZeroDivisionError: division by zero"
        assert process.rewards(LAP[:1]) == [1 / (1 - 7)]


def test_the_line_is_the_users_where_a_library_raised() -> None:
    source = "import numpy as np\n" + function("x = 1\nreturn np.linalg.inv(np.zeros((2, 2)))")
    error = failure_of(source)
    assert "Singular matrix" in error.reason
    assert error.line == 4
    assert "numpy" not in error.traceback.replace("np.", "")


@pytest.mark.parametrize(
    ("result", "kind", "words"),
    [
        ("'fast'", "not_a_number", "returned 'fast' (str); accepted: a number"),
        ("None", "not_a_number", "returned None (NoneType); accepted: a number"),
        ("True", "not_a_number", "returned True (bool); accepted: a number"),
        ("[1.0]", "not_a_number", "returned [1.0] (list); accepted: a number"),
        ("1j", "not_a_number", "returned 1j (complex); accepted: a number"),
        ("'x' * 10**6", "not_a_number", "returned 'xxx"),
        ("float('nan')", "not_finite", "returned nan; accepted: a finite number"),
        ("float('inf')", "not_finite", "returned inf; accepted: a finite number"),
        ("100000.1", "out_of_range", "returned 100000; accepted: -100000 to 100000"),
        ("-1e6", "out_of_range", "returned -1e+06; accepted: -100000 to 100000"),
        ("10**400", "raised", "OverflowError"),
    ],
)
def test_a_result_that_is_no_reward_is_refused(result: str, kind: str, words: str) -> None:
    error = failure_of(function(f"return {result}"))
    assert error.kind == kind
    assert words in error.reason
    assert len(error.reason) < 300
    assert error.index == 0
    assert error.params == STEP


def test_the_largest_reward_is_accepted() -> None:
    assert reward_of(function("return -1e5")) == -1e5


@pytest.mark.parametrize(
    "body",
    ["while True:\n    sum(range(100))", "import time\ntime.sleep(1000)"],
    ids=["computes", "sleeps"],
)
def test_a_call_that_takes_too_long_is_ended_with_its_line(body: str) -> None:
    error = failure_of(function(body), SHORT)
    assert error.kind == "timeout"
    assert "took longer than 0.3 s" in error.reason
    assert error.line in (2, 3)
    assert error.index == 0


def test_a_call_that_catches_everything_is_ended_from_outside() -> None:
    body = (
        "while True:\n    try:\n        while True: sum(range(100))\n"
        "    except BaseException:\n        pass"
    )
    error = failure_of(function(body), SHORT)
    assert error.kind == "timeout"
    assert "had to be ended" in error.reason


def test_a_top_level_that_never_ends_is_ended() -> None:
    error = failure_of("while True:\n    sum(range(100))", RewardLimits(load_s=0.3))
    assert error.kind == "timeout"


@pytest.mark.parametrize(
    "body",
    [
        "return len(' ' * 10**9)",
        "blocks = []\nwhile True:\n    blocks.append(' ' * 10**7)",
        "params['kept'] = [0] * 10**6\nwhile True:\n    params['kept'] *= 2",
    ],
)
def test_a_call_that_eats_memory_is_ended(body: str) -> None:
    error = failure_of(function(body), SMALL)
    assert error.kind == "memory"
    assert error.line is not None


def test_recursion_without_end_is_an_exception_with_a_short_traceback() -> None:
    error = failure_of(function("return reward_function(params)"))
    assert "RecursionError" in error.reason
    assert len(error.traceback) < 4000


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("random._os._exit(3)", "exit code 3"),
        ("random._os.abort()", "signal SIGABRT"),
    ],
)
def test_a_child_that_ends_by_itself_is_told_of(body: str, how: str) -> None:
    error = failure_of("import random\n" + function(body))
    assert error.kind == "died"
    assert how in error.reason


def test_a_child_that_is_killed_from_outside_is_told_of() -> None:
    with start(function("return 1")) as process:
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(RewardError) as caught:
            process.rewards([STEP])
        assert caught.value.kind == "died"
        with pytest.raises(RewardError, match="not running"):
            process.rewards([STEP])


def test_an_exception_that_hangs_when_it_is_shown_is_ended() -> None:
    source = (
        "class Bad(Exception):\n    def __str__(self):\n        while True: sum(range(100))\n"
    ) + function("raise Bad")
    assert failure_of(source, SHORT).kind in ("timeout", "died")


# The walls


def target(tmp_path: Path) -> str:
    return str(tmp_path / "made-by-user-code")


@pytest.mark.parametrize(
    "body",
    [
        "random._os.system('touch {target}')",
        "random._os.mkdir('{target}')",
        "random._os.open('{target}', random._os.O_CREAT | random._os.O_WRONLY)",
        "random._os.fork()",
        "random._os.kill(random._os.getppid(), 9)",
        "random._os.listdir('/')",
        "random._os.execv('/bin/sh', ['sh', '-c', 'touch {target}'])",
        "random._os.posix_spawn('/bin/sh', ['sh', '-c', 'touch {target}'], {{}})",
        "json.decoder.__builtins__['open']('/etc/passwd')",
        "json.decoder.__builtins__['open']('{target}', 'w')",
        "json.decoder.__builtins__['__import__']('socket').socket()",
        "json.decoder.__builtins__['__import__']('subprocess').run(['true'])",
        "np.loadtxt('/etc/passwd')",
        "np.save('{target}', np.zeros(3))",
        "np.zeros(3).tofile('{target}')",
        "np.ctypeslib.ctypes.CDLL(None).system(b'touch {target}')",
    ],
)
def test_files_processes_and_sockets_are_refused_by_any_way(body: str, tmp_path: Path) -> None:
    source = "import random, json\nimport numpy as np\n" + function(
        body.format(target=target(tmp_path)) + "\nreturn 1.0"
    )
    error = failure_of(source)
    # NumPy's tofile finds the user's own open().
    assert re.search(r"PermissionError: a reward function can't|NameError: open\(\)", error.reason)
    assert list(tmp_path.iterdir()) == []


def test_the_kernel_refuses_to_grow_a_file_even_in_its_own_folder() -> None:
    with start(function("return 1")) as process:
        limits = {
            name: psutil.Process(process.pid).rlimit(getattr(psutil, name))
            for name in ("RLIMIT_FSIZE", "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_NOFILE")
        }
    assert limits["RLIMIT_FSIZE"] == (0, 0)
    assert limits["RLIMIT_CORE"] == (0, 0)
    assert limits["RLIMIT_AS"] == (2 * 2**30, 2 * 2**30)
    assert limits["RLIMIT_NOFILE"][0] <= 64


def test_the_child_inherits_no_environment_and_sits_in_an_empty_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DR_SECRET", "s3cret")
    with start(function("return 1")) as process:
        child = psutil.Process(process.pid)
        assert "DR_SECRET" not in child.environ()
        folder = Path(child.cwd())
        assert list(folder.iterdir()) == []
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    assert not folder.exists()


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
