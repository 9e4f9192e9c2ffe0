"""`model_metadata.json`: what is read, what is refused and with which words."""

import json
from pathlib import Path
from typing import Any

import pytest

from libs.common.deepracer.metadata import (
    ContinuousActionSpace,
    DiscreteAction,
    ModelMetadata,
    parse_model_metadata,
)
from libs.common.errors import InvalidInput

REAL_RUNS = Path(__file__).parents[3] / "shared" / "data" / "runs"

FIVE = [
    {"steering_angle": angle, "speed": 1.5, "index": index}
    for index, angle in enumerate((-30, -15, 0, 15, 30))
]
RANGES = {"speed": {"low": 1, "high": 2}, "steering_angle": {"low": -30, "high": 30}}


def parse(**keys: Any) -> ModelMetadata:
    return parse_model_metadata(json.dumps(keys).encode()).value


def problems(**keys: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse(**keys)
    return caught.value.problems


def five_but(position: int, **changes: Any) -> list[dict[str, Any]]:
    return [{**row, **(changes if row["index"] == position else {})} for row in FIVE]


def test_a_file_with_only_an_action_space_gets_deepracers_defaults() -> None:
    metadata = parse(action_space=FIVE)
    assert metadata.version == "1"
    assert metadata.sensor == ("FRONT_FACING_CAMERA",)
    assert metadata.neural_network == "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"
    assert metadata.training_algorithm == "clipped_ppo"
    assert metadata.action_space_type == "discrete"


def test_a_sensor_without_a_version_means_version_2() -> None:
    assert parse(action_space=FIVE, sensor=["FRONT_FACING_CAMERA"]).version == "2"


def test_a_version_may_be_a_number() -> None:
    assert parse(action_space=FIVE, version=5).version == "5"


def test_continuous_ranges_are_read_and_their_type_is_inferred() -> None:
    metadata = parse(action_space=RANGES, version="5")
    assert isinstance(metadata.action_space, ContinuousActionSpace)
    assert metadata.action_space_type == "continuous"
    assert metadata.action_space.steering_angle.low == -30


def test_the_2019_name_of_the_camera_is_accepted_with_a_warning() -> None:
    data = json.dumps({"action_space": FIVE, "sensor": ["observation"]}).encode()
    checked = parse_model_metadata(data)
    assert checked.value.sensor == ("FRONT_FACING_CAMERA",)
    assert "2019 name" in checked.warnings[0]


def test_a_2019_file_may_go_beyond_todays_limits_with_a_warning() -> None:
    rows = five_but(0, steering_angle=-60, speed=14)
    checked = parse_model_metadata(json.dumps({"action_space": rows}).encode())
    assert isinstance(checked.value.action_space, tuple)
    assert checked.value.action_space[0].steering_angle == -60
    assert len(checked.warnings) == 1
    assert "1 of 5 actions" in checked.warnings[0]
    assert "-60" in checked.warnings[0]


def test_even_a_2019_file_has_limits() -> None:
    (problem,) = problems(action_space=five_but(0, steering_angle=-61))
    assert "got -61; accepted: a number from -60 to 60" in problem


def test_a_2019_file_is_refused_the_wide_limits_where_they_are_not_allowed() -> None:
    data = json.dumps({"action_space": five_but(0, steering_angle=-45)}).encode()
    with pytest.raises(InvalidInput, match="got -45; accepted: a number from -30 to 30"):
        parse_model_metadata(data, allow_2019=False)


def test_rows_without_any_index_are_numbered_by_their_position() -> None:
    rows = [{"steering_angle": -10, "speed": 1}, {"steering_angle": 10, "speed": 1}]
    space = parse(action_space=rows).action_space
    assert isinstance(space, tuple)
    assert [action.index for action in space] == [0, 1]


def test_rows_out_of_order_keep_their_order_with_a_warning() -> None:
    rows = [FIVE[1] | {"index": 1}, FIVE[0] | {"index": 0}]
    checked = parse_model_metadata(json.dumps({"action_space": rows}).encode())
    assert isinstance(checked.value.action_space, tuple)
    assert [action.steering_angle for action in checked.value.action_space] == [-15, -30]
    assert "order" in checked.warnings[0]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no action space", {}, "action_space is missing"),
    ("empty action space", {"action_space": []}, "got 0 actions; accepted: 2 to"),
    ("one action", {"action_space": FIVE[:1]}, "got 1 actions; accepted: 2 to"),
    ("31 actions", {"action_space": FIVE[:1] * 31, "version": "5"}, "got 31 actions"),
    ("gap in the indices", {"action_space": five_but(4, index=7)}, "no action has index 4"),
    ("index twice", {"action_space": five_but(4, index=3)}, "index 3 is there twice"),
    ("one index missing", {"action_space": five_but(2, index=None)}, "[2].index: got None"),
    ("text for an index", {"action_space": five_but(2, index="2")}, "[2].index: got '2'"),
    (
        "too much steering",
        {"action_space": five_but(4, steering_angle=30.5), "version": "5"},
        "action_space[4].steering_angle: got 30.5; accepted: a number from -30 to 30 (degrees)",
    ),
    (
        "too fast",
        {"action_space": five_but(1, speed=4.1), "version": "5"},
        "action_space[1].speed: got 4.1; accepted: a number from 0.1 to 4 (m/s)",
    ),
    (
        "too slow",
        {"action_space": five_but(1, speed=0.05), "version": "5"},
        "action_space[1].speed: got 0.05; accepted: a number from 0.1 to 4 (m/s)",
    ),
    ("text for a speed", {"action_space": five_but(1, speed="fast")}, "speed: got 'fast'"),
    ("truth for a speed", {"action_space": five_but(1, speed=True)}, "speed: got True"),
    ("no speed", {"action_space": five_but(1, speed=None)}, "[1].speed is missing"),
    ("unknown key in a row", {"action_space": five_but(1, sped=1)}, "did you mean 'speed'?"),
    ("a row that is no mapping", {"action_space": [1, 2]}, "action_space[0]: got 1; accepted"),
    ("an action space of text", {"action_space": "fast"}, "action_space: got 'fast'; accepted"),
    ("unknown key", {"action_space": FIVE, "sensors": []}, "did you mean 'sensor'?"),
    ("unknown version", {"action_space": FIVE, "version": "7"}, "version: got '7'; accepted: 1"),
    ("version of another kind", {"action_space": FIVE, "version": [5]}, "version: got [5]"),
    ("no camera", {"action_space": FIVE, "sensor": []}, "accepted: exactly one camera"),
    (
        "two cameras",
        {"action_space": FIVE, "sensor": ["FRONT_FACING_CAMERA", "LEFT_CAMERA"]},
        "accepted: exactly one camera",
    ),
    (
        "two lidars",
        {"action_space": FIVE, "sensor": ["FRONT_FACING_CAMERA", "LIDAR", "SECTOR_LIDAR"]},
        "at most one lidar",
    ),
    (
        "an unknown sensor",
        {"action_space": FIVE, "sensor": ["FRONT_FACING_CAMERA", "RADAR"]},
        "got 'RADAR'; accepted: FRONT_FACING_CAMERA, LEFT_CAMERA, STEREO_CAMERAS, LIDAR, "
        "SECTOR_LIDAR, DISCRETIZED_SECTOR_LIDAR",
    ),
    ("no camera", {"action_space": FIVE, "sensor": ["LIDAR"]}, "exactly one camera"),
    (
        "sectors of unequal size",
        {"action_space": FIVE, "lidar_config": {"num_sectors": 5}},
        "lidar_config.num_sectors: got 5; accepted: 1 or 2 or 4 or 8 or 16 or 32 or 64",
    ),
    ("a sensor of text", {"action_space": FIVE, "sensor": "LIDAR"}, "accepted: a list of names"),
    (
        "an unknown network",
        {"action_space": FIVE, "neural_network": "RESNET"},
        "got 'RESNET'; accepted: DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
    ),
    (
        "an unknown algorithm",
        {"action_space": FIVE, "training_algorithm": "dqn"},
        "got 'dqn'; accepted: clipped_ppo or sac",
    ),
    (
        "sac with discrete actions",
        {"action_space": FIVE, "training_algorithm": "sac"},
        "got 'sac'; accepted: clipped_ppo with discrete actions",
    ),
    (
        "a type that the action space has not",
        {"action_space": FIVE, "action_space_type": "continuous"},
        "got 'continuous'; accepted: 'discrete', which action_space is",
    ),
    (
        "an unknown type",
        {"action_space": FIVE, "action_space_type": "both"},
        "got 'both'; accepted: discrete or continuous",
    ),
    (
        "low above high",
        {"action_space": {**RANGES, "speed": {"low": 3, "high": 1}}},
        "action_space.speed: got {'high': 1, 'low': 3}; accepted: low below high",
    ),
    (
        "a continuous speed below the limit",
        {"action_space": {**RANGES, "speed": {"low": 0.4, "high": 1}}},
        "action_space.speed.low: got 0.4; accepted: a number from 0.5 to 4",
    ),
    (
        "a continuous steering beyond the limit",
        {"action_space": {**RANGES, "steering_angle": {"low": -31, "high": 30}}},
        "action_space.steering_angle.low: got -31; accepted: a number from -30",
    ),
    ("half a range", {"action_space": {"speed": {"low": 1}}}, "action_space.speed.high is missing"),
    ("no steering range", {"action_space": {"speed": {}}}, "steering_angle: got None"),
]


