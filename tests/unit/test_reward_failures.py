"""Every way in which a reward function can break its contract, and what is told of it."""

import os
import signal

import numpy as np
import pytest

from libs.common.reward.errors import RewardError
from libs.common.reward.limits import RewardLimits
from tests.reward_sources import LAP, SHORT, SMALL, STEP, failure_of, function, reward_of, start

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
    top = "def helper(params):\n    return 1 / (int(params['steps']) - 7)"
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
        assert "return 1 / (int(params['steps']) - 7)" in error.traceback
        assert "child.py" not in error.traceback
        assert str(error) == "reward function: line 4: raised ZeroDivisionError: division by zero"
        assert process.rewards(LAP[:1]) == [1 / (1 - 7)]


def test_the_params_of_the_failed_call_are_told_in_plain_values() -> None:
    columns = {
        "steps": np.array([1.0, 2.0, 3.0]),
        "is_offtrack": np.array([False, True, False]),
        "closest_waypoints": np.array([[3, 4], [4, 5], [5, 6]]),
        "objects_location": np.arange(12.0).reshape(3, 2, 2),
    }
    source = function("return 1 / (not params['is_offtrack'])")
    with pytest.raises(RewardError) as caught, start(source) as process:
        process.rewards(columns, cars=[7, 8, 9])
    assert caught.value.index == 1
    assert caught.value.params == {
        "steps": 2.0,
        "is_offtrack": True,
        "closest_waypoints": [4, 5],
        "objects_location": [(4.0, 5.0), (6.0, 7.0)],
    }
    assert type(caught.value.params["is_offtrack"]) is bool


def test_what_is_told_has_bounds() -> None:
    name = "E" * 100_000
    line = "x = 1" + " " * 100_000
    error = failure_of(
        function(f"{line}; raise {name}('m' * 10**6)", f"class {name}(Exception): pass")
    )
    assert error.kind == "raised"
    assert len(error.reason) < 1100
    assert len(error.traceback) <= 10_000


def test_what_is_told_can_be_sent_on_whatever_is_in_it() -> None:
    error = failure_of(function("print(chr(0xd800))\nraise ValueError(chr(0xd800))"))
    assert (error.reason + error.traceback).encode()
    assert error.reason == "raised ValueError: ?"


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
    assert "took longer than 0.2 s" in error.reason
    assert error.line in (2, 3)
    assert error.index == 0


def test_a_top_level_that_never_ends_is_ended() -> None:
    error = failure_of("while True:\n    sum(range(100))", RewardLimits(load_s=0.3))
    assert error.kind == "timeout"


@pytest.mark.parametrize(
    "body",
    [
        "return len(' ' * 10**9)",
        "blocks = []\nwhile True:\n    blocks.append(' ' * 10**7)",
        "params['kept'] = [0] * 10**6\nwhile True:\n    params['kept'] *= 2",
        "import numpy\nreturn numpy.ones(10**9).sum()",
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
