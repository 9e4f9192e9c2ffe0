"""The trainer and the environment that engine coach needs: asked for, used, missing."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import S3Server
from tests.trainer_process import lone_trainer, run_folder, wait_for_status

BY_EPISODES = '{"num_episodes_between_training": 4}'
LOOK_ALIKE = """#!/bin/sh
if [ "$1" = -c ]; then echo 1.0.1; exit; fi
[ "$2" = services.trainer.coach ] && exec {python} -m tests.stand_in_learner
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers as the Python of rl-coach does; its learner is the stand-in."""
    path = tmp_path_factory.mktemp("environment") / "python"
    path.write_text(LOOK_ALIKE.format(python=sys.executable))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server, python: Path
) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("trainer")
    variables = {"DR_TRAINER_COACH_PYTHON": str(python), "DR_TRAINER_LEARNER_COMMAND": "[]"}
    with lone_trainer(folder, s3_server, **variables) as (process, _), process.client() as client:
        yield client


def post(client: httpx.Client, name: str) -> httpx.Response:
    files = run_folder(
        **{
            "run.yaml": "track: oval\nengine: coach\nnotes: finish\n",
            "hyperparameters.json": BY_EPISODES,
        }
    )
    return client.post("/runs", json={"files": files, "name": name})


def test_its_learner_is_started_by_its_python(client: httpx.Client) -> None:
    assert post(client, "one").status_code == 201
    assert wait_for_status(client, "one", "finished")["spec"]["engine"] == "coach"


def test_a_run_whose_environment_has_gone_fails_and_one_that_comes_later_is_refused(
    client: httpx.Client, python: Path
) -> None:
    python.write_text('#!/bin/sh\nrm -- "$0"\necho 1.0.1\n')
    assert post(client, "two").status_code == 201
    reason = wait_for_status(client, "two", "failed")["reason"]
    assert reason == f"{python} is missing, which engine 'coach' needs"
    refused = post(client, "three")
    assert refused.status_code == 422
    (problem,) = refused.json()["errors"]
    assert "engine: got 'coach', which needs rl-coach 1.0.1" in str(problem)
    assert "`make install-coach` installs it" in str(problem)