@pytest.mark.parametrize(
    ("keys", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_wrong_is_refused_with_the_value_and_what_is_accepted(
    keys: dict[str, Any], words: str
) -> None:
    found = problems(**keys)
    assert any(words in problem for problem in found), found
    assert all(problem.startswith("model_metadata.json: ") for problem in found)


def test_every_problem_is_named_at_once() -> None:
    rows = five_but(0, steering_angle=99, speed="x")
    found = problems(action_space=rows, version="9", neural_network="RESNET", sensr=1)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b" \n ", "the file is empty"),
        (b"\xff\xfe", "accepted: UTF-8"),
        (b'{\n  "action_space": [,]\n}', "malformed JSON, line 2 column 20"),
        (b"[]", "got []; accepted: a JSON object"),
        (b'{"version": NaN}', "got NaN; accepted: finite numbers"),
        (b'{"version": 5, "version": 6}', "the key 'version' is there twice"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_malformed_bytes_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match="model_metadata.json") as caught:
        parse_model_metadata(data)
    assert words in caught.value.problems[0]


def test_a_byte_order_mark_is_no_problem() -> None:
    data = b"\xef\xbb\xbf" + json.dumps({"action_space": FIVE}).encode()
    assert len(parse_model_metadata(data).value.model_dump()["action_space"]) == 5


def test_the_model_keeps_its_rules_where_no_file_was_read() -> None:
    with pytest.raises(ValueError, match="no action has index 0"):
        ModelMetadata(
            action_space=(
                DiscreteAction(steering_angle=0, speed=1, index=1),
                DiscreteAction(steering_angle=9, speed=1, index=2),
            )
        )


def test_metadata_survives_the_way_through_json() -> None:
    for keys in ({"action_space": FIVE}, {"action_space": RANGES, "version": "5"}):
        metadata = parse(**keys)
        assert ModelMetadata.model_validate_json(metadata.model_dump_json()) == metadata


def test_a_published_file_is_read() -> None:
    file = REAL_RUNS / "single-worker" / "model" / "model_metadata.json"
    if not file.exists():
        pytest.skip("the published runs are not here")
    checked = parse_model_metadata(file.read_bytes())
    assert isinstance(checked.value.action_space, tuple)
    assert len(checked.value.action_space) == 14
    assert checked.value.version == "4"
    assert checked.warnings == ()
