"""Models that were trained elsewhere become runs to start from, over REST and the command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from libs.cli.__main__ import app
from libs.common.deepracer.metadata import parse_model_metadata
from services.trainer.architecture import Blueprint, blueprint_of
from services.trainer.checkpoint import read_checkpoint, write_checkpoint
from services.trainer.network import ActorCritic
from tests.servers import S3Server
from tests.trainer_process import TrainerProcess, lone_trainer, run_folder, wait_for_status

ACTIONS = [{"steering_angle": angle, "speed": 1.0} for angle in (-30, -10, 0, 10, 30)]
METADATA = json.dumps({"action_space": ACTIONS, "neural_network": "FAST", "version": "5"})
NAMES = ("12_Step-700.ckpt", "13_Step-8044.ckpt")


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[Any]:
    """One trainer for all tests of this module."""
    with lone_trainer(tmp_path_factory.mktemp("trainer"), s3_server) as (process, _):
        yield process


@pytest.fixture
def api(trainer: TrainerProcess) -> Iterator[httpx.Client]:
    """A client of the trainer."""
    with trainer.client() as client:
        yield client


@pytest.fixture(scope="module")
def blueprint() -> Blueprint:
    """The network of the foreign model."""
    return blueprint_of(parse_model_metadata(METADATA.encode()).value)


@pytest.fixture
def folder(tmp_path: Path, blueprint: Blueprint) -> Path:
    """What deepracer-for-cloud leaves, with the optimiser's slots."""
    model = tmp_path / "foreign" / "model"
    model.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        weights = ActorCritic(blueprint, seed=seed).export_weights()
        write_checkpoint(model, name, weights, complete=True)
    (model / "model_metadata.json").write_text(METADATA)
    best = {"best_checkpoint": {"name": NAMES[0], "avg_eval_metric": 90.0, "time_stamp": 1.0}}
    (model / "deepracer_checkpoints.json").write_text(json.dumps(best))
    (model.parent / "training_params.yaml").write_text("WORLD_NAME: oval\n")
    return model.parent


def import_folder(api: httpx.Client, folder: Path, **fields: str) -> httpx.Response:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    parts = [("files", (path.relative_to(folder).as_posix(), path.read_bytes())) for path in paths]
    return api.post("/models", data=fields, files=parts)


def test_an_imported_model_is_a_run_that_others_start_from(
    api: httpx.Client,
    trainer: TrainerProcess,
    folder: Path,
    tmp_path: Path,
    blueprint: Blueprint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DR_API_URL", trainer.url)
    result = CliRunner().invoke(app, ["import", str(folder), "--name", "foreign", "--json"])
    assert result.exit_code == 0, result.output
    run = api.get("/runs/foreign").json()
    assert (run["status"], run["reason"]) == ("finished", "imported from a model folder")
    assert (run["best"]["name"], run["last"]["name"]) == NAMES
    model = api.get("/models/foreign").json()
    assert [each["name"] for each in model["checkpoints"]] == list(NAMES)

    again = tmp_path / "again"
    again.mkdir()
    for suffix in ("data-00000-of-00001", "index"):
        stored = api.get(f"/models/foreign/files/model/{NAMES[0]}.{suffix}").content
        (again / f"{NAMES[0]}.{suffix}").write_bytes(stored)
    ours = read_checkpoint(again / NAMES[0], blueprint)
    theirs = read_checkpoint(folder / "model" / NAMES[0], blueprint)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)

    for number, checkpoint in enumerate(("best", "last", 12)):
        start = f"start: {{run: foreign, checkpoint: {checkpoint}}}\n"
        metadata = json.loads(METADATA) | {"action_space": ACTIONS[::2]}
        files = run_folder(
            **{
                "model_metadata.json": json.dumps(metadata),
                "run.yaml": f"track: oval\nnotes: finish\n{start}",
            }
        )
        queued = api.post("/runs", json={"files": files, "name": f"on-{number}"})
        assert queued.status_code == 201, queued.text
        assert "each of 3 actions gets the nearest of 5" in queued.json()["warnings"][-1]
        wait_for_status(api, f"on-{number}", "finished")


def test_a_name_that_is_taken_is_refused(api: httpx.Client, folder: Path) -> None:
    assert api.post("/runs", json={"files": run_folder(), "name": "taken"}).status_code == 201
    answer = import_folder(api, folder, name="taken")
    assert answer.status_code == 409
    assert "'taken' exists already" in answer.text


def test_broken_checkpoints_are_refused_together_and_leave_nothing(
    api: httpx.Client, folder: Path
) -> None:
    data = folder / "model" / f"{NAMES[0]}.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    index = folder / "model" / f"{NAMES[1]}.index"
    index.write_bytes(index.read_bytes()[:100])
    answer = import_folder(api, folder, name="broken")
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert len(errors) == 2
    assert all(f"checkpoint {name} can't be read" in answer.text for name in NAMES)
    assert api.get("/runs/broken").status_code == 404


def test_a_network_that_the_metadata_does_not_name_is_refused(
    api: httpx.Client, folder: Path
) -> None:
    other = json.loads(METADATA) | {"neural_network": "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"}
    (folder / "model" / "model_metadata.json").write_text(json.dumps(other))
    answer = import_folder(api, folder, name="other")
    assert answer.status_code == 422
    assert "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW with FRONT_FACING_CAMERA" in answer.text


def test_everything_that_is_missing_is_named(api: httpx.Client) -> None:
    answer = api.post("/models", data={"name": "empty"}, files=[("files", ("notes.txt", b"-"))])
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 2
    assert "name" in api.post("/models", files=[("files", ("a", b"-"))]).text
