"""Section `race` of a run: what is accepted, and what is said of the rest."""

import json

import pytest

from libs.common.deepracer.folder import read_run_folder
from libs.common.deepracer.run_file import parse_run_file
from libs.common.deepracer.run_spec import RaceSpec
from libs.common.errors import InvalidInput


def race_of(text: str) -> RaceSpec:
    return parse_run_file(b"race: {" + text.encode() + b"}").value.race


def test_fixed_places_need_no_count() -> None:
    race = race_of(
        "type: object_avoidance, "
        "objects: {places: [{position: 0.2, lane: -1}, {position: 0.5, lane: 1}]}"
    )
    assert race.objects.count == 2
    assert [place.lane for place in race.objects.places] == [-1, 1]


def test_a_race_survives_json() -> None:
    race = RaceSpec(
        type="object_avoidance",
        objects={"places": [{"position": 0.07, "lane": 1}, {"position": 0.2, "lane": 1}]},
    )
    assert RaceSpec.model_validate_json(race.model_dump_json()) == race


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("objects: {count: 7}", "race.objects.count: got 7; accepted: a whole number from 1 to 6"),
        (
            "objects: {places: [{position: 0.95, lane: 1}]}",
            "race.objects.places[0].position: got 0.95; accepted: a number from 0.07 to 0.9",
        ),
        (
            "objects: {places: [{position: 0.5, lane: 0}]}",
            "race.objects.places[0].lane: got 0; accepted: -1 or 1",
        ),
        (
            "objects: {places: [{position: 0.5, lane: 1}, {position: 0.4, lane: -1}]}",
            "race.objects: got places at 0.4 and 0.5; accepted: 0.13 of a lap between any two",
        ),
        (
            "objects: {count: 2, places: [{position: 0.5, lane: 1}]}",
            "race.objects: got count 2 with 1 places; accepted: a place for each, or no count",
        ),
        (
            "bots: {speed_low_mps: 2}",
            "race.bots: got speed_low_mps 2 and speed_high_mps 0.2; accepted: the former no "
            "greater than the latter",
        ),
        ("cars_on_track: 1", "race.cars_on_track: got 1; accepted: a whole number from 2 to 8"),
        ("laps: 0", "race.laps: got 0; accepted: a whole number from 1 to 20"),
        ("crash_penalty_s: -1", "race.crash_penalty_s: got -1; accepted: a number from 0 to 60"),
        (
            "type: head_to_model, alternate_direction: true",
            "race: got alternate_direction True with head_to_model",
        ),
    ],
)
def test_a_race_that_can_not_be_driven_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        race_of(text)
    assert problem in str(caught.value)


def test_learners_that_share_a_track_come_in_whole_tracks() -> None:
    actions = [{"steering_angle": angle, "speed": 1.0} for angle in (-30, 30)]
    files = {
        "run.yaml": b"track: loop\nrace: {type: head_to_model, cars_on_track: 3}",
        "model_metadata.json": json.dumps({"action_space": actions}).encode(),
        "hyperparameters.json": b'{"cars": 8}',
        "reward_function.py": b"def reward_function(params):\n    return 1.0\n",
    }
    with pytest.raises(InvalidInput, match=r"cars: got 8 .* accepted: a multiple of 3"):
        read_run_folder(files, name="three")
    files["hyperparameters.json"] = b'{"cars": 9}'
    assert read_run_folder(files, name="three").value.race.cars_in_arena == 3
