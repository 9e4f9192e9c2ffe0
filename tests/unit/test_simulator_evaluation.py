"""Evaluations: exported policies drive trials by clean and by race rules, alone and together."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RaceSpec
from libs.common.errors import InvalidInput
from libs.common.events import EpisodeEnded, EvaluatePolicy, ObjectRef, Opponent, TrackRef
from libs.common.reward.errors import RewardError
from libs.common.tracks import load_built_in
from services.simulator.evaluation import drive_trials, result_of

OVAL = load_built_in("oval")
LEFT, STRAIGHT, RIGHT = range(3)
NOWHERE = ObjectRef(uri="s3://nowhere/model.pb", sha256="0" * 64, size_bytes=0)
METADATA = ModelMetadata.model_validate(
    {"action_space": [{"steering_angle": angle, "speed": 2.0} for angle in (30, 0, -30)]}
)
CONTINUOUS = ModelMetadata.model_validate(
    {
        "action_space": {
            "steering_angle": {"low": -30, "high": 30},
            "speed": {"low": 1.0, "high": 3.0},
        },
        "action_space_type": "continuous",
    }
)
WRITE = """
import sys
import numpy as np
from pathlib import Path
from tests.small_policy import small_weights, write_policy

for actions, favourite, name in ((3, 0, "left"), (3, 1, "straight"), (2, 0, "continuous")):
    weights = small_weights(actions)
    # Always the same action: the image counts for nothing, one unit is always on.
    weights["kernel"][:], weights["bias"][:], weights["dense"][:] = 0.0, 1.0, 0.0
    weights["dense"][0, favourite] = 20.0
    write_policy(weights, Path(sys.argv[1]) / f"{name}.pb")
"""


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with policies that always do the same; TensorFlow stays in a process of its own."""
    folder = tmp_path_factory.mktemp("policies")
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", WRITE, str(folder)], check=True, cwd=root, timeout=120)
    return folder


def evaluation(**changes: object) -> EvaluatePolicy:
    race = changes.pop("race", {})
    values: dict[str, object] = {
        "run_id": "drive-1",
        "evaluation_id": "drive-1.e1",
        "policy": NOWHERE,
        "checkpoint": "1_Step-1.ckpt",
        "track": TrackRef(name="oval"),
        "race": RaceSpec(**{"max_steps": 80, **race}),
        "metadata": METADATA,
        "reward_function": "def reward_function(params):\n    return 1.0\n",
        "trials": 2,
    }
    return EvaluatePolicy(**{**values, **changes})


def drive(command: EvaluatePolicy, *files: Path) -> list[EpisodeEnded]:
    episodes = drive_trials(command, OVAL, files, threads=1)
    return sorted(episodes, key=lambda episode: episode.episode)


def test_by_clean_rules_a_trial_ends_where_the_car_leaves_the_road(policies: Path) -> None:
    for episode in drive(evaluation(), policies / "straight.pb"):
        result = result_of(episode)
        assert (result.status, result.off_track_count, result.reset_count) == ("off_track", 1, 0)
        assert not result.clean
        assert set(episode.columns.action[1:]) == {STRAIGHT}


def test_by_race_rules_a_trial_goes_on_with_penalties(policies: Path) -> None:
    race = {"off_track_penalty_s": 0.4}
    for episode in drive(evaluation(rules="race", race=race), policies / "straight.pb"):
        result = result_of(episode)
        assert result.status == "time_up"
        assert result.steps == 80
        assert result.reset_count == result.off_track_count > 1
        assert episode.columns.pause_s[-1] == pytest.approx(0.4 * result.reset_count, abs=0.4)


def test_the_same_command_drives_the_same_trials(policies: Path) -> None:
    runs = [drive(evaluation(rules="race"), policies / "left.pb") for _ in range(2)]
    assert [e.columns for e in runs[0]] == [e.columns for e in runs[1]]
    assert runs[0][0].columns != runs[0][1].columns  # each trial has a start of its own


@pytest.mark.parametrize("kind", ["object_avoidance", "head_to_bot", "head_to_model"])
def test_every_race_is_driven(policies: Path, kind: str) -> None:
    source = "def reward_function(params):\n    return float(len(params['objects_location']))\n"
    race = {"type": kind, "cars_on_track": 3, "bots": {"count": 2}, "objects": {"count": 2}}
    command = evaluation(race=race, reward_function=source, rules="race")
    for episode in drive(command, policies / "straight.pb"):
        assert episode.columns.reward[1:] == (2.0,) * episode.steps


def test_opponents_drive_with_their_own_policy_and_action_space(policies: Path) -> None:
    source = "def reward_function(params):\n    return params['objects_speed'][0]\n"
    opponent = Opponent(policy=NOWHERE, checkpoint="2_Step-2.ckpt", metadata=CONTINUOUS)
    command = evaluation(
        race={"type": "head_to_model"}, opponents=(opponent,), reward_function=source
    )
    files = policies / "straight.pb", policies / "continuous.pb"
    for episode in drive(command, *files):
        speeds = episode.columns.reward[1:]
        assert max(speeds) > 1.0  # it drives, at most as its own action space allows
        assert set(episode.columns.speed_mps[1:]) == {2.0}


def test_the_mean_of_a_continuous_policy_is_driven(policies: Path) -> None:
    [episode, _] = drive(evaluation(metadata=CONTINUOUS), policies / "continuous.pb")
    assert set(episode.columns.action) == {-1}
    assert np.unique(episode.columns.steering_rad[1:]) == pytest.approx([np.radians(30)])
    assert np.unique(episode.columns.speed_mps[1:]) == pytest.approx([2.0], abs=1e-6)


def test_opponents_are_refused_where_nobody_races(policies: Path) -> None:
    opponent = Opponent(policy=NOWHERE, checkpoint="2", metadata=METADATA)
    with pytest.raises(InvalidInput, match="got 1 opponents in time_trial; accepted: up to 7 in"):
        drive(evaluation(opponents=(opponent,)), *[policies / "left.pb"] * 2)


def test_a_policy_with_other_actions_than_its_metadata_is_refused(policies: Path) -> None:
    with pytest.raises(InvalidInput, match=r"1_Step-1.ckpt has 3 actions, its metadata 2"):
        drive(evaluation(metadata=CONTINUOUS), policies / "left.pb")


def test_a_reward_function_that_raises_ends_the_evaluation_with_its_params(policies: Path) -> None:
    source = "def reward_function(params):\n    return 1 / (params['steps'] - 7)\n"
    with pytest.raises(RewardError) as caught:
        drive(evaluation(reward_function=source), policies / "left.pb")
    assert (caught.value.line, caught.value.params["steps"]) == (2, 7)
