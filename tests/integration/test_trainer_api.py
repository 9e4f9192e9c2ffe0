"""The trainer's REST API on a running trainer, with a real bus and a real store."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
import stamina
from httpx_sse import EventSource, ServerSentEvent, connect_sse

from libs.common.tracks import load_built_in
from tests.servers import S3Server
from tests.trainer_process import ACTIONS, TrainerProcess, lone_trainer, run_folder, wait_for_status


@pytest.fixture(scope="module")
def trainer(
    tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server
) -> Iterator[TrainerProcess]:
    """One trainer for all tests of this module; each uses run names of its own."""
    folder = tmp_path_factory.mktemp("trainer")
    with lone_trainer(folder, s3_server, DR_TRAINER_RUNS_AT_ONCE="4") as (process, _):
        yield process


@pytest.fixture
def client(trainer: TrainerProcess) -> Iterator[httpx.Client]:
    """A client of its API."""
    with trainer.client() as client:
        yield client


@pytest.fixture
def name() -> str:
    """A run name that nobody else has."""
    return f"run-{uuid4().hex[:8]}"


def queue(
    client: httpx.Client, name: str, notes: str = "finish", **fields: object
) -> dict[str, Any]:
    """Queue a sound run and return its document."""
    files = run_folder(**{"run.yaml": f"track: oval\nnotes: {notes}\n"})
    answer = client.post("/runs", json={"files": files, "name": name, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def refusal(answer: httpx.Response, status: int = 422) -> str:
    """The problem details of a refused request, as one text."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    return "\n".join(document.get("errors") or [document["detail"]])


def refused_folder(client: httpx.Client, **files: str | None) -> str:
    """What is said about a folder with these files in the place of sound ones."""
    folder = {key: text for key, text in run_folder(**files).items() if text is not None}
    return refusal(client.post("/runs", json={"files": folder}))


# -- queueing ------------------------------------------------------------------------------


def test_a_run_folder_as_json_is_queued_trained_and_ends(client: httpx.Client, name: str) -> None:
    queued = queue(client, name, priority=3, seed=11)
    assert (queued["id"], queued["name"], queued["track"]) == (name, name, "oval")
    assert (queued["priority"], queued["spec"]["seed"]) == (3, 11)
    run = wait_for_status(client, name, "finished")
    assert run["outcome"] == "finished"
    assert run["reason"] == "max_iterations 2 reached"
    assert run["attempt"] == 1
    assert run["progress"] | {"time_left_s": 0} == {
        "iteration": 2,
        "episodes": 2,
        "env_steps": 200,
        "steps_per_s": 50.0,
        "elapsed_s": 4.0,
        "completion_ratio": 0.5,
        "mean_progress_pct": 75.0,
        "best_lap_s": 19.0,
        "time_left_s": 0,
    }
    assert run["last"]["number"] == 2
    assert run["best"] == run["last"]


def test_a_run_folder_as_a_form_is_queued(client: httpx.Client, name: str) -> None:
    files = [("files", (file, text.encode())) for file, text in run_folder().items()]
    answer = client.post("/runs", files=files, data={"name": name, "priority": "2", "seed": ""})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["priority"]) == (name, 2)


def test_a_folder_in_a_form_gives_the_run_its_name(client: httpx.Client) -> None:
    files = [("files", (f"My Car/{file}", text)) for file, text in run_folder().items()]
    answer = client.post("/runs", files=files)
    assert answer.status_code == 201, answer.text
    assert answer.json()["name"].startswith("my-car-20")


def test_runs_without_a_name_get_different_ones(client: httpx.Client) -> None:
    names = {client.post("/runs", json={"files": run_folder()}).json()["name"] for _ in range(3)}
    assert len(names) == 3


