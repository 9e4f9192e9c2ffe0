"""Runs of other networks and action spaces than the starter's, and one that blows up."""

import json
import math
from pathlib import Path

import pytest

from libs.common.events import EpisodeEnded, IterationEnded, RunEnded
from tests.e2e.conftest import starter_with
from tests.e2e.embedded import EmbeddedStack

GROWING_REWARD = """
calls = 0

def reward_function(params):
    global calls
    calls += 1
    return 1.0 if calls < 300 else 1e5
"""
CONTINUOUS = {
    "action_space": {
        "steering_angle": {"low": -30, "high": 30},
        "speed": {"low": 1.0, "high": 2.0},
    },
    "neural_network": "FAST",
}


def change_metadata(folder: Path, **changes: object) -> None:
    file = folder / "model_metadata.json"
    metadata = json.loads(file.read_text()) | changes
    del metadata["action_space_type"]  # as the action space is
    file.write_text(json.dumps(metadata))


@pytest.mark.slow
def test_learning_that_blows_up_ends_the_run_and_names_what_there_is_to_go_on_from(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    folder = starter_with(
        tmp_path / "wild", {"max_env_steps": 20_000}, reward_scale=1e14, updates_per_iteration=2
    )
    change_metadata(folder, neural_network="FAST")
    (folder / "reward_function.py").write_text(GROWING_REWARD)
    run = stack.wait_for_end(stack.start(folder, "--name", "wild-1"))
    assert run["status"] == "failed"
    assert "keep them finite" in run["reason"]
    assert f"the last good checkpoint is {run['last']['name']}" in run["reason"]
    again = starter_with(tmp_path / "again", {"max_iterations": 1}, updates_per_iteration=1)
    change_metadata(again, neural_network="FAST")
    with (again / "run.yaml").open("a") as file:
        file.write(f"start: {{run: wild-1, checkpoint: {run['last']['number']}}}\n")
    assert stack.wait_for_end(stack.start(again, "--name", "wild-2"))["status"] == "finished"


@pytest.mark.slow
def test_continuous_actions_are_learned_driven_and_evaluated(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    folder = starter_with(tmp_path / "any", {"max_iterations": 2}, updates_per_iteration=2)
    change_metadata(folder, **CONTINUOUS)
    run_id = stack.start(folder, "--name", "any-1")
    run = stack.wait_for_end(run_id)
    assert (run["status"], run["best"]["number"] > 0) == ("finished", True)
    events = stack.wait_for_journal(run_id, RunEnded)
    counts = [event.action_counts for event in events if isinstance(event, IterationEnded)]
    assert all(sum(each) == 2 * 2 * 16 * 8 and len(each) == 20 for each in counts)
    driven = next(event for event in events if isinstance(event, EpisodeEnded))
    columns = driven.columns
    speeds = columns.speed_mps[1:]  # row 0 is the start
    assert len(set(columns.steering_rad)) > 2
    assert 1.0 - 1e-6 <= min(speeds) <= max(speeds) <= 2.0 + 1e-6
    assert set(columns.action) == {-1}


@pytest.mark.slow
def test_sac_learns_is_evaluated_with_its_exported_policy_and_starts_another_run(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    settings = {"updates_per_iteration": 2, "warm_up_steps": 256, "replay_ratio": 0.25}
    folder = starter_with(tmp_path / "soft", {"max_iterations": 2}, **settings)
    change_metadata(folder, **CONTINUOUS, training_algorithm="sac")
    run_id = stack.start(folder, "--name", "soft-1")
    run = stack.wait_for_end(run_id)
    assert (run["status"], run["best"]["number"] > 0) == ("finished", True)
    events = stack.wait_for_journal(run_id, RunEnded)
    ended = [event for event in events if isinstance(event, IterationEnded)]
    assert [event.clip_fraction for event in ended] == [None, None]
    assert all(event.losses[0].entropy < 2 * math.log(2) + 1e-3 for event in ended)
    driven = next(event for event in events if isinstance(event, EpisodeEnded))
    speeds = driven.columns.speed_mps[1:]
    assert 1.0 - 1e-6 <= min(speeds) <= max(speeds) <= 2.0 + 1e-6
    again = starter_with(tmp_path / "softer", {"max_iterations": 1}, **settings)
    change_metadata(again, **CONTINUOUS, training_algorithm="sac")
    with (again / "run.yaml").open("a") as file:
        file.write("start: {run: soft-1, checkpoint: last}\n")
    assert stack.wait_for_end(stack.start(again, "--name", "soft-2"))["status"] == "finished"
