"""Engine coach through the whole stack: rl-coach learns from the simulator, and others go on."""

from pathlib import Path

import pytest
import yaml

from libs.common.events import (
    CheckpointSaved,
    IterationEnded,
    RunEnded,
)
from tests.e2e.conftest import starter_with
from tests.e2e.embedded import EmbeddedStack
from tests.e2e.test_recovery import assert_nothing_lost_or_doubled

BY_EPISODES = {"preset": "deepracer", "num_episodes_between_training": 4, "num_epochs": 2}


def set_run(folder: Path, **changes: object) -> None:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changes))


@pytest.mark.slow
@pytest.mark.timeout(900)  # it may have to install rl-coach first
@pytest.mark.usefixtures("coach_python")
def test_rl_coach_trains_a_car_and_our_learner_goes_on_from_it(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    folder = starter_with(tmp_path / "coach", {"max_iterations": 3}, cars=4, **BY_EPISODES)
    set_run(folder, engine="coach")
    run_id = stack.start(folder, "--name", "coach-1")
    run = stack.wait_for_end(run_id)
    assert (run["status"], run["spec"]["engine"]) == ("finished", "coach"), run["reason"]

    events = stack.wait_for_journal(run_id, RunEnded)
    ended = [event for event in events if isinstance(event, IterationEnded)]
    assert [event.iteration for event in ended] == [0, 1, 2]
    for event in ended:
        assert len(event.losses) == 2
        assert event.losses[0].entropy > 0
        assert event.env_steps >= len(event.episodes) >= 4
    saved = [event.checkpoint for event in events if isinstance(event, CheckpointSaved)]
    assert saved[-1].name == f"3_Step-{ended[-1].env_steps}.ckpt"
    assert saved[-1].policy.uri.endswith("model_3.pb")
    # It completes no lap yet: the command says so by its exit code.
    told = stack.cli("evaluate", run_id, "--checkpoint", "3", "--trials", "1", code=1)
    assert (told["status"], told["trials"][0]["steps"] > 0) == ("ended", True)

    again = starter_with(tmp_path / "native", {"max_iterations": 1}, cars=4, **BY_EPISODES)
    set_run(again, start={"run": run_id, "checkpoint": saved[-1].number})
    assert stack.wait_for_end(stack.start(again, "--name", "native-1"))["status"] == "finished"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("coach_python")
def test_a_run_survives_the_death_of_rl_coach(stack: EmbeddedStack, tmp_path: Path) -> None:
    folder = starter_with(tmp_path / "killed", {"max_iterations": 4}, cars=4, **BY_EPISODES)
    set_run(folder, engine="coach")
    run_id = stack.start(folder, "--name", "coach-killed")
    stack.wait_for_checkpoint(run_id)
    stack.kill("learner")
    run = stack.wait_for_end(run_id)
    assert (run["status"], run["attempt"]) == ("finished", 2), run["reason"]
    assert "4 iterations" in run["reason"]
    assert_nothing_lost_or_doubled(stack, run_id)
