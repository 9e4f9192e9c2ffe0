"""Rules one by one: what ends an episode in training, what a race makes of it instead."""

import math

import numpy as np
import pytest

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import load_built_in
from services.simulator.race import EndedEpisode, Race, StepResult
from services.simulator.rules import STATUSES
from services.simulator.world import draw_world
from tests.unit.test_simulator_traffic import STRAIGHT, STRAIGHT_WORLD, places

LOOP = load_built_in("loop")
WORLD = draw_world(LOOP)
PAUSE = {"off_track_penalty_s": 0.4, "crash_penalty_s": 1.0}  # 6 and 15 steps


def race_on_straight(
    kind: str = "time_trial", cars: int = 1, resets: bool = True, **settings: object
) -> Race:
    spec = RaceSpec(type=kind, **{**PAUSE, **settings})
    return Race(STRAIGHT, spec, "5", [0] * cars, world=STRAIGHT_WORLD, resets=resets)


def drive(
    race: Race, angle_rad: float | list[float], speed_mps: float | list[float], steps: int
) -> StepResult:
    """Hold a command until an episode ends, at most so many steps."""
    for _ in range(steps):
        race.step(angle_rad, speed_mps)
        result = race.finish_step(np.ones(race.cars))
        if result.done.any():
            break
    return result


def ending(result: StepResult) -> tuple[str, EndedEpisode]:
    [ended] = result.ended
    return STATUSES[result.status[ended.car]], ended


def until(race: Race, name: str, angle_rad: float = 0.0) -> dict[str, float]:
    """Drive until a param of the first car is true; that step's params, the step finished."""
    for _ in range(200):
        race.step(angle_rad, 2.0)
        params = race.reward_params()[0]
        race.finish_step(np.zeros(race.cars))
        if params[name]:
            return params
    raise AssertionError(f"{name} never came")


def test_in_training_a_crash_into_a_box_ends_the_episode() -> None:
    race = race_on_straight("object_avoidance", resets=False, objects=places((0.3, 1)))
    status, ended = ending(drive(race, 0.0, 2.0, 100))
    assert status == "crashed"
    assert ended.incidents.crash_count == 1
    assert ended.incidents.reset_count == 0
    # Its front is at the box, whose near side is at 2.75 m.
    assert 2.75 <= ended.rows["x_m"][-1] + 0.162 - 0.14 <= 2.75 + 2.1 / 15


def test_a_car_that_keeps_its_lane_passes_a_box_in_the_other() -> None:
    race = race_on_straight("object_avoidance", resets=False, objects=places((0.3, -1)))
    race._cars["y_m"] = -0.2
    status, _ = ending(drive(race, 0.0, 2.0, 200))
    assert status == "lap_complete"


def test_after_a_crash_a_race_goes_on_a_metre_behind_the_box() -> None:
    race = race_on_straight("object_avoidance", objects=places((0.5, 1)))
    params = until(race, "is_crashed")
    pose = race.poses()[0]
    assert pose.x_m - 0.14 == pytest.approx(4.0)  # the box stands at 5.0 m
    assert pose.y_m == pytest.approx(math.copysign(0.2, 1 if params["is_left_of_center"] else -1))
    assert pose.speed_mps == 0.0
    assert pose.progress_pct == pytest.approx(41.4)
    held = drive(race, 0.0, 2.0, 15)
    assert race.poses()[0].x_m == pose.x_m  # whatever the policy says
    assert not held.done.any()
    drive(race, 0.0, 2.0, 3)
    assert race.poses()[0].x_m > pose.x_m


def test_after_leaving_the_road_a_race_goes_on_where_it_was_left() -> None:
    race = race_on_straight()
    params = until(race, "is_offtrack", angle_rad=0.3)
    pose = race.poses()[0]
    assert (pose.y_m, pose.heading_rad) == (0.0, 0.0)
    assert pose.x_m == pytest.approx(params["x"])
    assert pose.progress_pct == pytest.approx(params["progress"])
    drive(race, 0.0, 2.0, 6)
    assert race.poses()[0].x_m == pose.x_m
    drive(race, 0.0, 2.0, 1)
    assert race.poses()[0].x_m > pose.x_m