def test_a_specification_is_queued_as_it_is(client: httpx.Client, name: str) -> None:
    spec = {
        "track": "loop",
        "metadata": {"action_space": ACTIONS},
        "hyperparameters": {"preset": "sprint"},
        "reward_function": run_folder()["reward_function.py"],
        "notes": "finish",
    }
    answer = client.post("/runs", json={"spec": spec, "name": name, "track": "oval"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["track"] == "oval"
    assert answer.json()["spec"]["hyperparameters"]["horizon"] == 16


def test_the_folder_lies_in_the_store_in_deepracers_layout(client: httpx.Client, name: str) -> None:
    queue(client, name)
    files = {item["path"]: item for item in client.get(f"/models/{name}").json()["files"]}
    assert set(files) >= {
        "reward_function.py",
        "model_metadata.json",
        "model/model_metadata.json",
        "hyperparameters.json",
        "ip/hyperparameters.json",
        "training_params.yaml",
    }
    metadata = client.get(f"/models/{name}/files/model/model_metadata.json")
    assert len(metadata.json()["action_space"]) == 3
    assert files["model/model_metadata.json"]["size_bytes"] == len(metadata.content)
    download = client.get(files["reward_function.py"]["url"].removeprefix("/v1"))
    assert download.text == run_folder()["reward_function.py"]


def test_two_runs_with_one_name_conflict(client: httpx.Client, name: str) -> None:
    queue(client, name)
    again = client.post("/runs", json={"files": run_folder(), "name": name})
    assert repr(name) in refusal(again, 409)


def test_the_same_idempotency_key_gives_the_same_run(client: httpx.Client) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    first = client.post("/runs", json={"files": run_folder()}, headers=key)
    again = client.post("/runs", json={"files": run_folder()}, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = client.post("/runs", json={"files": run_folder(), "seed": 4}, headers=key)
    assert first.json()["id"] in refusal(other, 409)


def test_a_refused_request_does_not_use_up_its_idempotency_key(
    client: httpx.Client, name: str
) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    refusal(client.post("/runs", json={"files": {}}, headers=key))
    queue(client, name)
    taken = {"files": run_folder(), "name": name}
    refusal(client.post("/runs", json=taken, headers=key), 409)
    fine = client.post("/runs", json={"files": run_folder()}, headers=key)
    assert fine.status_code == 201


# -- bad input -----------------------------------------------------------------------------


def test_an_empty_and_a_missing_file_are_both_named(client: httpx.Client) -> None:
    text = refused_folder(client, **{"model_metadata.json": "", "hyperparameters.json": None})
    assert "model_metadata.json: the file is empty" in text
    assert "hyperparameters.json is missing" in text


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def reward_function(params)\n    return 1.0\n", "line 1"),
        ("def other(params):\n    return 1.0\n", "reward_function"),
        ("def reward_function(params):\n    return 'fast'\n", "'fast'"),
        (
            "def reward_function(params):\n"
            "    if params['steps'] == 7:\n        raise ValueError('seven')\n"
            "    return 1.0\n",
            "seven",
        ),
    ],
    ids=["does not compile", "has no function", "returns text", "raises at step 7"],
)
def test_a_broken_reward_function_is_refused(client: httpx.Client, source: str, told: str) -> None:
    text = refused_folder(client, **{"reward_function.py": source})
    assert text.startswith("reward_function.py")
    assert told in text


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        ([], "got 0 actions"),
        ([{**ACTIONS[0], "index": 0}, {**ACTIONS[1], "index": 2}], "no action has index 1"),
        ([{**ACTIONS[0], "steering_angle": 31}, ACTIONS[1]], "got 31"),
        ([{**ACTIONS[0], "speed": 4.1}, ACTIONS[1]], "got 4.1"),
    ],
    ids=["empty", "a gap in the indices", "too much steering", "too fast"],
)
def test_a_bad_action_space_is_refused(
    client: httpx.Client, actions: list[dict[str, float]], told: str
) -> None:
    text = refused_folder(client, **{"model_metadata.json": json.dumps({"action_space": actions})})
    assert "model_metadata.json: action_space" in text
    assert told in text


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"learning_rate": 1e-3}, "unknown key 'learning_rate'"),
        ({"batch_size": 0}, "got 0"),
        ({"lr": "fast"}, "got 'fast'"),
    ],
    ids=["unknown", "batch size 0", "text for a number"],
)
def test_a_bad_hyperparameter_is_refused(
    client: httpx.Client, values: dict[str, object], told: str
) -> None:
    text = refused_folder(client, **{"hyperparameters.json": json.dumps(values)})
    assert told in text


