"""rl-coach itself in its environment: what it learns, and that its weights and ours agree."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.deepracer.support import check_supported
from services.trainer.architecture import Blueprint, blueprint_of
from services.trainer.checkpoint import read_checkpoint, write_checkpoint
from services.trainer.exports import export_policy, random_observations
from services.trainer.frozen import run_frozen
from services.trainer.network import ActorCritic
from tests.coach_probe import EPISODE_STEPS, Order
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first installs rl-coach

SMALL = (36, 36)
REAL = (120, 160)
DISCRETE = [{"steering_angle": 20.0 * i, "speed": 1.0, "index": i} for i in range(2)]
CONTINUOUS = {"steering_angle": {"low": -30, "high": 30}, "speed": {"low": 1.0, "high": 2.0}}
SETTINGS: dict[str, Any] = {
    "cars": 2,
    "num_episodes_between_training": 10,
    "num_epochs": 2,
    "batch_size": 16,
}
COUNTERS = ("iteration", "env_steps", "updates", "total_episodes", "episodes")


@dataclass
class Coach:
    """Runs of the probe in one folder."""

    python: Path
    folder: Path
    actions: Any
    size_px: tuple[int, int] = SMALL
    hyper: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> RunSpec:
        spec = RunSpec(
            name="toy",
            track="loop",
            engine="coach",
            seed=3,
            metadata=ModelMetadata.model_validate({"action_space": self.actions, **self.metadata}),
            hyperparameters=Hyperparameters(**{**SETTINGS, **self.hyper}),
            reward_function="",
        )
        check_supported(spec)
        return spec

    @property
    def blueprint(self) -> Blueprint:
        return blueprint_of(self.spec.metadata, *self.size_px)

    def run(self, **what: Any) -> dict[str, Any]:
        """What the probe tells."""
        probes = self.folder / "probes.npz"
        np.savez(probes, **random_observations(self.blueprint))  # type: ignore[arg-type]
        order = Order(
            spec=self.spec,
            height_px=self.size_px[0],
            width_px=self.size_px[1],
            observations=probes,
            folder=self.folder,
            **what,
        )
        file = self.folder / "order.json"
        file.write_text(order.model_dump_json())
        done = subprocess.run(
            [self.python, "-m", "tests.coach_probe", str(file)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    def ours(self, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Outputs of our own engine with a checkpoint's weights."""
        network = ActorCritic(self.blueprint, seed=0)
        network.adopt_weights(read_checkpoint(self.folder / name, self.blueprint))
        raw = network.policy(network.centre(random_observations(self.blueprint))).numpy()
        return network.distribution.greedy(raw)


Start = Callable[..., Coach]


@pytest.fixture
def start(coach_python: Path, tmp_path: Path) -> Start:
    return lambda *arguments, **named: Coach(coach_python, tmp_path, *arguments, **named)


def test_it_learns_a_toy_and_tells_of_it_as_our_own_learner_does(start: Start) -> None:
    settings = {"lr": 1e-3, "discount_factor": 0.0, "beta_entropy": 0.0, "num_epochs": 4}
    coach = start(DISCRETE, hyper=settings)
    told = coach.run(calls=6 * 5 * EPISODE_STEPS + 1)
    assert [each["iteration"] for each in told["ended"]] == list(range(6))
    assert [each["env_steps"] for each in told["ended"]] == [50 * n for n in range(1, 7)]
    for each in told["ended"]:
        assert len(each["losses"]) == 4
        assert all(np.isfinite(list(epoch.values())).all() for epoch in each["losses"])
        assert sum(each["action_counts"]) == 50
    first, last = (told["ended"][n]["losses"][-1] for n in (0, -1))
    assert last["value_loss"] < 0.2 * first["value_loss"]  # the reward is certain now
    assert last["entropy"] < 0.1 < first["entropy"]
    assert sorted(told["episodes"][-1]) == [60, 61]


@pytest.mark.parametrize(
    ("actions", "variables"), [(DISCRETE, 69), (CONTINUOUS, 72)], ids=["discrete", "continuous"]
)
def test_its_checkpoints_are_ours_and_ours_are_its(
    start: Start, actions: Any, variables: int
) -> None:
    coach = start(actions, size_px=REAL)
    told = coach.run(calls=5 * EPISODE_STEPS + 1, save=True)
    name = told["saved"]
    assert name == "1_Step-50.ckpt"
    reader = tf.train.load_checkpoint(str(coach.folder / name))
    assert len(reader.get_variable_to_shape_map()) == variables
    np.testing.assert_allclose(coach.ours(name), told["outputs"], atol=1e-5)
    policy = (coach.folder / "model_1.pb").read_bytes()
    frozen = run_frozen(policy, random_observations(coach.blueprint))
    np.testing.assert_allclose(frozen, told["outputs"], atol=1e-5)

    weights = ActorCritic(coach.blueprint, seed=5).export_weights()
    (export,) = export_policy(weights, coach.blueprint, name, coach.folder, ["checkpoint"])
    (coach.folder / "state_1.json").write_text(json.dumps(told["state"]))
    restored = coach.run(restore=name)  # by rl-coach's own loader
    np.testing.assert_allclose(restored["outputs"], coach.ours(name), atol=1e-5)
    assert export.format == "checkpoint"


@pytest.mark.parametrize(
    "metadata",
    [
        {"neural_network": "DEEP_CONVOLUTIONAL_NETWORK_DEEP"},
        {"sensor": ["STEREO_CAMERAS", "SECTOR_LIDAR"]},
    ],
    ids=["deep", "sensors"],
)
def test_weights_alone_are_adopted_as_those_of_our_runs_are(
    start: Start, metadata: dict[str, Any]
) -> None:
    coach = start(DISCRETE, metadata=metadata, size_px=(100, 100))
    weights = ActorCritic(coach.blueprint, seed=5).export_weights()
    write_checkpoint(coach.folder, "1_Step-50.ckpt", weights)
    told = coach.run(adopt="1_Step-50.ckpt")
    np.testing.assert_allclose(told["outputs"], coach.ours("1_Step-50.ckpt"), atol=1e-5)
    assert told["state"]["env_steps"] == 0


def test_a_run_that_is_resumed_goes_on_as_if_it_had_not_been_left(start: Start) -> None:
    coach = start(DISCRETE)
    calls = 5 * EPISODE_STEPS
    whole = coach.run(calls=2 * calls + 1)
    half = coach.run(calls=calls + 1, save=True)
    assert half["actions"] == whole["actions"][: calls + 1]  # one seed, one run
    rest = coach.run(restore=half["saved"], calls=calls + 1)
    assert rest["actions"] == whole["actions"][calls:]
    assert rest["episodes"] == whole["episodes"][calls:]
    before, after = whole["ended"][1], rest["ended"][0]
    for one, other in zip(before["losses"], after["losses"], strict=True):
        assert one == pytest.approx(other, rel=1e-5)  # the optimiser went on as well
    assert {name: before[name] for name in COUNTERS} == {name: after[name] for name in COUNTERS}


def test_all_other_settings_learn_as_well(start: Start) -> None:
    settings = {
        "exploration_type": "e-greedy",
        "loss_type": "huber",
        "max_grad_norm": 0.5,
        "reward_scale": 0.1,
        "batch_size": 256,  # more than there are steps
    }
    told = start(DISCRETE, hyper=settings).run(calls=5 * EPISODE_STEPS + 1)
    (ended,) = told["ended"]
    assert len(ended["losses"]) == 2
    assert ended["gradient_norm"] > 0
    assert ended["mean_reward"] == 1.0  # of the episode, not scaled
