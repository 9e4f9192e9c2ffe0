"""`slipstream model export` on a model folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import Result
from typer.testing import CliRunner

from libs.cli.__main__ import app
from libs.common.deepracer.metadata import DiscreteAction, ModelMetadata, parse_model_metadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from services.trainer.learner import Learner
from services.trainer.memory import Memory, memory_path, write_memory

NAME = "0_Step-0.ckpt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as the store has it, of our small network."""
    folder = tmp_path_factory.mktemp("model")
    actions = tuple(
        DiscreteAction(steering_angle=angle, speed=1.0, index=index)
        for index, angle in enumerate((-30.0, 0.0, 30.0))
    )
    metadata = ModelMetadata(action_space=actions, neural_network="FAST")
    spec = RunSpec(name="small", track="loop", metadata=metadata, reward_function="")
    Learner(spec).save(folder)
    (folder / "model_metadata.json").write_text(metadata.model_dump_json(exclude_none=True))
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["model", "export", *map(str, arguments)])


def test_a_checkpoint_is_written_in_every_format_that_is_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    formats = ("--format", "pb", "--format", "onnx", "--format", "openvino-fp16")
    ended = run(folder, "--output", tmp_path, *formats, "--json")
    assert ended.exit_code == 0, ended.output
    made = {each["format"]: each for each in json.loads(ended.stdout)}
    assert made.keys() == {"pb", "onnx", "openvino-fp16"}
    assert made["onnx"]["difference"] <= 1e-5
    names = {Path(file).name for each in made.values() for file in each["files"]}
    assert names == {"model_0.pb", "model_0.onnx", "model_0_fp16.xml", "model_0_fp16.bin"}
    assert {file.name for file in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "tflite"), "format 'tflite'; accepted: pb, checkpoint, onnx"),
        (("--format", "pb", "--checkpoint", "9_Step-9.ckpt"), "9_Step-9.ckpt can't be read"),
        (("--format", "pb", "--checkpoint", "best"), "'best' names no checkpoint"),
    ],
)
def test_what_can_not_be_exported_is_refused(
    folder: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    ended = run(folder, "--output", tmp_path / "out", *options)
    assert isinstance(ended.exception, InvalidInput)
    assert said in str(ended.exception)
    assert not (tmp_path / "out").exists()


def test_a_complete_checkpoint_has_the_optimiser_of_the_memory_beside_it(
    folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(folder, source)
    memory = memory_path(source, 0)
    learned = stored_memory(source)
    write_memory(memory, {**learned, "optimiser_steps": np.asarray(7, np.int64)})
    ended = run(source, "--output", tmp_path / "made", "--format", "checkpoint", "--json")
    assert ended.exit_code == 0, ended.output
    stored = tf.train.load_checkpoint(str(tmp_path / "made" / NAME))
    assert stored.get_tensor("main_level/agent/main/online/global_step") == 7


def test_a_broken_memory_is_refused(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(folder, source)
    memory_path(source, 0).write_bytes(b"PK")
    ended = run(source, "--output", tmp_path / "made", "--format", "checkpoint")
    assert isinstance(ended.exception, InvalidInput)
    assert "memory_0.npz can't be read" in str(ended.exception)


def stored_memory(folder: Path) -> Memory:
    """The memory of a learner that has not learned anything."""
    metadata = parse_model_metadata((folder / "model_metadata.json").read_bytes()).value
    spec = RunSpec(name="small", track="loop", metadata=metadata, reward_function="")
    saved = Learner(spec).save(folder, complete=True)
    assert saved.memory is not None
    with np.load(saved.memory) as stored:
        return {name: stored[name] for name in stored.files}
