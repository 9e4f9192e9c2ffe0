"""The replay: a ring that gives back what was lived, compared with a plain list of everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.architecture import SacBlueprint
from services.trainer.distributions import SquashedGaussian
from services.trainer.replay import Replay
from services.trainer.rollout import StepEnd

LIDAR = "LIDAR"
BLUEPRINT = SacBlueprint("FAST", {LIDAR: (2,)}, 2, continuous=True)


def replay_of(steps, cars):
    return Replay(steps, cars, BLUEPRINT, SquashedGaussian(2))


def live(replay, number, ends):
    """One step of all cars, recognisable in every column by its number and the car's."""
    cars = np.arange(replay.cars)
    marks = np.float32(number * 10 + cars)
    replay.see({LIDAR: np.stack([marks, -marks], axis=1)})
    replay.record_choice(np.stack([marks, marks + 0.5], axis=1))
    replay.record_outcome(marks / 7, np.array(ends, np.uint8))


def close(replay, number):
    marks = np.float32(number * 10 + np.arange(replay.cars))
    replay.see({LIDAR: np.stack([marks, -marks], axis=1)})


@settings(deadline=None, max_examples=60)
@given(
    steps=st.integers(1, 12),
    cars=st.integers(1, 3),
    lived=st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=15),
)
def test_everything_that_is_kept_comes_back_as_it_was_lived(steps, cars, lived):
    replay = replay_of(steps, cars)
    for number, ends in enumerate(lived):
        live(replay, number, ends[:cars])
    close(replay, len(lived))
    rows = max(1, steps // cars)
    expected = {
        number * 10 + car: end
        for number, ends in list(enumerate(lived))[-rows:]
        for car, end in enumerate(ends[:cars])
        if end != StepEnd.VOID
    }
    assert replay.capacity == rows * cars
    assert replay.known.size == len(expected)
    if not expected:
        return
    drawn = replay.sample(200, np.random.default_rng(0))
    for index in range(200):
        mark = int(round(float(drawn.actions[index, 0])))
        end = expected[mark]
        after = mark if end == StepEnd.TRUNCATED else mark + 10
        assert drawn.observations[LIDAR][index].tolist() == [mark, -mark]
        assert drawn.following[LIDAR][index].tolist() == [after, -after]
        assert drawn.actions[index].tolist() == [mark, mark + 0.5]
        assert drawn.rewards[index] == pytest.approx(mark / 7, rel=1e-6)
        assert drawn.lasting[index] == (end != StepEnd.TERMINAL)


def test_every_known_step_is_drawn_about_as_often():
    replay = replay_of(12, 3)
    for number in range(6):
        live(replay, number, [StepEnd.RUNNING, StepEnd.VOID, StepEnd.TERMINAL])
    close(replay, 6)
    marks = replay.sample(40_000, np.random.default_rng(0)).actions[:, 0]
    counts = np.unique(marks, return_counts=True)[1]
    assert len(counts) == 8
    assert np.all(np.abs(counts / 5000 - 1) < 0.06)


def test_what_is_seen_anew_takes_the_place_of_the_oldest_and_teaches_nothing_yet():
    replay = replay_of(2, 1)
    for number in range(3):
        live(replay, number, [StepEnd.RUNNING])
    close(replay, 3)
    assert sorted(set(replay.sample(50, np.random.default_rng(0)).actions[:, 0])) == [10, 20]
    replay.record_choice(np.zeros((1, 2), np.float32))
    assert replay.is_open
    assert replay.known.size == 2


def test_a_replay_that_was_cleared_is_empty():
    replay = replay_of(4, 1)
    live(replay, 0, [StepEnd.RUNNING])
    replay.clear()
    assert (replay.known.size, replay.is_open) == (0, False)
