"""The submitter as a process on the real bus and store."""

import asyncio
import json
import re
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from libs.common.bus import Bus
from libs.common.deepracer import layout
from libs.common.events import CheckpointRef, ModelPackaged, RunEnded
from libs.common.objects import ObjectStore
from tests.conftest import Connect
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess

METADATA = b'{"action_space": [], "version": "5"}'
CAR_NAME = re.compile(r"^[a-zA-Z0-9-_]+\.tar\.gz$")


@pytest.fixture
def submitter(
    nats_server: NatsServer, s3_server: S3Server, objects: ObjectStore, tmp_path: Path
) -> Iterator[ServiceProcess]:
    """Running, its archives in the folder `packed`."""
    with ServiceProcess(
        "submitter",
        nats_server,
        s3_server,
        tmp_path,
        bucket=objects.bucket,
        DR_SUBMITTER_FOLDER=str(tmp_path / "packed"),
    ) as process:
        yield process


async def put_run(objects: ObjectStore, run_id: str = "r1") -> list[CheckpointRef]:
    """A run's files as the trainer puts them, with the checkpoints 3, 7 (the best) and 9."""
    for key in (layout.model_metadata(run_id), layout.run_model_metadata(run_id)):
        await objects.put(key, METADATA)
    await objects.put(layout.reward_function(run_id), b"def reward_function(params): return 1.0\n")
    await objects.put(layout.ip_hyperparameters(run_id), b'{"batch_size": 64}')
    checkpoints = [await put_checkpoint(objects, run_id, number) for number in (3, 7, 9)]
    listing = {
        "best_checkpoint": {
            "name": checkpoints[1].name,
            "avg_eval_metric": 93.5,
            "time_stamp": 1700000000.25,
        },
        "last_checkpoint": {"name": checkpoints[2].name, "avg_eval_metric": -1, "time_stamp": 5},
    }
    await objects.put(layout.deepracer_checkpoints(run_id), json.dumps(listing).encode())
    return checkpoints


async def put_checkpoint(objects: ObjectStore, run_id: str, number: int) -> CheckpointRef:
    name = f"{number}_Step-{number * 100}.ckpt"
    suffixes = ("data-00000-of-00001", "index", "meta")
    files = [
        await objects.put(
            layout.model_file(run_id, f"{name}.{suffix}"), f"{name} {suffix}".encode()
        )
        for suffix in suffixes
    ]
    state = await objects.put(layout.model_file(run_id, f"state_{number}.json"), b"{}")
    policy = await objects.put(
        layout.model_file(run_id, f"model_{number}.pb"), bytes([number]) * 100_000
    )
    return CheckpointRef(
        name=name, number=number, env_steps=number * 100, files=(*files, state), policy=policy
    )


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


async def packaged(bus: Bus) -> ModelPackaged:
    """The first event that tells of a package."""
    async with asyncio.timeout(30):
        async for received in bus.follow("r1", classes=[ModelPackaged]):
            assert isinstance(received.message, ModelPackaged)
            return received.message
    raise AssertionError("the stream ended")