def test_a_folder_of_2019_beyond_todays_limits_is_queued_with_a_warning(
    client: httpx.Client, name: str
) -> None:
    actions = [{**ACTIONS[0], "steering_angle": 45, "speed": 8}, ACTIONS[1]]
    files = {
        "reward.py": run_folder()["reward_function.py"],
        "model_metadata.json": json.dumps({"action_space": actions}),
        "training-parameters.env": "world_name=oval\nbatch_size=64\n",
    }
    answer = client.post("/runs", json={"files": files, "name": name, "track": "oval"})
    assert answer.status_code == 201, answer.text
    assert any("45" in warning for warning in answer.json()["warnings"])
    assert client.get(f"/runs/{name}").json()["spec"]["metadata"]["action_space"][0]["speed"] == 8


def test_an_unknown_track_is_refused_with_those_there_are(client: httpx.Client) -> None:
    text = refused_folder(client, **{"run.yaml": "track: nowhere\n"})
    assert "'nowhere'" in text
    assert "loop, oval" in text


def test_every_problem_is_named_at_once(client: httpx.Client) -> None:
    text = refused_folder(
        client,
        **{
            "reward_function.py": "def reward_function(params):\n    return None\n",
            "model_metadata.json": json.dumps({"action_space": []}),
            "hyperparameters.json": json.dumps({"batch_size": 0}),
            "run.yaml": "track: oval\nlimits: {max_hours: 1}\n",
        },
    )
    for part in ("None", "got 0 actions", "batch_size", "max_hours"):
        assert part in text


def test_what_the_learner_does_not_take_is_refused(client: httpx.Client) -> None:
    actions = [{"steering_angle": angle, "speed": 1.0} for angle in (-20, 20)]
    metadata = {"action_space": actions, "training_algorithm": "sac"}
    text = refused_folder(client, **{"model_metadata.json": json.dumps(metadata)})
    assert "training_algorithm: got 'sac'; accepted: clipped_ppo with discrete actions" in text
    text = refused_folder(
        client, **{"hyperparameters.json": json.dumps({"preset": "sprint", "batch_size": 256})}
    )
    assert "batch_size: got 256; accepted: up to 128" in text


def test_a_check_refuses_what_the_queue_would_refuse_and_queues_nothing(
    client: httpx.Client,
) -> None:
    def queued_runs() -> set[str]:
        return {run["id"] for run in client.get("/runs").json()["items"]}

    before = queued_runs()
    for text, part in (
        ("track: oval\nstart: {run: nobody}\n", "no run 'nobody'"),
        ("track: nowhere\n", "nowhere"),
    ):
        files = run_folder(**{"run.yaml": text})
        checked = client.post("/runs/check", json={"files": files})
        queued = client.post("/runs", json={"files": files})
        assert checked.status_code == queued.status_code
        assert part in checked.text
        assert checked.json()["detail"] == queued.json()["detail"]
    assert client.post("/runs/check", json={"files": run_folder()}).status_code == 200
    assert queued_runs() == before


@pytest.mark.parametrize("path", ["../reward_function.py", "/etc/passwd", "a/../../b.py"])
def test_a_path_that_climbs_out_of_the_folder_is_refused(client: httpx.Client, path: str) -> None:
    text = refused_folder(client, **{path: "x"})
    assert repr(path) in text
    form = [("files", (file, text)) for file, text in run_folder(**{path: "x"}).items()]
    assert repr(path) in refusal(client.post("/runs", files=form))


