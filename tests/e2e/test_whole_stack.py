"""A run through all six services, started as a user starts it."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.common.events import (
    CheckpointSaved,
    EpisodeEnded,
    IterationEnded,
    LogArchived,
    LogWritten,
    Message,
    ModelPackaged,
    RunEnded,
    RunQueued,
    RunStarted,
)
from tests.e2e.conftest import starter_with
from tests.e2e.embedded import EmbeddedStack


@pytest.fixture(scope="module")
def run(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One short run that the tests of this module look at."""
    folder = starter_with(
        tmp_path_factory.mktemp("folder") / "short", {"max_iterations": 3}, updates_per_iteration=2
    )
    run_id = stack.start(folder, "--name", "short-1")
    return stack.wait_for_end(run_id)


def test_the_run_ends_by_its_limit_with_a_best_and_a_last_checkpoint(run: dict[str, Any]) -> None:
    assert (run["status"], run["outcome"]) == ("finished", "finished")
    assert "3 iterations" in run["reason"]
    assert run["last"]["number"] == 3
    assert run["best"] is not None


def wait_for_journal(stack: EmbeddedStack, run_id: str) -> list[Message]:
    """The run's journal once its last words are in it."""
    return stack.wait_for_journal(run_id, RunEnded, ModelPackaged)


def test_the_journal_tells_the_whole_run_in_order(
    stack: EmbeddedStack, run: dict[str, Any]
) -> None:
    events = wait_for_journal(stack, run["id"])
    told = [type(event) for event in events if not isinstance(event, LogWritten | EpisodeEnded)]
    milestones = [RunQueued, RunStarted, IterationEnded, CheckpointSaved, RunEnded]
    places = [told.index(milestone) for milestone in milestones]
    assert places == sorted(places)
    assert len({event.id for event in events}) == len(events)
    assert {event.service for event in events if isinstance(event, LogWritten)} >= {"trainer"}


def test_every_episode_that_the_learner_counted_is_in_the_journal_once(
    stack: EmbeddedStack, run: dict[str, Any]
) -> None:
    events = wait_for_journal(stack, run["id"])
    driven = [e.episode for e in events if isinstance(e, EpisodeEnded) and e.phase == "training"]
    counted = [n for e in events if isinstance(e, IterationEnded) for n in e.episodes]
    assert len(set(driven)) == len(driven)
    assert set(counted) <= set(driven)
    assert run["progress"]["episodes"] >= len(counted)


def test_traces_and_metrics_hold_the_same_episodes_as_the_journal(
    stack: EmbeddedStack, run: dict[str, Any]
) -> None:
    events = wait_for_journal(stack, run["id"])
    assert any(isinstance(event, LogArchived) for event in events)
    files = {file["path"] for file in stack.cli("models", run["id"])["files"]}
    assert {"training-simtrace/0-iteration.csv", "metrics/TrainingMetrics.json"} <= files
    metrics = json.loads(fetch(stack, run["id"], "metrics/TrainingMetrics.json"))
    driven = [e for e in events if isinstance(e, EpisodeEnded) and e.phase == "training"]
    trained = [row for row in metrics["metrics"] if row["phase"] == "training"]
    assert len(trained) == len(driven)
    trace = fetch(stack, run["id"], "training-simtrace/0-iteration.csv").decode()
    assert trace.startswith("episode,steps,X,Y,yaw,steer,throttle,action,reward,done,")


def test_the_store_holds_deepracers_layout(stack: EmbeddedStack, run: dict[str, Any]) -> None:
    files = {file["path"] for file in stack.cli("models", run["id"])["files"]}
    name = run["last"]["name"]
    assert files >= {
        "reward_function.py",
        "hyperparameters.json",
        "model_metadata.json",
        "model/model_metadata.json",
        "model/.coach_checkpoint",
        "model/deepracer_checkpoints.json",
        "model/model_3.pb",
        f"model/{name}.data-00000-of-00001",
        f"model/{name}.index",
        f"model/{name}.meta",
        "ip/hyperparameters.json",
    }
    listing = json.loads(fetch(stack, run["id"], "model/deepracer_checkpoints.json"))
    assert listing["last_checkpoint"]["name"] == name
    assert listing["best_checkpoint"]["name"] == run["best"]["name"]


def test_the_cars_archive_holds_the_best_policy(stack: EmbeddedStack, run: dict[str, Any]) -> None:
    wait_for_journal(stack, run["id"])
    archive = fetch(stack, run["id"], "output/model.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        policy = members.extractfile("agent/model.pb")
        assert policy is not None
        best = f"model/model_{run['best']['number']}.pb"
        assert policy.read() == fetch(stack, run["id"], best)
        assert "model_metadata.json" in members.getnames()
    assert any((stack.state / "models").rglob("*.tar.gz"))


def test_an_evaluation_drives_the_exported_policy(
    stack: EmbeddedStack, run: dict[str, Any]
) -> None:
    # After six updates the car completes no lap: the command says so by its exit code.
    told = stack.cli("evaluate", run["id"], "--trials", "3", code=1)
    assert told["status"] == "ended"
    assert [trial["trial"] for trial in told["trials"]] == [0, 1, 2]
    assert not told["completed"]


def test_every_service_beats_and_is_ready(stack: EmbeddedStack) -> None:
    beating = {
        beat["service"]: beat for beat in httpx.get(f"{api(stack)}/v1/health").json()["services"]
    }
    assert set(beating) == {
        "trainer",
        "simulator",
        "logger",
        "uploader",
        "streamer",
        "submitter",
    }


def test_a_run_with_a_name_in_use_is_refused(stack: EmbeddedStack, run: dict[str, Any]) -> None:
    refused = stack.cli("train", "models/starter", "--name", run["id"], code=1)
    assert "short-1" in json.dumps(refused)


def broken_reward(folder: Path, condition: str) -> Path:
    """The starter with a reward function that raises at its third line."""
    starter_with(folder, {"max_iterations": 3})
    (folder / "reward_function.py").write_text(
        f"def reward_function(params):\n"
        f"    if {condition}:\n"
        f"        raise KeyError('surprise')\n"
        f"    return 1.0\n"
    )
    return folder


def test_a_reward_that_raises_at_step_7_is_refused_before_the_run_starts(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    folder = broken_reward(tmp_path / "broken", "params['steps'] == 7")
    refused = stack.cli("train", str(folder), "--name", "broken-1", code=1)
    assert "step 7" in json.dumps(refused)


@pytest.mark.slow
def test_a_reward_that_raises_on_the_track_fails_its_run_and_the_next_one_is_driven(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    folder = broken_reward(
        tmp_path / "broken", "len(params['waypoints']) == 149 and params['steps'] == 5"
    )
    run = stack.wait_for_end(stack.start(folder, "--name", "broken-2"))
    assert run["outcome"] == "failed"
    assert "line 3" in run["reason"]
    assert "surprise" in run["reason"]
    sound = starter_with(tmp_path / "sound", {"max_iterations": 1}, updates_per_iteration=1)
    assert stack.wait_for_end(stack.start(sound, "--name", "sound-1"))["outcome"] == "finished"


def api(stack: EmbeddedStack) -> str:
    """The address of the REST API."""
    return f"http://127.0.0.1:{stack.processes()['trainer']['port']}"


def fetch(stack: EmbeddedStack, run_id: str, path: str) -> bytes:
    """One file of a run."""
    return httpx.get(f"{api(stack)}/v1/models/{run_id}/files/{path}").raise_for_status().content
