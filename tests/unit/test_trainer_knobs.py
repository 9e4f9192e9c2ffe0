"""Hyperparameters as a form shows them: ranges, and what a preset has for a model."""

from libs.common.deepracer.hyperparameters import PRESETS, Hyperparameters, check_hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from services.trainer.knobs import SAC_ONLY, Knob, knobs

SHALLOW, FAST = "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", "FAST"


def by_name(found: list[Knob]) -> dict[str, Knob]:
    return {knob.name: knob for knob in found}


def test_ranges_are_those_that_are_checked() -> None:
    found = by_name(knobs("deepracer", SHALLOW, "clipped_ppo", "5"))
    assert set(found) == set(Hyperparameters.model_fields) - SAC_ONLY
    lr = found["lr"]
    assert (lr.kind, lr.least, lr.most, lr.console) == ("number", 1e-8, 1e-2, (1e-8, 1e-3))
    assert (found["clip_coef"].above, found["policy_averaging"].below) == (0, 1)
    assert found["loss_type"].choices == ["huber", "mean squared error"]
    assert (found["horizon"].kind, found["horizon"].value, found["horizon"].most) == (
        "integer",
        None,
        4096,
    )
    assert found["tensorboard"].kind == "switch"


def test_values_are_those_that_a_run_of_the_preset_would_have() -> None:
    for preset in PRESETS:
        for network in (SHALLOW, FAST):
            for version in ("4", "5"):
                metadata = ModelMetadata.model_validate(
                    {
                        "action_space": [
                            {"steering_angle": angle, "speed": 1.0} for angle in (-20, 20)
                        ],
                        "neural_network": network,
                        "version": version,
                    }
                )
                checked = check_hyperparameters({"preset": preset}, "", metadata).value
                found = knobs(preset, network, "clipped_ppo", version)  # type: ignore[arg-type]
                assert {knob.name: knob.value for knob in found} == {
                    knob.name: getattr(checked, knob.name) for knob in found
                }


def test_sac_has_its_own() -> None:
    found = by_name(knobs("sprint", SHALLOW, "sac", "5"))
    assert (found["replay_size"].value, found["tau"].value) == (20_000, 0.05)
