"""Run folders in both forms: what is read, what is refused, every problem at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from libs.common.deepracer import sandbox_2019
from libs.common.deepracer.folder import (
    MAX_FILE_BYTES,
    load_directory,
    read_run_directory,
    read_run_document,
    read_run_folder,
    run_name_of,
)
from libs.common.deepracer.hyperparameters import (
    TRAIT_PRESETS,
    Hyperparameters,
    check_hyperparameters,
)
from libs.common.deepracer.run_file import RunFile
from libs.common.deepracer.run_spec import RunSpec
from libs.common.deepracer.support import check_start, check_supported
from libs.common.deepracer.worlds import track_of_world
from libs.common.errors import InvalidInput, NotFound, TooLarge
from libs.common.tracks import built_in_names

MODELS = Path(__file__).parents[2] / "models"
GUIDE = Path(__file__).parents[2] / "docs" / "run-folders.md"

ROWS = [
    {"steering_angle": -30, "speed": 1.5, "index": 0},
    {"steering_angle": 30, "speed": 1.5, "index": 1},
]
REWARD = b"def reward_function(params):\n    return 1.0\n"
OURS = {
    "reward_function.py": REWARD,
    "model_metadata.json": json.dumps({"action_space": ROWS, "version": "5"}).encode(),
    "hyperparameters.json": b'{"preset": "sprint"}',
    "run.yaml": b"name: mine\ntrack: loop\nlimits:\n  max_seconds: 60\nseed: 3\n",
}
OLD = {
    "reward.py": REWARD,
    "model_metadata.json": json.dumps({"action_space": ROWS}).encode(),
    "training-parameters.env": b'world_name="reinvent_base"\njob_duration="14400"\n',
}


def problems(files: dict[str, bytes], **options: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read_run_folder(files, **options)
    return caught.value.problems


def read_2019(parameters: bytes) -> RunSpec:
    files = {**OLD, "training-parameters.env": parameters}
    return read_run_folder(files, name="old", track=None).value


# Our form


def test_our_form_is_read() -> None:
    checked = read_run_folder(OURS)
    spec = checked.value
    assert (spec.name, spec.track, spec.seed) == ("mine", "loop", 3)
    assert spec.limits.max_seconds == 60
    assert spec.hyperparameters.horizon == 16
    assert spec.reward_function == REWARD.decode()
    assert checked.warnings == ()


def test_a_presets_values_for_the_network_are_those_of_a_folder_and_of_a_document() -> None:
    metadata = json.loads(OURS["model_metadata.json"]) | {"neural_network": "FAST"}
    files = {**OURS, "model_metadata.json": json.dumps(metadata).encode()}
    spec = read_run_folder(files).value
    assert spec.hyperparameters.lr == TRAIT_PRESETS["sprint", "FAST"]["lr"]
    document = spec.model_dump(mode="json") | {"hyperparameters": {"preset": "sprint"}}
    assert read_run_document(json.dumps(document).encode()).value == spec


def test_name_and_track_from_outside_go_before_the_folders() -> None:
    spec = read_run_folder(OURS, name="other", track="oval").value
    assert (spec.name, spec.track) == ("other", "oval")


def test_run_yaml_may_be_left_out_where_name_and_track_come_from_outside() -> None:
    files = {name: data for name, data in OURS.items() if name != "run.yaml"}
    spec = read_run_folder(files, track="loop", default_name="starter").value
    assert (spec.name, spec.track) == ("starter", "loop")


def test_an_empty_section_of_run_yaml_means_its_defaults() -> None:
    files = {**OURS, "run.yaml": b"name: a\ntrack: loop\nrace:\nlimits:\n"}
    assert read_run_folder(files).value.limits.max_seconds == 3600


def test_unknown_files_are_ignored_with_a_warning() -> None:
    checked = read_run_folder({**OURS, "notes.txt": b"", "tune1/model_metadata.json": b"{"})
    assert checked.warnings == (
        "ignored, not part of a run folder: 'notes.txt', 'tune1/model_metadata.json'",
    )


@pytest.mark.parametrize("missing", ["reward_function.py", "model_metadata.json"])
def test_a_missing_file_is_named(missing: str) -> None:
    files = {name: data for name, data in OURS.items() if name != missing}
    assert problems(files) == [f"{missing} is missing"]


def test_a_folder_with_only_hyperparameters_says_what_our_form_lacks() -> None:
    found = problems({"hyperparameters.json": b"{}"}, track="loop", name="a")
    assert found == ["reward_function.py is missing", "model_metadata.json is missing"]


@pytest.mark.parametrize("file", OURS)
def test_an_empty_file_is_refused_by_name(file: str) -> None:
    assert f"{file}: the file is empty" in problems({**OURS, file: b""})


@pytest.mark.parametrize("file", OURS)
def test_a_file_that_is_not_utf8_is_refused_with_the_line(file: str) -> None:
    (problem,) = problems({**OURS, file: b"# one\n\xe9\n"})
    assert problem == f"{file}: line 2: got byte b'\\xe9'; accepted: UTF-8"


RUN_YAML: list[tuple[bytes, str]] = [
    (b"trak: loop", "unknown key 'trak'; did you mean 'track'?"),
    (b"track: a/../b", "track: got 'a/../b'; accepted: text that matches"),
    (b"track: 5", "track: got 5; accepted: text"),
    (b"name: My Run", "name: got 'My Run'; accepted: text that matches ^[a-z0-9]"),
    (b"race: fast", "race: got 'fast'; accepted: a mapping with the keys type, direction"),
    (b"race: {type: drift}", "race.type: got 'drift'; accepted: 'time_trial'"),
    (b"race: {max_steps: 0}", "race.max_steps: got 0; accepted: a whole number from 10 to 10000"),
    (b"race: {start_position: 1}", "got 1; accepted: a number of at least 0 and below 1"),
    (b"race: {direction: left}", "accepted: 'counterclockwise' or 'clockwise'"),
    (b"race: {alternate_direction: 7}", "alternate_direction: got 7; accepted: true or false"),
    (b"race: {maxsteps: 9}", "race: unknown key 'maxsteps'; did you mean 'max_steps'?"),
    (b"limits: {max_seconds: soon}", "limits.max_seconds: got 'soon'; accepted: a number above 0"),
    (b"limits: {max_episodes: 0}", "limits.max_episodes: got 0; accepted: a whole number of at"),
    (b"evaluation: {trials: 0}", "evaluation.trials: got 0; accepted: a whole number from 1 to"),
    (b"start: {checkpoint: best}", "start.run is missing; accepted: text that matches"),
    (b"start: {run: a, checkpoint: 1.5}", "checkpoint: got 1.5; accepted: 'best' or 'last' or"),
    (b"seed: -1", "seed: got -1; accepted: a whole number of at least 0"),
    (b"seed: true", "seed: got True; accepted: a whole number"),
    (b"simulators: 0", "simulators: got 0; accepted: a whole number from 1 to 64"),
    (b"track: [loop", "malformed YAML, line 1 column 13"),
    (b"a: b: c", "malformed YAML, line 1 column 5"),
    (b"track: loop\n\tseed: 1", "malformed YAML, line 2 column 1"),
    (b"seed: 1\nseed: 2", "malformed YAML, line 2 column 1: the key 'seed' is there twice"),
    (b"? [a]\n: 1", "malformed YAML, line 1 column 3"),
    (b"- loop", "got ['loop']; accepted: a mapping"),
    (b"seed: !!python/object/apply:os.getcwd []", "malformed YAML, line 1 column 7"),
]


@pytest.mark.parametrize(("data", "words"), RUN_YAML, ids=[case[0].decode() for case in RUN_YAML])
def test_what_is_wrong_in_run_yaml_is_refused(data: bytes, words: str) -> None:
    found = problems({**OURS, "run.yaml": data}, name="a", track="loop")
    assert all(problem.startswith("run.yaml: ") for problem in found)
    assert any(words in problem for problem in found), found


def test_a_name_from_outside_that_no_run_may_have_is_refused() -> None:
    (problem,) = problems(OURS, name="My Run")
    assert problem.startswith("name: got 'My Run'; accepted: text that matches")


def test_a_folder_without_a_track_is_refused() -> None:
    (problem,) = problems({**OURS, "run.yaml": b"seed: 1"}, name="a")
    assert problem.startswith("run.yaml: track is missing; accepted: a track's name")


def test_a_folder_without_a_name_is_refused() -> None:
    (problem,) = problems({**OURS, "run.yaml": b"track: loop"})
    assert problem.startswith("run.yaml: name is missing")


def test_all_problems_of_all_files_are_named_at_once() -> None:
    found = problems(
        {
            "reward_function.py": b"",
            "model_metadata.json": b'{"action_space": [], "version": "9"}',
            "hyperparameters.json": b'{"batch_size": 0, "lr": "x"}',
            "run.yaml": b"track: loop\nseed: -1\nrace: {max_steps: 1}",
        },
        name="My Run",
    )
    files = [problem.partition(":")[0] for problem in found]
    assert files == [
        "reward_function.py",
        *["model_metadata.json"] * 2,
        *["hyperparameters.json"] * 2,
        *["run.yaml"] * 2,
        "name",
    ]


def test_steering_beyond_30_degrees_is_refused_in_our_form() -> None:
    rows = [ROWS[0], {**ROWS[1], "steering_angle": 45}]
    data = json.dumps({"action_space": rows}).encode()
    (problem,) = problems({**OURS, "model_metadata.json": data})
    assert "action_space[1].steering_angle: got 45; accepted: a number from -30 to 30" in problem


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "/etc/passwd", "C:\\x", "..\\x", "\\\\host\\x", "a\0b"],
)
def test_a_path_that_climbs_out_of_the_folder_is_refused(path: str) -> None:
    (problem,) = problems({**OURS, path: b""})
    assert problem == f"file name {path!r}; accepted: a name inside the folder"


def test_a_large_file_is_refused_with_the_limit() -> None:
    with pytest.raises(TooLarge, match=r"1,048,577 bytes; accepted: up to 1,048,576"):
        read_run_folder({**OURS, "reward_function.py": b"#" * (MAX_FILE_BYTES + 1)})


def test_many_files_that_are_large_together_are_refused() -> None:
    many = {f"{number}.txt": b" " * MAX_FILE_BYTES for number in range(5)}
    with pytest.raises(TooLarge, match="the files have"):
        read_run_folder({**OURS, **many})


def test_files_of_neither_form_are_refused_with_what_each_form_lacks() -> None:
    (problem,) = problems({"model_metadata.json": b"{}"})
    assert "our form lacks reward_function.py, hyperparameters.json" in problem
    assert "2019 lacks reward.py, training-parameters.env" in problem


def test_files_of_both_forms_are_refused() -> None:
    (problem,) = problems({**OURS, **OLD})
    assert problem.startswith("two forms of run folder are mixed")


# The form of 2019


def test_the_2019_form_is_read() -> None:
    spec = read_run_folder(OLD, name="old").value
    assert spec.track == "reinvent_base"
    assert spec.limits.max_seconds == 14400
    assert spec.metadata.version == "1"
    assert spec.hyperparameters.num_epochs == 10
    assert spec.start is None


def test_every_key_of_2019_is_taken() -> None:
    spec = read_2019(
        b"""\
