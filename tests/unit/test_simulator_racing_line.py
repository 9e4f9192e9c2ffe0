"""The line of least time, its speeds, and the driver that follows one."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from libs.cli.__main__ import app
from libs.common.deepracer.race_spec import RaceSpec
from libs.common.errors import InvalidInput
from libs.common.tracks import Track, load_built_in
from services.simulator.drivers import RacingLineDriver
from services.simulator.race import Race
from services.simulator.racing_line import find_racing_line
from services.simulator.speed_profile import (
    driving_times,
    fastest_speeds,
    grip_of,
    steering_for,
)
from services.simulator.trials import drive_trials
from services.simulator.vehicle import CAR, drive_cars, dynamics_for

DYNAMICS = dynamics_for("5")
GRIP = grip_of(DYNAMICS)


def ring(radius_m: float, width_m: float, points: int = 120) -> Track:
    angles = np.linspace(0, 2 * math.pi, points, endpoint=False)
    unit = np.column_stack((np.cos(angles), np.sin(angles)))
    inner, outer = (unit * (radius_m + side * width_m / 2) for side in (-1, 1))
    return Track("ring", unit * radius_m, inner, outer, closed=True)


def strip(length_m: float) -> Track:
    x_m = np.linspace(0, length_m, 60)
    centre, inner, outer = (np.column_stack((x_m, np.full(60, y_m))) for y_m in (0.0, 0.5, -0.5))
    return Track("strip", centre, inner, outer, closed=False)


@pytest.mark.parametrize("radius_m", [2.0, 3.0, 6.0])
def test_the_best_line_on_a_ring_is_its_inside(radius_m: float) -> None:
    line = find_racing_line(ring(radius_m, 1.0), GRIP, margin_m=0.1)

    inside_m = radius_m - 0.4
    speed_mps = min(GRIP.top_mps, math.sqrt(GRIP.lateral_mps2 * inside_m))
    assert line.lap_s == pytest.approx(2 * math.pi * inside_m / speed_mps, rel=0.01)
    assert line.offset_m == pytest.approx(np.full(len(line.offset_m), 0.4), abs=0.02)
    assert line.curvature_1pm.mean() == pytest.approx(1 / inside_m, rel=0.01)


def test_on_a_straight_the_car_gains_speed_and_keeps_it() -> None:
    line = find_racing_line(strip(20.0), GRIP)

    assert line.lap_s == pytest.approx(20.0 / GRIP.top_mps, rel=0.001)
    lost_s = GRIP.top_mps / (2 * GRIP.gaining_mps2)  # of a start with constant acceleration
    assert lost_s < line.standing_lap_s - line.lap_s < lost_s + 2 * GRIP.lag_s


@pytest.mark.parametrize("name", ["oval", "hairpins"])
def test_a_line_stays_on_its_road_and_within_the_grip(name: str) -> None:
    track = load_built_in(name)
    line = find_racing_line(track, GRIP, margin_m=0.1)

    place = track.project(line.points)
    half_m = np.interp(place.distance_m, track.distances_m, track.widths_m) / 2
    assert (np.abs(place.offset_m) < half_m - 0.1 + 0.03).all()  # a spline bulges between sections
    assert np.abs(line.curvature_1pm).max() < 1.05 * GRIP.curvature_1pm
    lateral_mps2 = line.speeds_mps**2 * np.abs(line.curvature_1pm)
    assert lateral_mps2.max() <= GRIP.lateral_mps2 * 1.0001
    assert line.speeds_mps.max() <= GRIP.top_mps


def test_a_line_is_far_quicker_than_the_centre_line_and_equally_quick_either_way() -> None:
    track = load_built_in("hairpins")
    there, back = (find_racing_line(way, GRIP) for way in (track, track.reversed()))

    centre = find_racing_line(track, GRIP, margin_m=float(track.widths_m.min()) / 2 - 0.01)
    assert there.lap_s < 0.9 * centre.lap_s
    assert back.lap_s == pytest.approx(there.lap_s, rel=0.01)


def test_room_and_grip_and_speed_are_worth_time() -> None:
    track, slippery = load_built_in("oval"), DYNAMICS.copy()
    slippery["rear_friction"] /= 2
    usual = find_racing_line(track, GRIP).lap_s

    assert find_racing_line(track, GRIP, margin_m=0.2).lap_s > usual
    assert find_racing_line(track, grip_of(slippery)).lap_s > usual
    assert find_racing_line(track, grip_of(DYNAMICS, 2.0)).lap_s > usual


def test_a_margin_that_leaves_no_road_is_refused_with_the_roads_width() -> None:
    with pytest.raises(InvalidInput, match=r"margin 0\.5 m on a road that is 1\.000 m wide"):
        find_racing_line(ring(3.0, 1.0), GRIP, margin_m=0.5)


def test_speeds_fall_in_time_for_a_bend_and_rise_behind_it() -> None:
    curvature = np.zeros(200)
    curvature[100] = GRIP.lateral_mps2 / 1.5**2
    speeds = fastest_speeds(curvature, np.full(200, 0.05), GRIP)

    assert speeds[100] == pytest.approx(1.5)
    braking = (speeds[60:100] ** 2 - speeds[61:101] ** 2) / (2 * 0.05)
    gaining = (speeds[101:140] ** 2 - speeds[100:139] ** 2) / (2 * 0.05)
    assert 0.99 * GRIP.losing_mps2 < braking.max() <= GRIP.losing_mps2 * 1.0001
    assert 0.9 * GRIP.gaining_mps2 < gaining.max() <= GRIP.gaining_mps2 * 1.0001
    assert speeds[0] == pytest.approx(GRIP.top_mps)


def test_a_loops_speeds_do_not_depend_on_where_it_begins() -> None:
    rng = np.random.default_rng(0)
    curvature, steps = rng.uniform(-2, 2, 80), rng.uniform(0.05, 0.2, 80)
    speeds = fastest_speeds(curvature, steps, GRIP)

    turned = fastest_speeds(np.roll(curvature, 31), np.roll(steps, 31), GRIP)
    assert np.roll(turned, -31) == pytest.approx(speeds)
    assert driving_times(speeds, steps).sum() > steps.sum() / GRIP.top_mps


@pytest.mark.parametrize(("share", "holds"), [(0.97, True), (1.15, False)])
def test_the_grip_is_that_of_the_driven_car(share: float, holds: bool) -> None:
    curvature = np.array([0.6])
    speed_mps = share * math.sqrt(GRIP.lateral_mps2 / 0.6)
    car, steering = np.zeros(1, CAR), steering_for(curvature, DYNAMICS)
    for step in range(90):  # up to speed gently
        told = np.array([speed_mps * min(1.0, (step + 1) / 45)])
        drive_cars(car, steering, told, np.full(1, DYNAMICS))

    slip = abs(float(car["lateral_mps"][0]) / float(car["speed_mps"][0]))
    assert (slip < 0.1) == holds


def test_a_scripted_driver_races_without_leaving_the_road() -> None:
    track = load_built_in("hairpins")
    line = find_racing_line(track, GRIP, margin_m=0.15)
    spec = RaceSpec(laps=3, change_start_position=False)
    driver = RacingLineDriver(line, DYNAMICS)
    [trial] = drive_trials(Race(track, spec, "5", [0], resets=True), driver.decide, laps=3)

    assert trial.off_tracks == 0
    assert len(trial.laps_s) == 3
    assert line.total_s(3) < trial.seconds < 1.4 * line.total_s(3)


def test_a_trial_that_does_not_finish_has_no_time() -> None:
    track = load_built_in("oval")
    driver = RacingLineDriver(find_racing_line(track, GRIP), DYNAMICS)
    spec = RaceSpec(laps=3, max_steps=30, change_start_position=False)
    [trial] = drive_trials(Race(track, spec, "5", [0], resets=True), driver.decide, laps=3)

    assert trial.seconds is None


def test_best_time_tells_theory_and_driver() -> None:
    result = CliRunner().invoke(app, ["sim", "best-time", "oval", "--json"])

    told = json.loads(result.stdout)
    assert told["laps"] == 3
    assert told["scripted_off_tracks"] == 0
    assert told["flying_lap_s"] * 3 < told["theoretical_s"] < told["scripted_s"]