def test_a_races_time_has_its_penalties_in_it_and_its_breaches_are_counted() -> None:
    clean = drive(race_on_straight(), 0.0, 2.0, 300)
    race = race_on_straight()
    until(race, "is_offtrack", angle_rad=0.3)
    until(race, "is_offtrack", angle_rad=-0.3)
    result = drive(race, 0.0, 2.0, 300)
    status, ended = ending(result)
    assert status == "lap_complete"
    assert ended.incidents._asdict() == {
        "off_track_count": 2,
        "crash_count": 0,
        "immobilized_count": 0,
        "reversed_count": 0,
        "reset_count": 2,
    }
    assert result.lap_s[0] > clean.lap_s[0] + 2 * 0.4
    assert ended.lap_times_s == (result.lap_s[0],)
    assert ended.columns.pause_s[-1] == pytest.approx(0.8)
    assert len(ended.columns.pause_s) == result.steps[0] + 1


def test_a_clean_lap_tells_of_no_pauses() -> None:
    _, ended = ending(drive(race_on_straight(), 0.0, 2.0, 300))
    assert (ended.columns.pause_s, ended.columns.crashes) == ((), ())


def test_standing_still_is_a_breach_of_a_race_too() -> None:
    race = race_on_straight(max_steps=50)
    status, ended = ending(drive(race, 0.0, 0.0, 60))
    assert status == "time_up"
    # 15 steps of standing, 6 of waiting, and so on.
    assert ended.incidents.immobilized_count == ended.incidents.reset_count == 2


def test_the_breach_after_the_last_reset_ends_the_trial() -> None:
    race = race_on_straight(max_resets=2)
    result = drive(race, 0.3, 2.0, 300)
    status, ended = ending(result)
    assert status == "off_track"
    assert (ended.incidents.off_track_count, ended.incidents.reset_count) == (3, 2)
    assert np.isnan(result.lap_s[0])


def test_a_trial_of_several_laps_is_timed_lap_by_lap() -> None:
    spec = RaceSpec(laps=3, max_steps=400)
    race = Race(LOOP, spec, "5", [0], world=WORLD, resets=True)
    progress = [0.0]
    while True:
        [params] = race.reward_params()
        target = LOOP.points_at(params["projection_distance"] + 0.5)[0]
        heading = math.radians(params["heading"])
        gap = math.atan2(target[1] - params["y"], target[0] - params["x"]) - heading
        race.step(math.atan(math.sin(gap) / 0.5 / 4.0 * 2.5), 1.5)
        result = race.finish_step([0.0])
        progress.append(float(result.progress_pct[0]))
        if result.done[0]:
            break
    status, ended = ending(result)
    assert status == "lap_complete"
    assert len(ended.lap_times_s) == 3
    assert sum(ended.lap_times_s) == pytest.approx(result.steps[0] / 15)
    assert result.lap_s[0] == pytest.approx(np.mean(ended.lap_times_s))
    assert sum(later < before for before, later in zip(progress, progress[1:], strict=False)) == 2


def test_on_an_open_track_a_car_that_starts_further_on_ends_where_the_track_does() -> None:
    race = race_on_straight("head_to_model", 2, False, cars_on_track=2)
    result = drive(race, 0.0, [0.2, 2.0], 200)
    status, ended = ending(result)
    assert (ended.car, status) == (1, "lap_complete")
    assert ended.rows["progress_pct"][0] > 7


@pytest.mark.parametrize("resets", [False, True])
def test_only_the_car_behind_is_to_blame_for_a_crash_of_two_learners(resets: bool) -> None:
    race = race_on_straight("head_to_model", 2, resets, cars_on_track=2)
    # The second starts where the road is clear: ahead of the first.
    ahead, behind = race._cars["x_m"].argmax(), race._cars["x_m"].argmin()
    speed_mps = np.zeros(2)
    speed_mps[ahead], speed_mps[behind] = 0.2, 2.0
    crashes = np.zeros(2, int)
    for _ in range(12):
        race.step(0.0, speed_mps)
        crashes += [params["is_crashed"] for params in race.measured_params()]
        race.finish_step(np.zeros(2))
        if crashes.any():
            break
    assert crashes[behind] == 1
    assert crashes[ahead] == 0


def test_a_bot_that_runs_into_a_car_from_behind_is_no_crash() -> None:
    race = race_on_straight("head_to_bot", resets=False, bots={"count": 1, "speed_high_mps": 2.0})
    race._traffic.places["distance_m"], race._traffic.places["lane"] = 0.5, 0.0
    race._traffic.bodies["speed_mps"] = 1.0
    race._cars["x_m"], race._cars["segment"] = 1.5, 7
    gap_m = 1.0
    while gap_m > 0.2:  # from the bot's middle to that of the car; they touch at 0.32
        race.step(0.0, 0.3)
        assert not race.measured_params()[0]["is_crashed"]
        race.finish_step([0.0])
        gap_m = race._cars["x_m"][0] - race.bodies["x_m"][0, 0]
