"""From actions to commands: what is in the action space, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.errors import InvalidInput
from services.simulator.action_space import ActionSpace

DISCRETE = ActionSpace(
    ModelMetadata.model_validate(
        {"action_space": [{"steering_angle": angle, "speed": 1.5} for angle in (-30, 0, 30)]}
    )
)
CONTINUOUS = ActionSpace(
    ModelMetadata.model_validate(
        {
            "action_space": {
                "steering_angle": {"low": -20, "high": 30},
                "speed": {"low": 1.0, "high": 3.0},
            },
            "action_space_type": "continuous",
        }
    )
)


def test_indices_become_the_commands_of_their_rows() -> None:
    orders = DISCRETE.take((2, 0), (), cars=2)
    assert orders.steering_rad == pytest.approx([math.radians(30), math.radians(-30)])
    assert orders.speed_mps.tolist() == [1.5, 1.5]
    assert orders.actions is not None
    assert orders.actions.tolist() == [2, 0]


def test_commands_of_a_continuous_space_are_taken_as_they_are() -> None:
    orders = CONTINUOUS.take((), ((0.1, 2.0), (-0.3, 1.0)), cars=2)
    assert orders.steering_rad.tolist() == [0.1, -0.3]
    assert orders.speed_mps.tolist() == [2.0, 1.0]
    assert orders.actions is None


@pytest.mark.parametrize(
    ("space", "actions", "commands", "problem"),
    [
        (DISCRETE, (0, 3), (), "car 1: got action 3; accepted: 0 to 2"),
        (DISCRETE, (-1, 0), (), "car 0: got action -1; accepted: 0 to 2"),
        (DISCRETE, (0,), (), "got 1 indices and 0 commands for 2 cars; accepted: 2 indices"),
        (DISCRETE, (), ((0.0, 1.0), (0.0, 1.0)), "accepted: 2 indices"),
        (CONTINUOUS, (0, 1), (), "got 2 indices and 0 commands for 2 cars; accepted: 2 commands"),
        (CONTINUOUS, (), ((0.0, 2.0), (0.6, 2.0)), "car 1: got steering 0.6 rad"),
        (CONTINUOUS, (), ((0.0, 4.0), (0.0, 2.0)), "car 0: got steering 0 rad and speed 4 m/s"),
        (CONTINUOUS, (), ((math.nan, 2.0), (0.0, 2.0)), "car 0: got steering nan rad"),
    ],
)
def test_what_is_out_of_the_action_space_is_refused(
    space: ActionSpace,
    actions: tuple[int, ...],
    commands: tuple[tuple[float, float], ...],
    problem: str,
) -> None:
    with pytest.raises(InvalidInput) as caught:
        space.take(actions, commands, cars=2)
    assert problem in str(caught.value)


def test_the_likeliest_action_is_taken() -> None:
    orders = DISCRETE.most_probable(np.array([[0.1, 0.2, 0.7]], np.float32))
    assert orders.actions is not None
    assert orders.actions.tolist() == [2]


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=5))
def test_means_of_any_size_become_commands_within_the_ranges(
    means: list[tuple[float, float]],
) -> None:
    orders = CONTINUOUS.most_probable(np.array(means, np.float32))
    pairs = list(zip(orders.steering_rad.tolist(), orders.speed_mps.tolist(), strict=True))
    assert np.array_equal(CONTINUOUS.take((), pairs, len(means)).steering_rad, orders.steering_rad)


def test_the_middle_of_the_outputs_is_the_middle_of_the_ranges() -> None:
    orders = CONTINUOUS.most_probable(np.zeros((1, 2), np.float32))
    assert orders.steering_rad[0] == pytest.approx(math.radians(5))
    assert orders.speed_mps[0] == pytest.approx(2.0)
