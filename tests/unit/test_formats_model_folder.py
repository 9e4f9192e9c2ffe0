"""Model folders of other trainers: what is found in them, and what is refused."""

import json

import pytest

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.model_folder import (
    DEFAULT_REWARD,
    ModelFolder,
    find_model_files,
    read_model_folder,
)
from libs.common.errors import InvalidInput

ACTIONS = [{"steering_angle": angle, "speed": 1.0} for angle in (-20, 20)]
METADATA = json.dumps({"action_space": ACTIONS, "version": "5"}).encode()
REWARD = "def reward_function(params):\n    return 2.0\n"


def checkpoint(name: str) -> list[str]:
    return [f"{name}.data-00000-of-00001", f"{name}.index", f"{name}.meta"]


TWO = [*checkpoint("12_Step-700.ckpt"), *checkpoint("13_Step-8044.ckpt")]


def read(names=TWO, **small: str) -> ModelFolder:
    """Keys of `small` are names with two underscores for a dot."""
    files = {name.replace("__", "."): text.encode() for name, text in small.items()}
    return read_model_folder({"model_metadata.json": METADATA, **files}, names).value


@pytest.mark.parametrize(
    "paths",
    [
        # deepracer-for-cloud and the former console
        [
            *(f"model/{name}" for name in TWO),
            "model/.coach_checkpoint",
            "model/model_metadata.json",
            "model/model_13.pb",
            "ip/hyperparameters.json",
            "training_params.yaml",
            "reward_function.py",
            "metrics/TrainingMetrics.json",
        ],
        # DeepRacer on AWS
        [
            *(f"sagemaker-artifacts/model/{name}" for name in TWO),
            "sagemaker-artifacts/model/.coach_checkpoint",
            "sagemaker-artifacts/ip/hyperparameters.json",
            "sagemaker-artifacts/training_params.yaml",
            "model_metadata.json",
            "reward_function.py",
            "videos/training/0-video.mp4",
        ],
    ],
)
def test_the_same_files_are_found_in_the_layout_of_each_trainer(paths: list[str]) -> None:
    found = find_model_files(paths)
    assert set(found) == {
        *(name for name in TWO if not name.endswith(".meta")),
        ".coach_checkpoint",
        "model_metadata.json",
        "hyperparameters.json",
        "training_params.yaml",
        "reward_function.py",
    }
    assert set(found.values()) <= set(paths)


def test_a_file_that_lies_higher_counts_before_its_copies() -> None:
    found = find_model_files(["model/model_metadata.json", "model_metadata.json"])
    assert found == {"model_metadata.json": "model_metadata.json"}


def test_folders_of_several_models_are_refused_with_their_names() -> None:
    with pytest.raises(InvalidInput, match="checkpoints in a/model, b/model; accepted"):
        find_model_files(["a/model/1_Step-2.ckpt.index", "b/model/1_Step-2.ckpt.index"])


LISTING = json.dumps(
    {"last_checkpoint": {"name": "12_Step-700.ckpt"}, "best_checkpoint": {"name": TWO[3][:-20]}}
)


@pytest.mark.parametrize(
    ("small", "last", "best"),
    [
        ({}, "13_Step-8044.ckpt", None),
        ({"__coach_checkpoint": "12_Step-700.ckpt\n"}, "12_Step-700.ckpt", None),
        (
            {
                "checkpoint": 'model_checkpoint_path: "/opt/model/12_Step-700.ckpt"\n'
                'all_model_checkpoint_paths: "13_Step-8044.ckpt"\n'
            },
            "12_Step-700.ckpt",
            None,
        ),
        ({"deepracer_checkpoints__json": LISTING}, "12_Step-700.ckpt", "13_Step-8044.ckpt"),
        ({"__coach_checkpoint": "9_Step-1.ckpt"}, "13_Step-8044.ckpt", None),
        ({"deepracer_checkpoints__json": "[1"}, "13_Step-8044.ckpt", None),
    ],
)
def test_last_and_best_are_what_the_folder_names_if_it_is_there(small, last, best) -> None:
    model = read(**small)
    assert (model.last, model.best) == (last, best)
    assert [stored.number for stored in model.checkpoints] == [12, 13]


def test_a_checkpoint_that_lacks_a_file_is_left_out_with_a_warning() -> None:
    names = [*checkpoint("12_Step-700.ckpt"), "13_Step-8044.ckpt.index"]
    checked = read_model_folder({"model_metadata.json": METADATA}, names)
    assert checked.value.last == "12_Step-700.ckpt"
    assert "13_Step-8044.ckpt lacks its data or its index and is left out" in checked.warnings


@pytest.mark.parametrize(
    ("world", "track", "clockwise"),
    [
        ("reInvent2019_track", "reInvent2019_track", False),
        ("2022_reinvent_champ_cw", "2022_reinvent_champ", True),
        ("2022_reinvent_champ_ccw", "2022_reinvent_champ", False),
        ("reinvent_wood", "reinvent_base", False),
    ],
)
def test_the_world_tells_track_and_direction(world: str, track: str, clockwise: bool) -> None:
    model = read(training_params__yaml=f"WORLD_NAME: {world}\n")
    assert (model.track, model.clockwise) == (track, clockwise)


def test_what_is_not_there_is_told_and_has_a_default() -> None:
    checked = read_model_folder({"model_metadata.json": METADATA}, TWO)
    assert checked.value.hyperparameters == Hyperparameters()
    assert checked.value.reward_function == DEFAULT_REWARD
    assert checked.value.track is None
    assert len(checked.warnings) == 2


def test_reward_and_hyperparameters_are_the_models_own() -> None:
    model = read(reward_function__py=REWARD, hyperparameters__json='{"lr": 0.001}')
    assert model.reward_function == REWARD
    assert model.hyperparameters.lr == 0.001


def test_hyperparameters_that_are_not_ours_do_not_stand_in_the_way() -> None:
    small = {"model_metadata.json": METADATA, "hyperparameters.json": b'{"lr": 10}'}
    checked = read_model_folder(small, TWO)
    assert checked.value.hyperparameters == Hyperparameters()
    assert any("lr: got 10" in warning for warning in checked.warnings)


def test_every_problem_is_named_at_once() -> None:
    metadata = json.dumps(
        {
            "action_space": {
                "steering_angle": {"low": -30, "high": 30},
                "speed": {"low": 1, "high": 2},
            },
            "action_space_type": "continuous",
            "training_algorithm": "sac",
        }
    )
    with pytest.raises(InvalidInput) as refused:
        read_model_folder({"model_metadata.json": metadata.encode()}, ["model_13.pb"])
    assert refused.value.problems == [
        "model_metadata.json: training_algorithm: got 'sac'; accepted: 'clipped_ppo'",
        "there is no whole checkpoint; accepted: checkpoints named like '13_Step-8044.ckpt', each "
        "with .data-00000-of-00001, .index",
    ]