def test_malformed_json_is_refused_with_its_place(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    for body in (b'{"files": ', b"", b"[1]", b'{"files": {}, "files": {}}', b"\xff"):
        refusal(client.post("/runs", content=body, headers=headers))
    text = refusal(client.post("/runs", content=b'{"files": ', headers=headers))
    assert "line 1 column" in text
    queue_id = f"run-{uuid4().hex[:8]}"
    queue(client, queue_id)
    refusal(client.post(f"/runs/{queue_id}/stop", content=b"{", headers=headers))
    assert client.get(f"/runs/{queue_id}").json()["reason"] != "{"


def test_other_bodies_and_fields_are_refused(client: httpx.Client) -> None:
    assert "text/plain" in refusal(
        client.post("/runs", content="hi", headers={"content-type": "text/plain"})
    )
    assert "'colour'" in refusal(client.post("/runs", json={"files": {}, "colour": "red"}))
    assert '"files" or "spec"' in refusal(client.post("/runs", json={"name": "a"}))
    assert "priority" in refusal(
        client.post("/runs", files=[("files", ("a", "b"))], data={"priority": "soon"})
    )
    assert "'No Name'" in refusal(
        client.post("/runs", json={"files": run_folder(), "name": "No Name"})
    )
    broken_form = {"content-type": "multipart/form-data; boundary=x"}
    assert "form" in refusal(client.post("/runs", content=b"--y\r\n", headers=broken_form))


def test_an_upload_of_50_megabytes_is_refused_before_it_is_read(client: httpx.Client) -> None:
    big = b"x" * 50_000_000
    assert "8,388,608" in refusal(client.post("/runs", files=[("files", ("reward.py", big))]), 413)
    pieces = (big[i : i + 65536] for i in range(0, len(big), 65536))  # of no declared length
    as_json = {"content-type": "application/json"}
    assert "8,388,608" in refusal(client.post("/runs", content=pieces, headers=as_json), 413)
    assert client.get("/runs").status_code == 200


def test_a_file_over_its_own_limit_is_refused(client: httpx.Client) -> None:
    files = run_folder(**{"reward_function.py": "#" * 2_000_000})
    assert "reward_function.py" in refusal(client.post("/runs", json={"files": files}), 413)


# -- listing and showing -------------------------------------------------------------------


def test_runs_are_listed_in_pages_the_newest_first(client: httpx.Client) -> None:
    names = [queue(client, f"run-{uuid4().hex[:8]}")["id"] for _ in range(3)]
    seen: list[str] = []
    cursor = None
    while len(seen) < 3:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = client.get("/runs", params=query).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert seen == names[::-1]
    everything = client.get("/runs", params={"limit": 200}).json()
    assert everything["next"] is None


def test_runs_are_filtered_by_status_and_track(client: httpx.Client, name: str) -> None:
    queue(client, name)
    wait_for_status(client, name, "finished")
    query = {"status": "finished", "track": "oval", "limit": 200}
    found = client.get("/runs", params=query).json()["items"]
    assert name in [item["id"] for item in found]
    assert {item["status"] for item in found} == {"finished"}
    assert client.get("/runs", params={"track": "hairpins"}).json()["items"] == []


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 201}, {"cursor": "nonsense"}, {"cursor": "WzEsMl0"}, {"status": "x"}],
)
def test_bad_queries_are_refused(client: httpx.Client, query: dict[str, object]) -> None:
    refusal(client.get("/runs", params=query))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/runs/none"),
        ("GET", "/runs/none/events"),
        ("POST", "/runs/none/stop"),
        ("POST", "/runs/none/resume"),
        ("DELETE", "/runs/none"),
        ("GET", "/runs/none/evaluations"),
        ("GET", "/models/none"),
        ("GET", "/models/none/files/a"),
        ("GET", "/tracks/none"),
    ],
)
def test_what_does_not_exist_is_not_found(client: httpx.Client, method: str, path: str) -> None:
    assert "'none'" in refusal(client.request(method, path), 404)


