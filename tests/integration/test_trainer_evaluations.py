"""Evaluations that are asked for over REST, and what simulators tell of them."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from libs.common.bus import Bus
from libs.common.events import (
    EvaluatePolicy,
    EvaluationEnded,
    EvaluationFailed,
    Event,
    TrialResult,
)
from tests.servers import NatsServer, S3Server
from tests.trainer_process import TrainerProcess, lone_trainer, run_folder, wait_for_status

Stack = tuple[TrainerProcess, NatsServer]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[Stack]:
    """One trainer and its bus for all tests of this module."""
    with lone_trainer(tmp_path_factory.mktemp("trainer"), s3_server) as stack:
        yield stack


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the trainer."""
    with stack[0].client() as client:
        yield client


@pytest.fixture
def simulator(stack: Stack) -> "Simulator":
    """What a simulator does on the bus."""
    return Simulator(stack[1].url)


class Simulator:
    """Takes and tells one thing at a time, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    def take_command(self) -> EvaluatePolicy:
        """The next evaluation that is to be driven."""
        return asyncio.run(self._take_command())

    def tell(self, event: Event) -> None:
        """Publish what came of one."""
        asyncio.run(self._tell(event))

    async def _take_command(self) -> EvaluatePolicy:
        asked: asyncio.Queue[EvaluatePolicy] = asyncio.Queue()
        bus = await Bus.connect(self._url, "simulator", "test")
        await bus.subscribe(EvaluatePolicy, asked.put, durable="evaluations")
        async with asyncio.timeout(10):
            command = await asked.get()
        await bus.drain(2.0)
        await bus.close()
        return command

    async def _tell(self, event: Event) -> None:
        bus = await Bus.connect(self._url, "simulator", "test")
        await bus.publish(event)
        await bus.close()


def ended_run(api: httpx.Client, notes: str = "finish") -> str:
    """The name of a run that has ended."""
    name = f"run-{uuid4().hex[:8]}"
    files = run_folder(**{"run.yaml": f"track: oval\nnotes: {notes}\n"})
    api.post("/runs", json={"files": files, "name": name}).raise_for_status()
    wait_for_status(api, name, "finished", "failed")
    return name


def ended(evaluation_id: str, run_id: str) -> EvaluationEnded:
    good = TrialResult(trial=0, status="lap_complete", progress_pct=100, steps=90, lap_s=9.5)
    bad = TrialResult(trial=1, status="off_track", progress_pct=40, steps=30)
    return EvaluationEnded(
        run_id=run_id,
        evaluation_id=evaluation_id,
        checkpoint="1_Step-100.ckpt",
        track="loop",
        trials=(good, bad),
    )


def settled(api: httpx.Client, pending: dict[str, Any]) -> dict[str, Any]:
    """The evaluation as soon as it is pending no more."""
    path = f"/runs/{pending['run']}/evaluations/{pending['id']}"
    return wait_for_status(api, path, "ended", "failed")


def test_an_evaluation_is_asked_for_and_its_result_is_kept(
    api: httpx.Client, simulator: Simulator
) -> None:
    run = ended_run(api)
    body = {"checkpoint": 1, "trials": 2, "track": "loop"}
    answer = api.post(f"/runs/{run}/evaluations", json=body)
    assert answer.status_code == 202, answer.text
    pending = answer.json()
    assert (pending["status"], pending["checkpoint"]) == ("pending", "1_Step-100.ckpt")
    command = simulator.take_command()
    assert command.evaluation_id == pending["id"] == pending["evaluation_id"]
    assert (command.trials, command.track.name) == (2, "loop")
    assert command.policy.uri.endswith("model_1.pb")

    simulator.tell(ended("nobody-asked", run))
    simulator.tell(ended(pending["id"], run))
    result = settled(api, pending)
    assert (result["status"], result["completed"]) == ("ended", 1)
    assert [trial["lap_s"] for trial in result["trials"]] == [9.5, None]
    items = api.get(f"/runs/{run}/evaluations").json()["items"]
    assert items == [result]
    api.delete(f"/runs/{run}").raise_for_status()
    gone = api.get(f"/runs/{run}/evaluations/{pending['id']}")
    assert gone.status_code == 404


def test_an_evaluation_that_could_not_be_driven_has_failed(
    api: httpx.Client, simulator: Simulator
) -> None:
    run = ended_run(api)
    pending = api.post(f"/runs/{run}/evaluations", json={}).json()
    assert (pending["trials_asked"], pending["checkpoint"]) == (5, "2_Step-200.ckpt")
    reason = "the policy's file can't be read"
    simulator.tell(
        EvaluationFailed(
            run_id=run,
            evaluation_id=pending["id"],
            checkpoint=pending["checkpoint"],
            reason=reason,
        )
    )
    result = settled(api, pending)
    assert (result["status"], result["reason"]) == ("failed", reason)


def test_a_checkpoint_races_against_those_of_other_runs(
    api: httpx.Client, simulator: Simulator
) -> None:
    one, other = ended_run(api), ended_run(api)
    body = {"rules": "race", "opponents": [{"run": other, "checkpoint": "last"}]}
    pending = api.post(f"/runs/{one}/evaluations", json=body).json()
    while (command := simulator.take_command()).evaluation_id != pending["id"]:
        pass  # what other tests have asked for
    assert (command.rules, command.race.type) == ("race", "head_to_model")
    [opponent] = command.opponents
    assert opponent.policy.uri.endswith(".pb")
    assert other in opponent.policy.uri
    body = {"opponents": [{"run": "nobody"}]}
    assert api.post(f"/runs/{one}/evaluations", json=body).status_code == 404


def test_evaluations_of_what_there_is_not_are_refused(api: httpx.Client) -> None:
    one, none = ended_run(api), ended_run(api, "refuse")

    def refused(run: str, body: dict[str, object]) -> tuple[int, str]:
        answer = api.post(f"/runs/{run}/evaluations", json=body)
        return answer.status_code, answer.json()["detail"]

    assert refused(one, {"checkpoint": 7}) == (
        422,
        f"run {one!r} has no checkpoint 7; accepted: best, last, 1, 2",
    )
    for body in ({"track": "nowhere"}, {"checkpoint": "worst"}, {"trials": 0}, {"colour": 1}):
        assert refused(one, body)[0] == 422
    assert refused("nobody", {})[0] == 404
    assert refused(none, {}) == (409, f"run {none!r} has no checkpoint yet")
    assert api.get(f"/runs/{one}/evaluations/none").status_code == 404


def test_what_checkpoints_scored_and_who_leads(api: httpx.Client, simulator: Simulator) -> None:
    run = ended_run(api)
    pending = api.post(f"/runs/{run}/evaluations", json={"checkpoint": 1, "track": "loop"}).json()
    simulator.take_command()
    simulator.tell(ended(f"{run}.1.checkpoint-1", run))  # as the learner asks for them
    simulator.tell(ended(pending["id"], run))
    settled(api, pending)
    scores = api.get(f"/models/{run}").json()["scores"]
    assert [(each["asked"], each["completed"], each["best_lap_s"]) for each in scores] == [
        (False, 1, 9.5),
        (True, 1, 9.5),
    ]
    [board] = [each for each in api.get("/races").json()["items"] if each["leader"] == run]
    assert (board["board"]["track"], board["board"]["rules"]) == ("loop", "clean")
    shown = api.get(f"/races/{board['board']['id']}", params={"by": "average_lap"}).json()
    assert [(place["run"], place["position"]) for place in shown["places"]] == [(run, 1)]
    refused = api.get(f"/races/{board['board']['id']}", params={"by": "luck"})
    assert refused.status_code == 422
    assert "luck" in refused.text
    assert api.get("/races/none").status_code == 404


def test_lineage_and_differences_of_a_clone(api: httpx.Client) -> None:
    parent = ended_run(api)
    body = {"name": f"{parent}-2", "hyperparameters": {"lr": 0.0001}}
    child = api.post(f"/runs/{parent}/clone", json=body).json()["id"]
    lineage = api.get(f"/models/{parent}/lineage").json()
    assert [(each["run"], each["relation"]) for each in lineage["relatives"]] == [
        (parent, "self"),
        (child, "descendant"),
    ]
    [descent] = lineage["descents"]
    assert (descent["parent"], descent["child"]) == (parent, child)
    assert "hyperparameters.lr" in [each["setting"] for each in descent["differences"]]
    found = api.get("/differences", params={"run": [parent, child]}).json()
    assert {"start.run", "hyperparameters.lr"} <= {e["setting"] for e in found["differences"]}
    assert api.get("/differences", params={"run": [parent]}).status_code == 422


def test_models_come_in_pages(api: httpx.Client) -> None:
    names = {ended_run(api) for _ in range(3)}
    found: list[str] = []
    cursor = None
    while True:
        page = api.get("/models", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        found += [each["run"] for each in page.json()["items"]]
        if (cursor := page.json()["next"]) is None:
            break
    assert names <= set(found)
    assert len(found) == len(set(found))
    [name] = list(names)[:1]
    assert [e["run"] for e in api.get("/models", params={"name": name}).json()["items"]] == [name]
