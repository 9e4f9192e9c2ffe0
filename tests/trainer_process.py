"""`python -m services.trainer` as a test runs it, with the stand-in learner."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import stamina

from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess

STAND_IN = [sys.executable, "-m", "tests.stand_in_learner"]

ACTIONS = [
    {"steering_angle": angle, "speed": 1.0, "index": index}
    for index, angle in enumerate((-20.0, 0.0, 20.0))
]
REWARD = "def reward_function(params):\n    return float(params['progress'])\n"


def run_folder(**files: str) -> dict[str, str]:
    """The files of a sound run folder; any may be replaced, `None` leaves one out."""
    return {
        "reward_function.py": REWARD,
        "model_metadata.json": json.dumps({"action_space": ACTIONS, "version": "5"}),
        "hyperparameters.json": json.dumps({"preset": "sprint"}),
        "run.yaml": "track: oval\nnotes: finish\n",
        **files,
    }


class TrainerProcess(ServiceProcess):
    """One trainer with the stand-in learner."""

    def __init__(
        self, nats: NatsServer, s3: S3Server, folder: Path, *, bucket: str, **variables: str
    ) -> None:
        stand_in = {"DR_TRAINER_LEARNER_COMMAND": json.dumps(STAND_IN)}
        super().__init__("trainer", nats, s3, folder, bucket=bucket, **stand_in | variables)

    def freeze(self) -> None:
        """SIGSTOP, as a machine that is put to sleep."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    @stamina.retry(on=AssertionError, attempts=None, timeout=30, wait_initial=0.05, wait_max=0.2)
    def wait_for_log(self, text: str) -> None:
        """Return as soon as its log has this text."""
        assert text in self.log.read_text()

    def client(self) -> httpx.Client:
        """A client of its API."""
        return httpx.Client(base_url=f"{self.url}/v1", timeout=30)


@contextmanager
def lone_trainer(
    folder: Path, s3: S3Server, **variables: str
) -> Iterator[tuple[TrainerProcess, NatsServer]]:
    """A trainer with a bus and a bucket of its own, for the tests of a whole module."""
    nats = NatsServer(folder)
    nats.start()
    bucket = f"test-{uuid4().hex[:12]}"
    try:
        with TrainerProcess(nats, s3, folder, bucket=bucket, **variables) as process:
            yield process, nats
    finally:
        nats.kill()


@stamina.retry(on=AssertionError, attempts=None, timeout=30, wait_initial=0.02, wait_max=0.2)
def wait_for_status(client: httpx.Client, path: str, *statuses: str) -> dict[str, Any]:
    """The document at a path, or of the run of that name, as soon as it has such a status."""
    document: dict[str, Any] = client.get(path if "/" in path else f"/runs/{path}").json()
    assert document["status"] in statuses, document
    return document