# -- following -----------------------------------------------------------------------------


def test_following_replays_a_run_and_ends_with_it(client: httpx.Client, name: str) -> None:
    queue(client, name)
    with connect_sse(client, "GET", f"/runs/{name}/events") as source:
        live = [event for event in source.iter_sse() if event.data]
    kinds = [event.event for event in live if "log.written" not in event.event]
    assert kinds == [
        "evt.run.queued.v1",
        "evt.run.started.v1",
        *(["evt.episode.ended.v1", "evt.iteration.ended.v1", "evt.checkpoint.saved.v1"] * 2),
        "evt.run.ended.v1",
    ]
    assert client.get(f"/runs/{name}").json()["status"] == "finished"
    episode = next(event for event in live if event.event == "evt.episode.ended.v1")
    assert "columns" not in episode.json()
    seen = next(event for event in live if event.event == "evt.iteration.ended.v1")
    with connect_sse(
        client,
        "GET",
        f"/runs/{name}/events",
        params={"columns": True},
        headers={"Last-Event-ID": seen.id},
    ) as source:
        rest = [event for event in source.iter_sse() if event.data]
    assert [event.id for event in rest[: len(live) - live.index(seen) - 1]] == [
        event.id for event in live[live.index(seen) + 1 :]
    ]
    again = next(event for event in rest if event.event == "evt.episode.ended.v1")
    assert again.json()["columns"]["x_m"] == [0.0]


def test_a_last_event_id_that_is_no_number_is_refused(client: httpx.Client, name: str) -> None:
    queue(client, name)
    headers = {"Last-Event-ID": "yesterday"}
    assert "yesterday" in refusal(client.get(f"/runs/{name}/events", headers=headers))


# -- stop, resume, clone, delete -----------------------------------------------------------


def test_a_running_run_is_stopped_with_a_last_checkpoint_and_resumed_from_it(
    client: httpx.Client, name: str
) -> None:
    queue(client, name, notes="wait", priority=500)
    with connect_sse(client, "GET", f"/runs/{name}/events") as source:
        for event in source.iter_sse():
            if event.event == "evt.checkpoint.saved.v1":
                break
    assert "running" in refusal(client.post(f"/runs/{name}/resume"), 409)
    assert "running" in refusal(client.delete(f"/runs/{name}"), 409)
    client.post(f"/runs/{name}/stop", json={"reason": "seen enough"}).raise_for_status()
    run = wait_for_status(client, name, "stopped")
    assert run["reason"] == "seen enough"
    resumed = client.post(f"/runs/{name}/resume")
    assert resumed.json()["status"] in ("queued", "running")
    with connect_sse(client, "GET", f"/runs/{name}/events") as source:
        starts = [e.json() for e in _until_checkpoint(source, 2) if "run.started" in e.event]
    assert starts[-1]["attempt"] == 2
    assert starts[-1]["resumed_from"]["number"] == run["last"]["number"]
    client.post(f"/runs/{name}/stop").raise_for_status()
    assert wait_for_status(client, name, "stopped")["attempt"] == 2


def _until_checkpoint(source: EventSource, number: int) -> Iterator[ServerSentEvent]:
    for event in source.iter_sse():
        yield event
        if "checkpoint.saved" in event.event and event.json()["checkpoint"]["number"] == number:
            return


def test_a_clone_begins_with_the_best_checkpoint(client: httpx.Client, name: str) -> None:
    queue(client, name)
    best = wait_for_status(client, name, "finished")["best"]
    body = {"track": "loop", "seed": 7, "hyperparameters": {"lr": 0.0001}}
    clone = client.post(f"/runs/{name}/clone", json=body)
    assert clone.status_code == 201, clone.text
    spec = clone.json()["spec"]
    assert (spec["track"], spec["seed"], spec["hyperparameters"]["lr"]) == ("loop", 7, 0.0001)
    assert spec["hyperparameters"]["horizon"] == 16
    assert spec["start"] == {"run": name, "checkpoint": "best"}
    assert best is not None
    bad = {"hyperparameters": {"lr": "x"}, "action_space": "y", "name": f"{name}-2"}
    told = refusal(client.post(f"/runs/{name}/clone", json=bad))
    assert "'x'" in told
    assert "'y'" in told


