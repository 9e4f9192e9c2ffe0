"""What a run keeps with its checkpoints, in a real store and on a real bus."""

from pathlib import Path

import pytest
import tensorflow as tf

from libs.common.events import CheckpointSaved, IterationEnded
from libs.common.objects import ObjectStore, split_uri
from services.trainer.board import Board
from services.trainer.checkpoint_store import CheckpointStore
from services.trainer.learner import SavedCheckpoint
from tests.conftest import Connect
from tests.integration.test_trainer_judge import order


def saved_in(folder: Path, number: int) -> SavedCheckpoint:
    """A checkpoint of files that nobody reads, with a learner's memory."""
    name = f"{number}_Step-{number}.ckpt"
    names = [f"{name}.data-00000-of-00001", f"{name}.index", f"{name}.meta", f"model_{number}.pb"]
    paths = [folder / each for each in [*names, f"state_{number}.json", f"memory_{number}.npz"]]
    for path in paths:
        path.write_text(path.name)
    *files, policy, state, memory = paths
    return SavedCheckpoint(name, number, number, tuple(files), policy, state, memory)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path / "tensorboard")


def iteration(number: int) -> IterationEnded:
    return IterationEnded(
        run_id="one",
        iteration=number,
        episodes=(),
        total_episodes=0,
        env_steps=100 * (number + 1),
        updates=1,
        elapsed_s=1.0,
        steps_per_s=100.0,
        learning_rate=3e-4,
        action_counts=(),
        wait_s=0.0,
        infer_s=0.0,
        learn_s=1.0,
    )


async def test_curves_are_artifacts_that_grow_with_the_run(
    connect: Connect, objects: ObjectStore, board: Board, tmp_path: Path
) -> None:
    bus = await connect("trainer")
    store = CheckpointStore(order(), bus, objects)
    for number in (0, 1):
        board.note(iteration(number))
        await store.keep(saved_in(tmp_path, number), number, board.files)
    told = [
        received.message
        async for received in bus.follow("one", classes=[CheckpointSaved], live=False)
    ]
    (name,) = [file.name for file in board.files]
    for event in told:
        assert isinstance(event, CheckpointSaved)
        keys = [split_uri(artifact.uri)[1] for artifact in event.artifacts]
        assert f"runs/one/tensorboard/{name}" in keys
    copy = tmp_path / "copy"
    copy.write_bytes(await objects.get(told[-1].artifacts[-1]))
    events = [
        tf.compat.v1.Event.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(copy))
    ]
    rates = [
        event.step
        for event in events
        for value in event.summary.value
        if value.tag == "learning/learning_rate"
    ]
    assert rates == [100, 200]
    assert board.files, "the writer still needs its file"


async def test_a_checkpoint_comes_back_with_the_learners_memory(
    connect: Connect, objects: ObjectStore, tmp_path: Path
) -> None:
    store = CheckpointStore(order(), await connect("trainer"), objects)
    saved = saved_in(tmp_path, 3)
    kept = await store.keep(saved, 3)
    assert saved.memory is not None
    assert not saved.memory.exists()
    folder = tmp_path / "fetched"
    folder.mkdir()
    assert await store.fetch(kept, folder) == "3_Step-3.ckpt"
    assert (folder / "memory_3.npz").read_text() == "memory_3.npz"
    assert (folder / "state_3.json").read_text() == "state_3.json"
    another = tmp_path / "for a start"
    another.mkdir()
    await store.fetch(kept, another, with_memory=False)
    assert not (another / "memory_3.npz").exists()
