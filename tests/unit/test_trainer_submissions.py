"""From what a client sent to a run that may be queued."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from libs.common.deepracer.folder import read_run_folder
from libs.common.deepracer.hyperparameters import parse_hyperparameters
from libs.common.deepracer.metadata import parse_model_metadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from services.trainer.run_files import run_files
from services.trainer.submissions import (
    CloneRequest,
    Draft,
    Overrides,
    draft_of_form,
    draft_of_json,
    prepare,
    prepare_clone,
)
from tests.trainer_process import run_folder


def never(name: str) -> bool:
    return False


def encoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}


def sound(name: str = "one", **files: str) -> RunSpec:
    return read_run_folder(encoded(run_folder(**files)), name=name).value


def test_a_form_and_a_json_body_that_ask_for_the_same_have_one_digest() -> None:
    folder = run_folder()
    body = {"files": folder, "seed": 3, "priority": 1}
    by_json = draft_of_json(json.dumps(body).encode())
    by_form = draft_of_form(encoded(folder), {"seed": "3", "priority": "1"})
    assert by_json.digest() == by_form.digest()
    assert by_json.digest() != Draft(files=encoded(folder)).digest()


def test_every_bad_field_is_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        draft_of_form({}, {"name": "Not Good", "seed": "-1", "priority": "x"})
    assert len(refused.value.problems) == 3


def test_overrides_go_before_the_folder() -> None:
    draft = Draft(
        files=encoded(run_folder()), overrides=Overrides(name="mine", track="loop", seed=5)
    )
    spec = prepare(draft, never).spec
    assert (spec.name, spec.track, spec.seed) == ("mine", "loop", 5)


def test_the_reward_function_of_a_race_with_objects_is_tried_with_objects() -> None:
    source = "def reward_function(p):\n    return p['objects_speed'][p['closest_objects'][1]] + 1\n"
    alone, among = (
        Draft(files=encoded(run_folder(**{"reward_function.py": source, "run.yaml": run})))
        for run in ("track: loop\n", "track: loop\nrace: {type: object_avoidance}\n")
    )
    assert prepare(among, never).spec.race.has_objects
    with pytest.raises(InvalidInput, match="reward_function.py: line 2: .* IndexError"):
        prepare(alone, never)


def test_a_name_that_nobody_gave_is_made_of_the_folders_and_the_time() -> None:
    files = encoded(run_folder(**{"run.yaml": f"track: oval\nname: {'x' * 63}\n"}))
    name = prepare(Draft(files=files), never).spec.name
    assert len(name) <= 63
    assert name.startswith("xxx")
    other = prepare(Draft(files=files), lambda taken: True).spec.name
    assert len(other) <= 63
    assert other.startswith(name[:40])


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"lr": 1e-4}, {"lr": 1e-4, "horizon": 16, "num_episodes_between_training": 20}),
        ({"num_episodes_between_training": 5}, {"horizon": None}),
        ({"preset": "deepracer"}, {"horizon": None, "lr": 3e-4}),
        ({"horizon": 64}, {"horizon": 64, "batch_size": 64}),
    ],
)
def test_a_clone_has_other_hyperparameters_where_it_is_asked_to(
    given: dict[str, Any], wanted: dict[str, Any]
) -> None:
    clone = prepare_clone(sound(), CloneRequest(hyperparameters=given), never).spec
    values = clone.hyperparameters.model_dump()
    assert values | wanted == values
    assert clone.start is not None
    assert clone.start.run == "one"


def test_the_name_of_a_clones_clone_has_one_stamp() -> None:
    spec = sound()
    for _ in range(3):
        spec = prepare_clone(spec, CloneRequest(), never).spec
        assert spec.name.startswith("one-20")
        assert len(spec.name) == len("one-20251122-101500")


def test_the_files_of_a_run_say_what_the_learner_does() -> None:
    spec = sound(**{"run.yaml": "track: oval\nrace: {direction: clockwise}\n"})
    files = run_files(spec)
    hyperparameters = files["runs/one/hyperparameters.json"]
    assert parse_hyperparameters(hyperparameters).value == spec.hyperparameters
    every = json.loads(files["runs/one/ip/hyperparameters.json"])
    assert every["num_episodes_between_training"] == 20
    assert parse_model_metadata(files["runs/one/model_metadata.json"]).value == spec.metadata
    assert files["runs/one/reward_function.py"].decode() == spec.reward_function
    parameters = yaml.safe_load(files["runs/one/training_params.yaml"])
    assert parameters["WORLD_NAME"] == "oval"
    assert parameters["TRACK_DIRECTION_CLOCKWISE"] is True
    assert parameters["RACE_TYPE"] == "TIME_TRIAL"
    assert files == run_files(spec)