def test_a_clone_may_begin_with_another_checkpoint_and_have_other_actions(
    client: httpx.Client, name: str
) -> None:
    queue(client, name)
    last = wait_for_status(client, name, "finished")["last"]["number"]
    body = {"checkpoint": last, "action_space": ACTIONS[:2]}
    clone = client.post(f"/runs/{name}/clone", json=body)
    assert clone.status_code == 201, clone.text
    assert clone.json()["spec"]["start"] == {"run": name, "checkpoint": last}
    assert "each of 2 actions gets the nearest of 3" in clone.json()["warnings"][-1]
    assert "no checkpoint 99" in refusal(
        client.post(f"/runs/{name}/clone", json={"checkpoint": 99})
    )


def test_a_start_from_a_run_without_checkpoints_is_refused(client: httpx.Client, name: str) -> None:
    text = refused_folder(client, **{"run.yaml": "track: oval\nstart: {run: nobody}\n"})
    assert "'nobody'" in text
    queue(client, name, notes="refuse")
    text = refused_folder(client, **{"run.yaml": f"track: oval\nstart: {{run: {name}}}\n"})
    assert "no checkpoint" in text
    other = json.dumps({"action_space": ACTIONS, "neural_network": "FAST"})
    files = {"run.yaml": f"track: oval\nstart: {{run: {name}}}\n", "model_metadata.json": other}
    assert "the neural_network of run" in refused_folder(client, **files)
    wait_for_status(client, name, "failed")
    assert "no checkpoint" in refusal(client.post(f"/runs/{name}/clone", json={}), 409)


def test_a_deleted_run_is_gone_and_its_name_is_free(client: httpx.Client, name: str) -> None:
    queue(client, name)
    wait_for_status(client, name, "finished")
    assert client.delete(f"/runs/{name}").status_code == 204
    refusal(client.get(f"/runs/{name}"), 404)
    queue(client, name)
    run = wait_for_status(client, name, "finished")
    assert run["progress"]["iteration"] == 2
    with connect_sse(client, "GET", f"/runs/{name}/events") as source:
        kinds = [event.event for event in source.iter_sse()]
    assert kinds.count("evt.run.queued.v1") == 1
    assert "evt.run.deleted.v1" not in kinds


# -- tracks, models, health ----------------------------------------------------------------


def test_tracks_are_listed_imported_and_shown(client: httpx.Client) -> None:
    name = f"my_oval-{uuid4().hex[:6]}"
    data = load_built_in("oval").to_npy()
    first = client.post("/tracks", params={"name": name}, content=data)
    again = client.post("/tracks", params={"name": name}, content=data)
    assert (first.status_code, again.status_code) == (201, 200)
    listed = {item["name"]: item for item in client.get("/tracks").json()["items"]}
    assert set(listed) >= {"loop", "oval", name}
    assert listed["loop"]["length_m"] == pytest.approx(17.7, abs=0.1)
    assert listed[name]["length_m"] == pytest.approx(listed["oval"]["length_m"], abs=0.01)
    shape = client.get(f"/tracks/{name}").json()
    assert shape["closed"]
    assert len(shape["centre"]) == len(shape["inner"]) == len(shape["outer"])
    assert client.get("/tracks/loop").json()["length_m"] == listed["loop"]["length_m"]