async def test_the_best_checkpoint_of_an_ended_run_is_packaged(
    connect: Connect, submitter: ServiceProcess, objects: ObjectStore, tmp_path: Path
) -> None:
    bus, (_, best, last) = await connect("trainer"), await put_run(objects)
    ended = RunEnded(run_id="r1", outcome="finished", reason="done", best=best, last=last)
    await bus.publish(ended)
    event = await packaged(bus)
    assert (event.checkpoint, event.cause) == (best, ended.id)
    assert event.target == (tmp_path / "packed" / "r1").as_uri()

    car, virtual = [await objects.get(artifact) for artifact in event.artifacts]
    assert event.artifacts[0].uri == objects.uri(layout.car_archive("r1"))
    assert members(car) == {
        "agent/model.pb": bytes([7]) * 100_000,
        "model_metadata.json": METADATA,
    }
    tree = members(virtual)
    listing = json.loads(tree.pop("model/deepracer_checkpoints.json"))
    assert listing["best_checkpoint"] == listing["last_checkpoint"]
    assert listing["best_checkpoint"] == {
        "name": best.name,
        "avg_eval_metric": 93.5,
        "time_stamp": 1700000000.25,
    }
    assert tree == {
        "ip/hyperparameters.json": b'{"batch_size": 64}',
        "model/.coach_checkpoint": best.name.encode(),
        "model/7_Step-700.ckpt.data-00000-of-00001": b"7_Step-700.ckpt data-00000-of-00001",
        "model/7_Step-700.ckpt.index": b"7_Step-700.ckpt index",
        "model/7_Step-700.ckpt.meta": b"7_Step-700.ckpt meta",
        "model/model_7.pb": bytes([7]) * 100_000,
        "model/model_metadata.json": METADATA,
        "model_metadata.json": METADATA,
        "reward_function.py": b"def reward_function(params): return 1.0\n",
    }
    folder = {path.name: path.read_bytes() for path in sorted((tmp_path / "packed/r1").iterdir())}
    assert folder == {"r1-7-car.tar.gz": car, "r1-7-virtual.tar.gz": virtual}
    assert all(CAR_NAME.fullmatch(name) for name in folder)


async def test_a_run_without_a_checkpoint_is_left_out_and_the_next_is_packaged(
    connect: Connect, submitter: ServiceProcess, objects: ObjectStore
) -> None:
    bus, (_, best, _) = await connect("trainer"), await put_run(objects)
    await bus.publish(RunEnded(run_id="r0", outcome="failed", reason="no reward"))
    await bus.publish(RunEnded(run_id="r1", outcome="finished", reason="done", best=best))
    assert (await packaged(bus)).checkpoint == best


async def test_any_checkpoint_is_packaged_on_demand_and_twice_gives_the_same(
    connect: Connect, submitter: ServiceProcess, objects: ObjectStore, tmp_path: Path
) -> None:
    await put_run(objects)
    async with httpx.AsyncClient(base_url=submitter.url, timeout=30) as client:
        for choice, number in (("best", 7), ("last", 9), (3, 3)):
            wanted = {"run": "r1", "checkpoint": choice}
            first = await client.post("/v1/packages", json=wanted)
            assert first.status_code == 201, first.text
            assert first.json()["checkpoint"]["number"] == number
            path = tmp_path / "packed" / "r1" / f"r1-{number}-car.tar.gz"
            assert members(path.read_bytes())["agent/model.pb"] == bytes([number]) * 100_000
            before = path.stat()
            again = await client.post("/v1/packages", json=wanted)
            assert again.json() == first.json()
            assert path.stat().st_ino == before.st_ino
    bus = await connect("trainer")
    told = [item.message async for item in bus.follow("r1", classes=[ModelPackaged], live=False)]
    assert len(told) == 3


@pytest.mark.parametrize(
    ("wanted", "status", "problem"),
    [
        ({"run": "nothing"}, 404, "run 'nothing' has no checkpoint"),
        ({"run": "r1", "checkpoint": 4}, 422, "no checkpoint 4; accepted: best, last, 3, 7, 9"),
        ({"run": "r1", "checkpoint": "worst"}, 422, "got 'worst'"),
        ({"run": "../r1"}, 422, "got '../r1'"),
        ({}, 422, "run: Field required"),
    ],
)
async def test_what_is_not_there_is_refused_and_named(
    submitter: ServiceProcess,
    objects: ObjectStore,
    wanted: dict[str, object],
    status: int,
    problem: str,
) -> None:
    await put_run(objects)
    async with httpx.AsyncClient(base_url=submitter.url) as client:
        answer = await client.post("/v1/packages", json=wanted)
    assert answer.status_code == status
    assert problem in answer.json()["detail"]


async def test_a_folder_that_can_not_be_written_is_named(
    submitter: ServiceProcess, objects: ObjectStore, tmp_path: Path
) -> None:
    await put_run(objects)
    (tmp_path / "packed").write_text("a file where the folder should be")
    async with httpx.AsyncClient(base_url=submitter.url) as client:
        answer = await client.post("/v1/packages", json={"run": "r1"})
    assert answer.status_code == 503
    assert "r1-7-car.tar.gz can't be written" in answer.json()["detail"]
