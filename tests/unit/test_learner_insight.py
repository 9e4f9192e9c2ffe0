"""What a learner tells of its policy to people who watch: odds, ranges, and what weighs most."""

from typing import Any

import numpy as np
import pytest

from libs.common.deepracer.continuous import command_bounds, scale_actions
from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ContinuousActionSpace, ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import PolicyView
from services.trainer.learner import Decision, Learner

HEIGHT, WIDTH, CARS = 44, 48, 2
CAMERA = "FRONT_FACING_CAMERA"
DISCRETE = [
    {"steering_angle": 30, "speed": 1.0},
    {"steering_angle": 0, "speed": 2.0},
    {"steering_angle": -30, "speed": 1.0},
]
CONTINUOUS = {"steering_angle": {"low": -20, "high": 30}, "speed": {"low": 1, "high": 3}}


def learner(actions: Any, algorithm: str = "clipped_ppo") -> Learner:
    metadata = ModelMetadata.model_validate(
        {
            "action_space": actions,
            "action_space_type": "discrete" if isinstance(actions, list) else "continuous",
            "neural_network": "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
            "training_algorithm": algorithm,
            "sensor": [CAMERA],
            "version": "5",
        }
    )
    spec = RunSpec(
        name="watched",
        track="loop",
        metadata=metadata,
        hyperparameters=Hyperparameters(cars=CARS, horizon=8, policy_averaging=0.0),
        reward_function="",
    )
    return Learner(spec, height_px=HEIGHT, width_px=WIDTH)


def pictures() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {CAMERA: rng.integers(0, 255, (CARS, HEIGHT, WIDTH, 1)).astype(np.uint8)}


def told(learner: Learner, **asked: bool) -> tuple[Decision, PolicyView]:
    decision = learner.act(pictures(), tell_policy=True, **asked)
    assert decision.policy is not None
    return decision, decision.policy


def test_the_odds_of_discrete_actions_are_those_of_the_policy() -> None:
    watched = learner(DISCRETE)
    decision, policy = told(watched)
    odds = [action.probability for action in policy.actions]
    assert odds == pytest.approx(watched.exported_policy(pictures())[0].tolist(), abs=1e-6)
    assert policy.taken == decision.actions[0]
    assert [action.speed_mps for action in policy.actions] == [1.0, 2.0, 1.0]
    assert policy.actions[0].steering_rad == pytest.approx(np.radians(30))
    assert policy.saliency is None


@pytest.mark.parametrize("algorithm", ["clipped_ppo", "sac"])
def test_ranges_of_continuous_actions_are_told_as_they_are_driven(algorithm: str) -> None:
    watched = learner(CONTINUOUS, algorithm)
    decision, policy = told(watched)
    bounds = command_bounds(ContinuousActionSpace.model_validate(CONTINUOUS))
    means = scale_actions(bounds, watched.exported_policy(pictures())[:1])[0]
    assert [each.mean for each in policy.commands] == pytest.approx(means.tolist(), abs=1e-5)
    assert [each.taken for each in policy.commands] == pytest.approx(list(decision.commands[0]))
    for each in policy.commands:
        assert each.least <= each.lower < each.mean < each.upper <= each.most


def test_what_weighs_most_is_told_for_each_part_of_the_picture() -> None:
    _, policy = told(learner(DISCRETE), tell_saliency=True)
    grid = policy.saliency
    assert grid is not None
    assert (grid.rows, grid.columns) == (HEIGHT // 8, WIDTH // 8)
    assert len(grid.cells) == grid.rows * grid.columns
    assert max(grid.cells) == 255
    assert PolicyView.model_validate_json(policy.model_dump_json()) == policy


def test_watching_changes_nothing() -> None:
    one, other = learner(DISCRETE), learner(DISCRETE)
    assert one.act(pictures()).actions == told(other, tell_saliency=True)[0].actions