def test_a_track_under_a_name_in_use_conflicts(client: httpx.Client) -> None:
    name = f"mine-{uuid4().hex[:6]}"
    client.post("/tracks", params={"name": name}, content=load_built_in("oval").to_npy())
    other = load_built_in("loop").to_npy()
    told = refusal(client.post("/tracks", params={"name": name}, content=other), 409)
    assert f"another track '{name}' exists already, 17.8" in told
    assert "built-in" in refusal(
        client.post("/tracks", params={"name": "oval"}, content=other), 409
    )


def test_a_centre_line_is_imported_as_a_road_of_the_width_that_is_asked_for(
    client: httpx.Client,
) -> None:
    name, line = f"line-{uuid4().hex[:6]}", npy(load_built_in("oval").waypoints[:-1])
    query = {"name": name, "width_m": "0.9"}
    answer = client.post("/tracks", params=query, content=line).json()
    assert answer["width_m"] == pytest.approx(0.9, abs=0.001)
    assert "the loop was closed" in answer["notes"][0]
    assert client.get(f"/tracks/{name}").json()["notes"] == answer["notes"]
    stored = client.get(f"/tracks/{name}/track.npy").content
    assert np.load(io.BytesIO(stored)).shape == (150, 6)
    assert client.post("/tracks", params={"name": name}, content=stored).status_code == 200
    told = refusal(client.post("/tracks", params={**query, "width_m": "99"}, content=line))
    assert "accepted are 0.2 to 20 m" in told


def test_a_track_is_shown_in_numbers_as_a_picture_and_as_a_drawing(client: httpx.Client) -> None:
    shape = client.get("/tracks/alley").json()
    assert (shape["direction"], shape["points"]) == ("counterclockwise", len(shape["centre"]))
    assert shape["width_min_m"] <= shape["width_mean_m"] <= shape["width_max_m"]
    picture = client.get("/tracks/alley/preview.png")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert client.get("/tracks/alley/track.npy").content == load_built_in("alley").to_npy()
    assert b"stroke-dasharray" in client.get("/tracks/alley/track.svg").content
    for unknown in ("none", "a..b", "end.", "*", "two%20words"):
        refusal(client.get(f"/tracks/{unknown}/preview.png"), 404)
        refusal(client.get(f"/tracks/{unknown}"), 404)


def test_a_track_that_nothing_refers_to_is_deleted(client: httpx.Client, name: str) -> None:
    track = f"short-lived-{uuid4().hex[:6]}"
    client.post("/tracks", params={"name": track}, content=load_built_in("oval").to_npy())
    queue(client, name, track=track)
    assert f"referred to by {name}" in refusal(client.delete(f"/tracks/{track}"), 409)
    wait_for_status(client, name, "finished")
    client.delete(f"/runs/{name}").raise_for_status()
    assert client.delete(f"/tracks/{track}").status_code == 204
    refusal(client.get(f"/tracks/{track}"), 404)
    refusal(client.delete(f"/tracks/{track}"), 404)
    assert "built-in" in refusal(client.delete("/tracks/oval"), 409)
    again = client.post("/tracks", params={"name": track}, content=load_built_in("loop").to_npy())
    assert again.status_code == 201


def test_a_folder_of_tracks_is_brought_in_by_the_command_line(
    client: httpx.Client, tmp_path: Path
) -> None:
    def slipstream(*words: str) -> tuple[int, Any]:
        command = [sys.executable, "-m", "libs.cli", "tracks", *words, "--json"]
        env = {"DR_API_URL": str(client.base_url).removesuffix("/v1/")}
        ended = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        return ended.returncode, json.loads(ended.stdout)

    mark = uuid4().hex[:6]
    for name in ("loop", "alley"):
        (tmp_path / f"{name}_{mark}.npy").write_bytes(load_built_in(name).to_npy())
    (tmp_path / f"broken_{mark}.npy").write_bytes(npy(np.full((9, 6), np.nan)))
    code, told = slipstream("import", str(tmp_path))
    outcomes = [item["outcome"] for item in told]
    assert (code, outcomes) == (1, ["imported", "refused", "imported"])
    (tmp_path / f"broken_{mark}.npy").unlink()
    code, told = slipstream("import", str(tmp_path))
    assert (code, {item["outcome"] for item in told}) == (0, {"already there"})

    assert slipstream("reverse", f"alley_{mark}")[1]["name"] == f"alley_{mark}-reversed"
    assert client.get(f"/tracks/alley_{mark}-reversed").json()["direction"] == "clockwise"
    assert slipstream("rename", f"alley_{mark}-reversed", f"new_{mark}")[0] == 0
    assert slipstream("show", f"new_{mark}")[1]["length_m"] == told[0]["length_m"]
    assert slipstream("delete", f"new_{mark}")[0] == 0
    listed = {item["name"] for item in slipstream("list")[1]}
    assert f"loop_{mark}" in listed
    assert not {f"new_{mark}", f"alley_{mark}-reversed", f"broken_{mark}"} & listed


