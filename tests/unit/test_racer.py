"""The run folder for race pace: its reward goes with the way that a car gains."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from libs.common.deepracer.folder import read_run_directory
from libs.common.deepracer.hyperparameters import PRESETS
from libs.common.deepracer.race_spec import RaceSpec
from libs.common.reward.process import RewardProcess
from libs.common.tracks import load_built_in
from services.simulator.drivers import CentreLineDriver
from services.simulator.race import Race
from services.simulator.speed_profile import grip_of, steering_for
from services.simulator.vehicle import dynamics_for

FOLDER = Path(__file__).parents[2] / "models" / "racer"
SOURCE = (FOLDER / "reward_function.py").read_text("utf-8")
TRACK = load_built_in("oval")


def rewards_of_a_lap(speed_mps: float) -> list[float]:
    """What a car on the centre line earns, step by step."""
    race = Race(TRACK, RaceSpec(), "5", [0])
    driver, earned = CentreLineDriver(TRACK, speed_mps), []
    with RewardProcess(SOURCE, race.fixed_params(0)) as process:
        while True:
            race.step(*driver.decide(race))
            earned += process.rewards(race.measured_columns())
            if race.finish_step(earned[-1:]).done[0]:
                return earned


def rewards_of(*changes: dict[str, Any]) -> list[float]:
    """What one car's steps earn on a track of 30 m; only what changes is given."""
    steps = [
        {"steps": float(number), "is_offtrack": False, **change}
        for number, change in enumerate(changes, 1)
    ]
    with RewardProcess(SOURCE, {"track_length": 30.0}) as process:
        return process.rewards(steps, cars=[0] * len(steps))


def test_the_folder_is_a_race_of_three_laps_with_the_preset_of_race_pace() -> None:
    spec = read_run_directory(FOLDER)

    assert not spec.warnings
    assert json.loads((FOLDER / "hyperparameters.json").read_text("utf-8")) == {"preset": "race"}
    values = spec.value.hyperparameters.model_dump()
    assert {key: values[key] for key in PRESETS["race"]} == PRESETS["race"]
    assert (spec.value.race.laps, spec.value.evaluation.rules) == (3, "race")


def test_its_actions_ask_the_tyres_for_hardly_more_than_they_hold() -> None:
    actions = read_run_directory(FOLDER).value.metadata.action_space
    dynamics = dynamics_for("5")
    grip = grip_of(dynamics)
    speeds_mps = np.array([action.speed for action in actions])
    limits_rad = steering_for(grip.lateral_mps2 / speeds_mps**2, dynamics)

    steered_rad = np.abs([action.steering_rad for action in actions])
    assert (steered_rad < 1.2 * limits_rad).all()
    assert speeds_mps.max() == 4.0
    assert np.degrees(steered_rad.max()) == pytest.approx(30)


def test_a_step_earns_what_it_gained_and_a_faster_lap_earns_more_a_step() -> None:
    slow, fast = rewards_of_a_lap(1.0), rewards_of_a_lap(2.0)

    assert np.isfinite(slow + fast).all()
    assert 0.2 < np.median(slow) < 0.3
    assert 0.45 < np.median(fast) < 0.55
    whole_lap = TRACK.length_m * 15 / 4.0
    for earned in (slow, fast):
        assert 0.97 * whole_lap < sum(earned) <= whole_lap


def test_leaving_the_road_costs_more_than_seconds_of_driving_earn() -> None:
    on, off = rewards_of({"progress": 1.0}, {"progress": 1.5, "is_offtrack": True})

    assert on == 0.0
    assert off < -10


def test_the_next_lap_of_a_race_goes_on_where_the_last_one_ended() -> None:
    _, before, after = rewards_of({"progress": 99.0}, {"progress": 99.5}, {"progress": 0.3})

    assert (before, after) == pytest.approx((0.5625, 0.9))  # 0.15 m and 0.24 m of 4/15 m
