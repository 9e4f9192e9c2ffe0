"""A car with two cameras and a lidar, from its run folder to the archive that is put on it."""

import io
import json
import tarfile
from pathlib import Path

import httpx
import pytest

from libs.common.events import EpisodeEnded, EvaluationEnded, ModelPackaged, RunEnded
from tests.e2e.conftest import starter_with
from tests.e2e.embedded import EmbeddedStack

SENSORS = ["STEREO_CAMERAS", "LIDAR"]


@pytest.mark.slow
def test_a_car_with_stereo_cameras_and_a_lidar_is_trained_evaluated_and_packed(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    folder = starter_with(tmp_path / "eyes", {"max_iterations": 2}, updates_per_iteration=2, cars=4)
    file = folder / "model_metadata.json"
    changes = {"sensor": SENSORS, "neural_network": "FAST"}
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    run = stack.wait_for_end(stack.start(folder, "--name", "eyes-1"))
    assert (run["status"], run["best"]["number"] > 0) == ("finished", True)
    events = stack.wait_for_journal(run["id"], RunEnded, EvaluationEnded, ModelPackaged)
    driven = [event.phase for event in events if isinstance(event, EpisodeEnded)]
    assert set(driven) == {"training", "evaluation"}
    told = stack.cli("evaluate", run["id"], "--trials", "2", code=1)  # it does not lap yet
    assert (told["status"], len(told["trials"])) == ("ended", 2)
    archive = cars_archive(stack, run["id"])
    assert json.loads(archive["model_metadata.json"])["sensor"] == SENSORS
    for sensor in SENSORS:
        assert f"network_0/{sensor}/{sensor}".encode() in archive["agent/model.pb"]


def cars_archive(stack: EmbeddedStack, run_id: str) -> dict[str, bytes]:
    """The files that go on the car."""
    port = stack.processes()["trainer"]["port"]
    path = f"http://127.0.0.1:{port}/v1/models/{run_id}/files/output/model.tar.gz"
    archive = httpx.get(path, timeout=60).raise_for_status().content
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        files = {name: members.extractfile(name) for name in members.getnames()}
        return {name: file.read() for name, file in files.items() if file is not None}