def test_what_is_no_track_is_refused(client: httpx.Client) -> None:
    def send(name: str, data: bytes) -> httpx.Response:
        return client.post("/tracks", params={"name": name}, content=data)

    refusal(send("mine", b"no numbers"))
    refusal(send("mine", b""))
    for name in ("../up", "a..b", "end.", "new\nline", ""):
        assert repr(name) in refusal(send(name, load_built_in("oval").to_npy()))
    assert "5,242,880" in refusal(send("mine", b"x" * 6_000_000), 413)


def test_a_run_drives_on_an_imported_track(client: httpx.Client, name: str) -> None:
    track = f"imported-{uuid4().hex[:6]}"
    client.post("/tracks", params={"name": track}, content=load_built_in("oval").to_npy())
    assert queue(client, name, track=track)["track"] == track
    wait_for_status(client, name, "finished")


def test_models_show_checkpoints_and_files(client: httpx.Client, name: str) -> None:
    queue(client, name)
    wait_for_status(client, name, "finished")
    listed = {item["run"]: item for item in client.get("/models").json()["items"]}
    assert listed[name]["last"]["number"] == 2
    model = client.get(f"/models/{name}").json()
    assert [checkpoint["number"] for checkpoint in model["checkpoints"]] == [1, 2]
    policy = client.get(f"/models/{name}/files/model/model_2.pb")
    assert policy.content == b"policy"
    assert policy.headers["content-length"] == "6"


@pytest.mark.parametrize("path", ["..%2Fother%2Fa", "model%2F..%2F..%2Fx", "a%5C..%5Cb", "a//b"])
def test_a_download_does_not_climb_out_of_its_run(
    client: httpx.Client, name: str, path: str
) -> None:
    queue(client, name)
    assert "inside the run's folder" in refusal(client.get(f"/models/{name}/files/{path}"))


def test_the_trainer_itself_is_among_the_healthy(
    client: httpx.Client, trainer: TrainerProcess
) -> None:
    own = next(item for item in _heard(client) if item["service"] == "trainer")
    assert own["url"] == trainer.url
    assert own["silent"] is False


@stamina.retry(on=AssertionError, attempts=None, timeout=10, wait_initial=0.1, wait_max=0.2)
def _heard(client: httpx.Client) -> list[dict[str, Any]]:
    health = client.get("/health").json()
    assert health["services"]
    assert health["ok"] == all(item["ready"] for item in health["services"])
    return list(health["services"])


def test_the_api_describes_itself(client: httpx.Client, trainer: TrainerProcess) -> None:
    schema = httpx.get(f"{trainer.url}/openapi.json").json()
    assert {"/v1/runs", "/v1/tracks", "/v1/models/{run_id}"} <= set(schema["paths"])
    body = schema["paths"]["/v1/runs"]["post"]["requestBody"]["content"]
    example = body["application/json"]["examples"]["folder"]["value"]
    answer = client.post("/runs", json={**example, "name": f"run-{uuid4().hex[:8]}"})
    assert answer.status_code == 201, answer.text
