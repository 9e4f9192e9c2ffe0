"""`hyperparameters.json`: presets, text for numbers, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from libs.common.deepracer.hyperparameters import (
    LATE,
    LATE_FAST,
    PRESETS,
    TRAIT_PRESETS,
    Hyperparameters,
    parse_hyperparameters,
)
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.errors import InvalidInput

REAL_RUNS = Path(__file__).parents[3] / "shared" / "data" / "runs"


def parse(**keys: Any) -> Hyperparameters:
    return parse_hyperparameters(json.dumps(keys).encode()).value


def problems(**keys: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse(**keys)
    return caught.value.problems


def test_an_empty_object_gives_deepracers_defaults() -> None:
    values = parse()
    assert (values.batch_size, values.num_epochs, values.lr) == (64, 10, 3e-4)
    assert (values.discount_factor, values.loss_type) == (0.999, "mean squared error")
    assert (values.num_episodes_between_training, values.horizon) == (20, None)


def test_the_deepracer_preset_is_the_defaults() -> None:
    assert parse(preset="deepracer") == Hyperparameters()


def test_a_preset_gives_the_defaults_and_given_keys_override_it() -> None:
    values = parse(preset="sprint", lr=1e-3)
    assert values.lr == 1e-3
    assert values.horizon == PRESETS["sprint"]["horizon"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid(name: str) -> None:
    values = parse(preset=name).model_dump()
    assert {key: values[key] for key in PRESETS[name]} == PRESETS[name]


def test_asking_for_episodes_switches_a_presets_horizon_off() -> None:
    values = parse(preset="sprint", num_episodes_between_training=10)
    assert values.horizon is None
    assert values.num_episodes_between_training == 10


def test_numbers_may_be_text_as_the_launcher_of_2019_sent_them() -> None:
    values = parse(batch_size="128", lr="0.0003", e_greedy_value="1.0", epsilon_steps="10000")
    assert (values.batch_size, values.lr) == (128, 3e-4)


def test_everything_may_lie_under_a_key_hyperparameters() -> None:
    assert parse(hyperparameters={"batch_size": "32"}).batch_size == 32


def test_the_case_of_names_does_not_matter() -> None:
    assert parse(loss_type="Mean squared error").loss_type == "mean squared error"


def test_keys_of_2019_without_effect_are_accepted_with_a_warning() -> None:
    checked = parse_hyperparameters(b'{"lr_decay_rate": 0, "dump_gifs": "false"}')
    assert checked.value == Hyperparameters()
    assert checked.warnings == (
        "hyperparameters.json: lr_decay_rate is accepted and has no effect",
        "hyperparameters.json: dump_gifs is accepted and has no effect",
    )


def test_values_that_deepracer_itself_would_refuse_are_accepted_with_a_warning() -> None:
    checked = parse_hyperparameters(b'{"batch_size": 1024}')
    assert checked.value.batch_size == 1024
    assert checked.warnings == (
        "hyperparameters.json: batch_size is 1024: accepted here, DeepRacer takes 32 to 512",
    )


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"batch_size": 0}, "batch_size: got 0; accepted: a whole number from 1 to 4096"),
    ({"batch_size": 64.5}, "batch_size: got 64.5; accepted: a whole number from 1 to 4096"),
    ({"batch_size": "many"}, "batch_size: got 'many'; accepted: a whole number from 1 to 4096"),
    ({"batch_size": None}, "batch_size: got None; accepted: a whole number"),
    ({"batch_size": [64]}, "batch_size: got [64]; accepted: a whole number"),
    ({"num_epochs": True}, "num_epochs: got True; accepted: a whole number from 1 to 100"),
    ({"lr": 0}, "lr: got 0; accepted: a number from 1e-08 to 0.01"),
    ({"lr": 10}, "lr: got 10; accepted: a number from 1e-08 to 0.01"),
    ({"lr": "nan"}, "lr: got 'nan'; accepted: a number from 1e-08 to 0.01"),
    ({"lr": ""}, "lr: got ''; accepted: a number from 1e-08 to 0.01"),
    ({"beta_entropy": -0.1}, "beta_entropy: got -0.1; accepted: a number from 0 to 1"),
    ({"discount_factor": 1.01}, "discount_factor: got 1.01; accepted: a number from 0 to 1"),
    ({"loss_type": "mse"}, "loss_type: got 'mse'; accepted: 'huber' or 'mean squared error'"),
    ({"exploration_type": 1}, "accepted: 'categorical' or 'e-greedy'"),
    ({"num_episodes_between_training": 0}, "got 0; accepted: a whole number from 1 to 1000"),
    ({"cars": 257}, "cars: got 257; accepted: a whole number from 1 to 256"),
    ({"clip_coef": 0}, "clip_coef: got 0; accepted: a number above 0 and up to 1"),
    ({"max_grad_norm": -1}, "max_grad_norm: got -1; accepted: a number above 0 or null"),
    ({"term_cond_avg_score": "inf"}, "term_cond_avg_score: got 'inf'; accepted: a number"),
    ({"batchsize": 64}, "unknown key 'batchsize'; did you mean 'batch_size'?"),
    ({"xyz": 64}, "unknown key 'xyz'; accepted: batch_size, "),
    ({"preset": "fast"}, "preset: got 'fast'; accepted: 'deepracer' or 'sprint' or 'race'"),
    ({"preset": ["sprint"]}, "preset: got ['sprint']; accepted"),
    (
        {"horizon": 16, "num_episodes_between_training": 20},
        "horizon: got 16 beside num_episodes_between_training 20; accepted: one of the two",
    ),
]


@pytest.mark.parametrize(("keys", "words"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_what_is_wrong_is_refused_with_the_value_and_what_is_accepted(
    keys: dict[str, Any], words: str
) -> None:
    (problem,) = problems(**keys)
    assert problem.startswith("hyperparameters.json: ")
    assert words in problem


def test_every_problem_is_named_at_once() -> None:
    found = problems(preset="fast", batch_size=0, lr="x", num_epoch=3)
    assert len(found) == 4


def test_a_long_value_is_quoted_in_short() -> None:
    (problem,) = problems(lr="9" * 100_000)
    assert len(problem) < 300


def test_values_survive_the_way_through_json() -> None:
    values = parse(preset="sprint")
    assert Hyperparameters.model_validate_json(values.model_dump_json()) == values


def test_a_preset_is_resolved_where_no_file_was_read() -> None:
    assert Hyperparameters.model_validate({"preset": "sprint"}).horizon == 16


def test_a_published_file_is_read() -> None:
    file = REAL_RUNS / "single-worker" / "ip" / "hyperparameters.json"
    if not file.exists():
        pytest.skip("the published runs are not here")
    checked = parse_hyperparameters(file.read_bytes())
    assert (checked.value.discount_factor, checked.value.num_epochs) == (0.95, 3)
    assert checked.value.loss_type == "huber"
    assert checked.warnings == ()


def of_model(keys: dict[str, Any], **traits: Any) -> Hyperparameters:
    actions = [{"steering_angle": 0, "speed": 1, "index": 0}]
    actions.append({"steering_angle": 30, "speed": 1, "index": 1})
    metadata = ModelMetadata.model_validate({"action_space": actions, **traits})
    return parse_hyperparameters(json.dumps(keys).encode(), metadata=metadata).value


def test_a_preset_has_values_of_its_own_for_some_models_and_given_keys_override_them() -> None:
    tuned = TRAIT_PRESETS["sprint", "FAST"]["lr"]
    assert of_model({"preset": "sprint"}, neural_network="FAST").lr == tuned
    assert tuned != PRESETS["sprint"]["lr"]
    assert of_model({"preset": "sprint", "lr": 1e-4}, neural_network="FAST").lr == 1e-4
    assert of_model({"preset": "sprint"}) == parse(preset="sprint")


def test_without_a_preset_the_model_changes_nothing() -> None:
    assert of_model({}, neural_network="FAST", version="4") == Hyperparameters()


def test_a_models_values_give_way_to_episodes_as_a_presets_do() -> None:
    keys = {"preset": "sprint", "num_episodes_between_training": 10}
    assert of_model(keys, version="4").horizon is None


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("network", ["FAST", "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"])
@pytest.mark.parametrize("version", ["4", "5"])
def test_values_of_a_models_traits_go_before_the_presets(
    preset: str, network: str, version: str
) -> None:
    traits = [network, *([LATE] if version == "4" else [])]
    if version == "4" and network == "FAST":
        traits.append(LATE_FAST)
    expected = dict(PRESETS[preset])
    for (of_preset, trait), values in TRAIT_PRESETS.items():
        if of_preset == preset and trait in traits:
            expected |= values
    found = of_model({"preset": preset}, neural_network=network, version=version).model_dump()
    assert {key: found[key] for key in expected} == expected
