"""Every car that DeepRacer allows learns, is exported and is evaluated with its own sensors."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RaceSpec, RunSpec
from libs.common.errors import InvalidInput
from libs.common.events import (
    ActionReply,
    ActionRequest,
    CollectRollout,
    EvaluatePolicy,
    ObjectRef,
    Opponent,
    TrackRef,
)
from libs.common.observations import Observations, pack, unpack
from libs.common.tracks import load_built_in
from services.simulator.evaluation import drive_trials
from services.simulator.race import Race
from services.simulator.rollout import Rollout
from services.simulator.verbs import app
from services.trainer.learner import Learner

CAMERAS = ("FRONT_FACING_CAMERA", "LEFT_CAMERA", "STEREO_CAMERAS")
LIDARS = ("LIDAR", "SECTOR_LIDAR", "DISCRETIZED_SECTOR_LIDAR")
ACTIONS = [
    {"steering_angle": angle, "speed": 1.0, "index": index}
    for index, angle in enumerate((-30.0, 0.0, 30.0))
]
REWARD = "def reward_function(params):\n    return float(params['all_wheels_on_track'])\n"
SETTINGS = {"cars": 2, "horizon": 8, "batch_size": 8, "num_epochs": 1, "updates_per_iteration": 2}
OVAL = load_built_in("oval")


def run_with(*sensors: str, **keys: Any) -> RunSpec:
    metadata = {"action_space": ACTIONS, "sensor": sensors, "neural_network": "FAST", **keys}
    return RunSpec(
        name="sensing",
        track="oval",
        race=RaceSpec(type="object_avoidance", objects={"count": 6}, max_steps=40),
        metadata=ModelMetadata.model_validate(metadata),
        hyperparameters=Hyperparameters(**SETTINGS),
        reward_function=REWARD,
    )


def start(spec: RunSpec) -> Rollout:
    cars = tuple(range(spec.hyperparameters.cars))
    command = CollectRollout(
        run_id=spec.name,
        rollout_id=f"{spec.name}.1.0",
        track=TrackRef(name=spec.track),
        race=spec.race,
        metadata=spec.metadata,
        reward_function=spec.reward_function,
        cars=cars,
        seeds=cars,
    )
    return Rollout(command, OVAL)


def sent(rollout: Rollout) -> Observations:
    """What the cars observe, as it arrives at the other end of the bus."""
    request = ActionRequest(
        rollout_id="sensing.1.0",
        attempt="a",
        step=0,
        cars=rollout.steps,
        height=120,
        width=160,
        sensors=rollout.sensors,
    )
    observed = rollout.observations()
    arrived = unpack(request, pack(rollout.sensors, observed))
    assert all(np.array_equal(arrived[name], array) for name, array in observed.items())
    return arrived


def train(spec: RunSpec, updates: int) -> tuple[Learner, Observations]:
    learner = Learner(spec)
    with start(spec) as rollout:
        while learner.state.updates < updates:
            observed = sent(rollout)
            decision = learner.act(observed, rollout.steps)
            reply = ActionReply(
                rollout_id="sensing.1.0",
                step=0,
                actions=decision.actions,
                episodes=decision.episodes,
                iteration=decision.iteration,
            )
            rollout.step(reply)
    return learner, observed


CARS = product(CAMERAS, ("", *LIDARS))
QUICK = {
    ("LEFT_CAMERA", ""),
    ("FRONT_FACING_CAMERA", "SECTOR_LIDAR"),
    ("STEREO_CAMERAS", "LIDAR"),
}
"""Those that hold every kind of sensor and of shape; the others take their time."""


@pytest.mark.parametrize(
    ("camera", "lidar"),
    [pytest.param(*car, marks=() if car in QUICK else pytest.mark.slow) for car in CARS],
)
def test_every_car_learns_is_exported_and_evaluated(
    camera: str, lidar: str, tmp_path: Path
) -> None:
    spec = run_with(*filter(None, (lidar, camera)))
    before = Learner(spec).export_weights()
    learner, observed = train(spec, updates=2)
    after = learner.export_weights()
    for sensor in spec.metadata.sensor:
        assert_sensor_counts(sensor, learner, observed)
        kernels = [name for name in after if f"/{sensor}/" in name and name.endswith("/kernel")]
        assert len(kernels) == 4  # two of each network
        if observed[sensor].any():  # no box may be near enough for a lidar to learn of it
            assert not any(np.array_equal(before[name], after[name]) for name in kernels)
    saved = learner.save(tmp_path)
    episodes = {
        each.episode: each for each in drive_trials(evaluation(spec), OVAL, [saved.policy], 1)
    }
    chosen = first_choices(learner, spec)
    assert [episodes[trial].columns.action[1] for trial in (0, 1)] == chosen


def assert_sensor_counts(sensor: str, learner: Learner, observed: Observations) -> None:
    otherwise = {**observed, sensor: observed[sensor][::-1] // 2 + 1}
    outputs = learner.exported_policy(observed)
    assert not np.array_equal(outputs, learner.exported_policy(otherwise)), sensor


def first_choices(learner: Learner, spec: RunSpec) -> list[int]:
    """What the policy that learned does at the starts of two trials."""
    race = Race(OVAL, spec.race, spec.metadata, (0, 1), evaluating=True)
    outputs = learner.exported_policy(race.observed_by(spec.metadata))
    return [int(action) for action in outputs.argmax(axis=1)]


def evaluation(spec: RunSpec) -> EvaluatePolicy:
    return EvaluatePolicy(
        run_id=spec.name,
        evaluation_id="sensing.e1",
        policy=ObjectRef(uri="s3://nowhere/model.pb", sha256="0" * 64, size_bytes=0),
        checkpoint="1_Step-1.ckpt",
        track=TrackRef(name="oval"),
        race=spec.race,
        metadata=spec.metadata,
        reward_function=spec.reward_function,
        trials=2,
    )


def test_a_policy_with_any_sensors_drives_for_people_to_look_at(tmp_path: Path) -> None:
    spec = run_with("STEREO_CAMERAS", "LIDAR")
    policy = Learner(spec).save(tmp_path).policy
    metadata = json.dumps({"action_space": ACTIONS, "sensor": ["STEREO_CAMERAS", "LIDAR"]})
    (tmp_path / "model_metadata.json").write_text(metadata)
    options = ["--seconds", "1", "--no-video", "--no-plot", "--json"]
    done = CliRunner().invoke(app, ["drive", "--policy", str(policy), *options])
    assert json.loads(done.stdout)["driver"] == str(policy)


def test_opponents_with_other_sensors_drive_with_their_own(tmp_path: Path) -> None:
    specs = [run_with("FRONT_FACING_CAMERA"), run_with("STEREO_CAMERAS", "LIDAR")]
    files = [Learner(spec).save(tmp_path / str(place)).policy for place, spec in enumerate(specs)]
    command = evaluation(specs[0])
    opponent = Opponent(
        policy=command.policy, checkpoint="1_Step-1.ckpt", metadata=specs[1].metadata
    )
    race = RaceSpec(type="head_to_model", max_steps=20)
    command = command.model_copy(update={"race": race, "opponents": (opponent,)})
    assert len(list(drive_trials(command, OVAL, files, threads=1))) == 2
    with pytest.raises(InvalidInput, match="for STEREO_CAMERAS"):
        list(drive_trials(command, OVAL, files[:1] * 2, threads=1))
