"""Engine coach before rl-coach comes into play: what is asked of it, what is refused, and where."""

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from libs.common.deepracer.folder import read_run_folder
from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import DiscreteAction, ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.deepracer.support import check_supported
from libs.common.errors import InvalidInput
from services.trainer.architecture import blueprint_of
from services.trainer.coach.compatibility import Absent, Finder
from services.trainer.coach.environment import CoachEnvironment
from services.trainer.coach.mapping import (
    algorithm_values,
    embedder_scheme,
    epsilon_schedule,
    middleware_scheme,
    network_values,
)
from tests.trainer_process import run_folder

ACTIONS = tuple(DiscreteAction(steering_angle=20.0 * i, speed=1.0, index=i) for i in range(2))
RANGES = {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 1, "high": 2}}


def spec_with(metadata: dict[str, Any] | None = None, **hyperparameters: Any) -> RunSpec:
    return RunSpec(
        name="one",
        track="oval",
        engine="coach",
        metadata=ModelMetadata.model_validate({"action_space": ACTIONS, **(metadata or {})}),
        hyperparameters=Hyperparameters(**hyperparameters),
        reward_function="",
    )


def test_every_value_goes_to_the_parameter_of_its_name() -> None:
    hyper = Hyperparameters(
        batch_size=32,
        num_epochs=3,
        lr=1e-4,
        beta_entropy=0.02,
        discount_factor=0.9,
        loss_type="huber",
        gae_lambda=0.8,
        clip_coef=0.1,
        max_grad_norm=0.5,
    )
    assert network_values(hyper) == {
        "batch_size": 32,
        "learning_rate": 1e-4,
        "learning_rate_decay_rate": 0,
        "optimizer_type": "Adam",
        "adam_optimizer_beta1": 0.9,
        "adam_optimizer_beta2": 0.999,
        "optimizer_epsilon": 1e-5,
        "replace_mse_with_huber_loss": True,
        "clip_gradients": 0.5,
    }
    assert algorithm_values(hyper) == {
        "beta_entropy": 0.02,
        "clip_likelihood_ratio_using_epsilon": 0.1,
        "discount": 0.9,
        "estimate_state_value_using_gae": True,
        "gae_lambda": 0.8,
        "optimization_epochs": 3,
    }


def test_defaults_clip_no_gradient_and_square_the_values_error() -> None:
    values = network_values(Hyperparameters())
    assert (values["clip_gradients"], values["replace_mse_with_huber_loss"]) == (None, False)


def test_epsilon_falls_as_asked_and_only_where_it_is_asked() -> None:
    greedy = Hyperparameters(exploration_type="e-greedy", e_greedy_value=0.1, epsilon_steps=500)
    assert epsilon_schedule(greedy) == (1.0, 0.1, 500)
    assert epsilon_schedule(Hyperparameters()) is None


@pytest.mark.parametrize(
    ("network", "embedder", "middleware"),
    [
        ("DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", ((32, 8, 4), (64, 4, 2), (64, 3, 1)), ((512,),)),
        (
            "DEEP_CONVOLUTIONAL_NETWORK",
            ((32, 5, 2), (32, 3, 1), (64, 3, 2), (64, 3, 1), (64,)),
            ((512,),),
        ),
        (
            "DEEP_CONVOLUTIONAL_NETWORK_DEEP",
            ((32, 8, 4), (32, 4, 2), (64, 4, 2), (64, 3, 1), (512,), (512,)),
            ((256,), (128,)),
        ),
    ],
)
def test_networks_have_deepracers_layers(network: Any, embedder: Any, middleware: Any) -> None:
    blueprint = blueprint_of(ModelMetadata(action_space=ACTIONS, neural_network=network))
    assert embedder_scheme(blueprint, "FRONT_FACING_CAMERA") == embedder
    assert middleware_scheme(blueprint) == middleware


def test_what_deepracer_does_is_supported() -> None:
    check_supported(spec_with())


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (spec_with(horizon=64), "horizon: got 64; accepted by engine 'coach': none"),
        (spec_with(policy_averaging=0.5), "policy_averaging: got 0.5; accepted by engine 'coach'"),
        (spec_with(target_kl=0.1), "target_kl: got 0.1; accepted by engine 'coach': none"),
        (spec_with(lr_decay=0.5, decay_steps=9), "lr_decay: got 0.5; accepted by engine 'coach'"),
        (spec_with(entropy_decay=0.0, decay_steps=9), "entropy_decay: got 0.0; accepted by engine"),
        (spec_with(precision="bfloat16"), "precision: got 'bfloat16'; accepted by engine 'coach'"),
        (spec_with({"neural_network": "FAST"}), "neural_network: got 'FAST'; accepted by engine"),
        (
            spec_with({"training_algorithm": "sac", "action_space": RANGES}),
            "training_algorithm: got 'sac'; accepted by engine 'coach': 'clipped_ppo'",
        ),
    ],
)
def test_what_rl_coach_has_no_parameter_for_is_refused(spec: RunSpec, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_supported(spec)
    assert words in str(refused.value)
    if spec.metadata.training_algorithm == "clipped_ppo":
        check_supported(spec.model_copy(update={"engine": "native"}))


def test_run_yaml_names_the_engine() -> None:
    files = run_folder(**{"run.yaml": "track: oval\nengine: coach\n"})
    encoded = {name: text.encode() for name, text in files.items()}
    assert read_run_folder(encoded, name="one").value.engine == "coach"


def test_an_engine_that_does_not_exist_is_refused_with_those_that_do() -> None:
    files = run_folder(**{"run.yaml": "track: oval\nengine: ray\n"})
    with pytest.raises(InvalidInput, match=r"engine: got 'ray'; accepted: 'native' or 'coach'"):
        read_run_folder({name: text.encode() for name, text in files.items()}, name="one")


@pytest.mark.parametrize(
    ("python", "words"), [("/nowhere/python", "is not there"), (sys.executable, "has none")]
)
def test_an_environment_without_rl_coach_is_refused_with_what_installs_it(
    python: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        CoachEnvironment(Path(python)).check()
    assert words in str(refused.value)
    assert "`make install-coach` installs it; accepted without it: 'native'" in str(refused.value)


PACKAGE = """
import tensorflow as tf
from redis.client import Redis
import json

def later():
    import tensorflow
    return tensorflow

class Saved(Redis):
    pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A package of rl-coach's name, found as rl-coach is."""
    (tmp_path / "rl_coach").mkdir()
    (tmp_path / "rl_coach" / "__init__.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [Finder(types.ModuleType("stand_in")), *sys.meta_path])
    for name in ("rl_coach", "redis", "redis.client"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("rl_coach")
    for name in ("rl_coach", "redis", "redis.client"):
        monkeypatch.delitem(sys.modules, name)
    return module


def test_rl_coach_alone_is_given_another_tensorflow_at_once_and_later(
    package: types.ModuleType,
) -> None:
    assert package.tf.__name__ == package.later().__name__ == "stand_in"
    assert importlib.import_module("tensorflow").__name__ == "tensorflow"


def test_a_package_that_is_not_needed_says_so_only_when_it_is_used(
    package: types.ModuleType,
) -> None:
    with pytest.raises(Absent, match=r"rl_coach.Saved is not installed"):
        package.Saved()
    with pytest.raises(Absent, match=r"redis.client.Redis is not installed"):
        package.Redis()