# A comment, then values in every way of writing them down.
batch_size="128"
beta_entropy='0.005'
discount_factor=.95
e_greedy_value="1.0"
epsilon_steps="10000"
export exploration_type="categorical"
loss_type="Mean squared error"   # with a blank in it
lr="0.0001"
lr_decay_rate="0"
lr_decay_steps="0"
num_episodes_between_training="40"
num_epochs="5"
stack_size="1"
stack_size="1"
term_cond_avg_score="100000.0"
term_cond_max_episodes="800"
aws_region="us-east-1"
job_duration="7200"
world_name="Tokyo_Training_track_low_rtf"
pretrained_id="20190920060254-5A6B7C8D-1111-2222-3333-444455556666"
change_start_position="false"
start_position="0.25"
alternate_driving_direction="true"
sim_update_rate="500.00"
tensorboard="true"
dump_gifs="false"
dump_mp4="false"
"""
    )
    values = spec.hyperparameters
    assert (values.batch_size, values.beta_entropy, values.discount_factor) == (128, 0.005, 0.95)
    assert (values.lr, values.num_epochs, values.num_episodes_between_training) == (1e-4, 5, 40)
    assert (values.loss_type, values.term_cond_max_episodes) == ("mean squared error", 800)
    assert spec.track == "Tokyo_Training_track"
    assert spec.limits.max_seconds == 7200
    assert spec.start is not None
    assert spec.start.run == "20190920060254-5a6b7c8d-1111-2222-3333-444455556666"
    assert spec.start.checkpoint == "last"
    race = spec.race
    assert (race.start_position, race.change_start_position) == (0.25, False)
    assert race.alternate_direction is True


def test_what_has_no_effect_is_said() -> None:
    parameters = b'world_name="loop"\nsim_update_rate="300.00"\ndump_mp4="true"\nlr_decay_rate="0"'
    checked = read_run_folder({**OLD, "training-parameters.env": parameters}, name="old")
    assert [warning.split(" ")[1] for warning in checked.warnings] == [
        "sim_update_rate",
        "lr_decay_rate",
        "dump_mp4",
    ]


def test_a_key_twice_with_another_value_counts_as_in_a_shell() -> None:
    parameters = b"world_name=loop\nlr=0.0001\nlr=0.0002"
    checked = read_run_folder({**OLD, "training-parameters.env": parameters}, name="old")
    assert checked.value.hyperparameters.lr == 0.0002
    assert "lr is there twice: '0.0002' of line 3 counts" in checked.warnings[0]


def test_an_empty_pretrained_id_means_a_fresh_start() -> None:
    assert read_2019(b'world_name="loop"\npretrained_id=""').start is None


def test_a_whole_lap_as_start_position_is_the_start_line() -> None:
    assert read_2019(b'world_name="loop"\nstart_position="1.0"').race.start_position == 0


def test_windows_line_ends_are_no_problem() -> None:
    assert read_2019(b'world_name="loop"\r\nlr="0.0001"\r\n').hyperparameters.lr == 1e-4


def test_a_2019_folder_may_steer_to_60_degrees_with_a_warning() -> None:
    rows = [ROWS[0], {**ROWS[1], "steering_angle": 60, "speed": 14}]
    metadata = json.dumps({"action_space": rows}).encode()
    checked = read_run_folder({**OLD, "model_metadata.json": metadata}, name="old")
    assert "1 of 2 actions" in checked.warnings[0]


PARAMETERS: list[tuple[bytes, str]] = [
    (b"", "the file is empty"),
    (b"seed=1\nlr=0.0001", "unknown key 'seed'"),
    (b"batchsize=64", "unknown key 'batchsize'; did you mean 'batch_size'?"),
    (b"batch_size=0", "batch_size: got '0'; accepted: a whole number from 1 to 4096"),
    (b'lr="fast"', "lr: got 'fast'; accepted: a number"),
    (b"# one\nnonsense", "line 2: got 'nonsense'; accepted: key=\"value\""),
    (b'lr="0.1', 'line 1: got \'lr="0.1\'; accepted: key="value"'),
    (b"lr=1 epsilon_steps=2", "line 1: got"),
    (b"world_name=$(hostname)", "line 1: world_name: got '$(hostname)'; accepted: a plain value"),
    (b"world_name=`hostname`", "accepted: a plain value, nothing is expanded"),
    (b"world_name=../x", "world_name: got '../x'; accepted: text that matches"),
    (b"job_duration=0", "job_duration: got '0'; accepted: a number above 0"),
    (b"start_position=1.5", "start_position: got '1.5'; accepted: a number from 0 to 1"),
    (b"change_start_position=maybe", "got 'maybe'; accepted: true or false"),
    (b'pretrained_id="a b"', "pretrained_id: got 'a b'; accepted: text that matches"),
    (b"lr=0.0001", "world_name is missing; accepted: a track's name"),
]


@pytest.mark.parametrize(
    ("data", "words"), PARAMETERS, ids=[case[0].decode() or "nothing" for case in PARAMETERS]
)
def test_what_is_wrong_in_the_parameters_is_refused(data: bytes, words: str) -> None:
    found = problems({**OLD, "training-parameters.env": data}, name="old")
    assert all(problem.startswith("training-parameters.env: ") for problem in found)
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize(
    ("world", "track"),
    [
        ("reinvent_base", "reinvent_base"),
        ("Reinvent_Base", "reinvent_base"),
        ("reinvent_wood", "reinvent_base"),
        ("reinvent_carpet_lights", "reinvent_base"),
        ("Canada_Training_low_rtf", "Canada_Training"),
        ("Bowtie_mixture", "Bowtie_track"),
        ("bowtie_eval_01", "Bowtie_track"),
        ("bowtie_eval_02_low_rtf", "Bowtie_track"),
        ("Virtual_May19_Train_track", "London_Loop_Train"),
        ("my_own_lights", "my_own"),
        ("nowhere", "nowhere"),
    ],
)
def test_worlds_are_mapped_to_their_tracks(world: str, track: str) -> None:
    assert track_of_world(world) == track


# Folders on disk


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_on_disk_gives_its_own_name_to_the_run(tmp_path: Path) -> None:
    folder = write(tmp_path / "My Car_2", {**OURS, "run.yaml": b"track: loop"})
    assert read_run_directory(folder).value.name == "my-car-2"


def test_other_entries_of_a_folder_are_named_and_never_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "car", OURS)
    (folder / "data.bin").write_bytes(b"\0" * (MAX_FILE_BYTES + 1))
    (folder / "tune1").mkdir()
    checked = load_directory(folder)
    assert checked.value == OURS
    assert checked.warnings == ("ignored, not part of a run folder: 'data.bin', 'tune1'",)


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no run folder at"):
        load_directory(tmp_path / "nowhere")


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "car", {name: OURS[name] for name in OURS if name != "run.yaml"})
    (tmp_path / "secret").write_bytes(b"track: loop")
    (folder / "run.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInput, match="run.yaml leads out of the folder"):
        load_directory(folder)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "car", {name: OURS[name] for name in OURS if name != "run.yaml"})
    (folder / "run.yaml").mkdir()
    with pytest.raises(InvalidInput, match="run.yaml is no plain file"):
        load_directory(folder)


def test_a_large_file_on_disk_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "car", {**OURS, "run.yaml": b" " * (MAX_FILE_BYTES + 1)})
    with pytest.raises(TooLarge, match="'run.yaml' has 1,048,577 bytes"):
        load_directory(folder)


@pytest.mark.parametrize(
    ("text", "name"), [("My Car", "my-car"), ("_a__b_", "a-b"), ("ü", "run"), ("a" * 99, "a" * 63)]
)
def test_any_text_can_be_made_a_runs_name(text: str, name: str) -> None:
    assert run_name_of(text) == name


# One JSON document


def test_a_spec_survives_the_way_through_a_json_document() -> None:
    spec = read_run_folder(OURS).value
    assert read_run_document(spec.model_dump_json().encode()).value == spec


def test_a_document_may_name_a_preset_and_leave_the_rest_out() -> None:
    document = {
        "track": "loop",
        "metadata": {"action_space": ROWS},
        "hyperparameters": {"preset": "sprint"},
        "reward_function": REWARD.decode(),
    }
    spec = read_run_document(json.dumps(document).encode(), default_name="mine").value
    assert (spec.name, spec.hyperparameters.horizon) == ("mine", 16)


def test_all_problems_of_a_document_are_named_by_their_paths() -> None:
    document = {
        "name": "A",
        "track": "loop",
        "metadata": {"action_space": [], "sensr": 1},
        "hyperparameters": {"batch_size": 0, "epochs": 1},
        "race": {"max_steps": 1},
        "limit": {},
    }
    with pytest.raises(InvalidInput) as caught:
        read_run_document(json.dumps(document).encode())
    found = "\n".join(caught.value.problems)
    for words in (
        "name: got 'A'",
        "metadata: unknown key 'sensr'; did you mean 'sensor'?",
        "metadata: action_space: got 0 actions",
        "hyperparameters.batch_size: got 0",
        "hyperparameters: unknown key 'epochs'",
        "race.max_steps: got 1",
        "unknown key 'limit'; did you mean 'limits'?",
        "reward_function is missing",
    ):
        assert words in found


# What the project ships, and what the learner takes


@pytest.mark.parametrize("folder", sorted(MODELS.iterdir()), ids=lambda folder: folder.name)
def test_every_shipped_folder_is_read_and_names_a_built_in_track(folder: Path) -> None:
    spec = read_run_directory(folder).value
    assert spec.name == folder.name
    assert spec.track in built_in_names()


@pytest.mark.parametrize("name", ["starter", "racer", "continuous", "sandbox-2019"])
def test_the_learner_takes_the_shipped_folders(name: str) -> None:
    check_supported(read_run_directory(MODELS / name).value)


def test_a_minibatch_that_no_rollout_fills_is_refused() -> None:
    spec = read_run_directory(MODELS / "starter").value
    hyperparameters = spec.hyperparameters.model_copy(update={"horizon": 4})
    with pytest.raises(
        InvalidInput, match="batch_size: got 64; accepted: up to 32, the steps of 8"
    ):
        check_supported(spec.model_copy(update={"hyperparameters": hyperparameters}))


def test_a_presets_minibatch_is_no_larger_than_what_few_cars_drive() -> None:
    checked = check_hyperparameters({"preset": "sprint", "cars": 1}, "hyperparameters.json")
    assert (checked.value.cars, checked.value.horizon, checked.value.batch_size) == (1, 16, 16)
    assert "batch_size is 16 instead of 64: 1 cars drive 16 steps" in checked.warnings[0]
    asked = {"preset": "sprint", "cars": 1, "batch_size": 64}
    assert check_hyperparameters(asked, "hyperparameters.json").value.batch_size == 64


def with_sac(**changes: int | None) -> RunSpec:
    spec = read_run_directory(MODELS / "continuous").value
    metadata = spec.metadata.model_copy(update={"training_algorithm": "sac"})
    hyperparameters = spec.hyperparameters.model_copy(update=changes)
    return spec.model_copy(update={"metadata": metadata, "hyperparameters": hyperparameters})


def test_the_learner_takes_sac_with_continuous_actions() -> None:
    check_supported(with_sac())
    check_supported(with_sac(horizon=1))  # minibatches are drawn from the replay, not the horizon


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": "bfloat16"}, "precision: got 'bfloat16' with SAC; accepted: 'fp32'"),
        ({"replay_size": 32}, "replay_size: got 32; accepted: at least batch_size, 64"),
        ({"replay_size": 100, "cars": 128}, "replay_size: got 100; accepted: at least cars, 128"),
        (
            {"replay_size": 500, "warm_up_steps": 501},
            "warm_up_steps: got 501; accepted: up to replay_size, 500",
        ),
    ],
)
def test_a_replay_that_cannot_be_learned_from_is_refused(
    changes: dict[str, int], words: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_supported(with_sac(**changes))
    assert any(words in problem for problem in refused.value.problems)


def test_a_start_from_another_algorithm_is_refused() -> None:
    with pytest.raises(InvalidInput, match="training_algorithm of run 'continuous' is"):
        check_start(with_sac(), read_run_directory(MODELS / "continuous").value)


def test_a_start_from_another_network_is_refused_with_every_difference() -> None:
    spec = read_run_directory(MODELS / "starter").value
    check_start(spec, read_run_directory(MODELS / "continuous").value)  # other actions are mapped
    changes = {"neural_network": "FAST", "sensor": ("STEREO_CAMERAS",)}
    other = spec.model_copy(update={"metadata": spec.metadata.model_copy(update=changes)})
    with pytest.raises(InvalidInput) as refused:
        check_start(spec, other)
    assert refused.value.problems == [
        "start: the neural_network of run 'starter' is 'FAST'; accepted: that of this run, "
        "'DEEP_CONVOLUTIONAL_NETWORK_SHALLOW'",
        "start: the sensor of run 'starter' is ['STEREO_CAMERAS']; accepted: that of this run, "
        "['FRONT_FACING_CAMERA']",
    ]


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        sections = [
            member
            for member in (field.annotation, *get_args(field.annotation))
            if isinstance(member, type) and issubclass(member, BaseModel)
        ]
        if sections:
            yield from keys_of(sections[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.mark.parametrize(
    "key", [*keys_of(Hyperparameters), *keys_of(RunFile), *sandbox_2019.KEYS, "preset"]
)
def test_the_guide_tells_of_every_key(key: str) -> None:
    assert f"`{key}`" in GUIDE.read_text()
