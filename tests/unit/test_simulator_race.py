"""Time races: rules, starts, reward parameters, records; and that no car minds the others."""

import copy
import json
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.errors import InvalidInput
from libs.common.events import CarStep, StepColumns
from libs.common.tracks import Track, built_in_names, load_built_in
from services.simulator.race import Race, StepResult
from services.simulator.rollout import as_steps
from services.simulator.world import World, draw_world

LOOP = load_built_in("loop")
WORLDS: dict[str, World] = {name: draw_world(load_built_in(name)) for name in built_in_names()}

# Keys and types as DeepRacer documents them.
PARAMS = {
    "all_wheels_on_track": bool,
    "x": float,
    "y": float,
    "heading": float,
    "distance_from_center": float,
    "projection_distance": float,
    "progress": float,
    "steps": float,
    "speed": float,
    "steering_angle": float,
    "track_width": float,
    "track_length": float,
    "waypoints": list,
    "closest_waypoints": list,
    "is_left_of_center": bool,
    "is_reversed": bool,
    "closest_objects": list,
    "objects_location": list,
    "objects_left_of_center": list,
    "object_in_camera": bool,
    "objects_speed": list,
    "objects_heading": list,
    "objects_distance_from_center": list,
    "objects_distance": list,
    "is_crashed": bool,
    "is_offtrack": bool,
    "sim_time": float,
    "action": int,
}


class Outcome(NamedTuple):
    """One car's part of a step's result."""

    step: CarStep
    columns: StepColumns | None


def outcomes_of(result: StepResult) -> list[Outcome]:
    """The result car by car."""
    steps = as_steps(result, result.episode.tolist())
    columns = {episode.car: episode.columns for episode in result.ended}
    return [Outcome(step, columns.get(car)) for car, step in enumerate(steps)]


def make_race(name: str = "loop", seeds: tuple[int, ...] = (0,), **race: object) -> Race:
    return Race(load_built_in(name), RaceSpec(**race), "5", seeds=seeds, world=WORLDS[name])


def steer_to_centre(race: Race) -> list[float]:
    """Steering of a driver who looks at the centre line 0.5 m ahead of each car."""
    angles = []
    for car, params in enumerate(race.reward_params()):
        way = race.track.reversed() if race.fixed_params(car)["is_reversed"] else race.track
        target_x, target_y = way.points_at(params["projection_distance"] + 0.5)[0]
        heading = math.radians(params["heading"])
        back_x = params["x"] - 0.14 * math.cos(heading)
        back_y = params["y"] - 0.14 * math.sin(heading)
        gap = math.atan2(target_y - back_y, target_x - back_x) - heading
        angles.append(math.atan(2 * math.sin(gap) / 0.64 / 4.0))
    return angles


def drive_until_done(race: Race, speed_mps: float = 1.5) -> list[Outcome]:
    """Follow the centre line; the outcome of each car's first episode."""
    first: dict[int, Outcome] = {}
    while len(first) < race.cars:
        race.step(steer_to_centre(race), [speed_mps] * race.cars)
        outcomes = outcomes_of(race.finish_step([1.0] * race.cars))
        for car, outcome in enumerate(outcomes):
            if outcome.step.done:
                first.setdefault(car, outcome)
    return [first[car] for car in range(race.cars)]


def drive(race: Race, angle_rad: float, speed_mps: float, steps: int) -> list[Outcome]:
    """Hold one command; outcomes of the first car up to the end of its episode."""
    outcomes = []
    for _ in range(steps):
        race.step([angle_rad] * race.cars, [speed_mps] * race.cars)
        outcomes.append(outcomes_of(race.finish_step([0.0] * race.cars))[0])
        if outcomes[-1].step.done:
            break
    return outcomes


@pytest.mark.parametrize("direction", ["counterclockwise", "clockwise"])
@pytest.mark.parametrize("name", built_in_names())
def test_a_good_driver_completes_laps_both_ways_from_everywhere(name: str, direction: str) -> None:
    race = make_race(name, seeds=(0, 1, 2, 3, 4), direction=direction)
    for outcome in drive_until_done(race, speed_mps=1.2):
        assert outcome.step.status == "lap_complete"
        assert outcome.step.progress_pct == 100.0
        assert not outcome.step.truncated
        assert outcome.step.lap_s == outcome.step.steps / 15
        assert outcome.step.lap_s == pytest.approx(race.track.length_m / 1.2, rel=0.1)


def test_going_straight_ends_off_track_with_no_wheel_on_the_road() -> None:
    race = make_race()
    wheels = []
    for _ in range(200):
        race.step([0.0], [2.0])
        wheels.append(race.reward_params()[0])
        outcome = outcomes_of(race.finish_step([0.0]))[0]
        if outcome.step.done:
            break
    assert outcome.step.status == "off_track"
    assert wheels[-1]["is_offtrack"]
    assert not wheels[-1]["all_wheels_on_track"]
    assert not wheels[-2]["is_offtrack"]
    # A car leaves the road wheel by wheel.
    assert any(not w["all_wheels_on_track"] and not w["is_offtrack"] for w in wheels)
    assert outcome.step.lap_s is None
    assert outcome.columns is not None


def test_a_car_that_does_not_move_is_immobilized_after_fifteen_steps() -> None:
    outcomes = drive(make_race(), 0.0, 0.0, 40)
    assert outcomes[-1].step.status == "immobilized"
    assert outcomes[-1].step.steps == 15


def test_a_car_that_turns_round_is_reversed_after_fifteen_steps_of_losing_progress() -> None:
    track = load_built_in("oval")
    wide = Track("wide", track.centre, *_widened(track, 3.0), closed=True)
    race = Race(wide, RaceSpec(), "5", seeds=(0,))
    drive(race, 0.0, 1.5, 20)
    outcomes = drive(race, math.radians(30), 1.0, 100)
    assert outcomes[-1].step.status == "reversed"
    progress = [outcome.step.progress_pct for outcome in outcomes[-16:]]
    assert all(later < earlier for earlier, later in zip(progress, progress[1:], strict=False))


def _widened(track: Track, factor: float) -> list[np.ndarray]:
    return [track.centre + (line - track.centre) * factor for line in (track.inner, track.outer)]


def test_the_step_limit_ends_an_episode_as_truncated() -> None:
    outcomes = drive(make_race(max_steps=20), 0.0, 0.5, 40)
    assert outcomes[-1].step.status == "time_up"
    assert outcomes[-1].step.truncated
    assert outcomes[-1].step.steps == 20


def test_every_episode_starts_five_per_cent_of_a_lap_further() -> None:
    race = make_race(start_position=0.3, max_steps=10)
    starts = []
    for _ in range(4):
        pose = race.poses()[0]
        starts.append(LOOP.project((pose.x_m, pose.y_m)).distance_m[0] / LOOP.length_m)
        drive(race, 0.0, 0.1, 10)
    assert np.diff(starts) == pytest.approx(0.05, abs=0.002)
    assert starts[0] == pytest.approx(0.3 + 0.14 / LOOP.length_m, abs=0.001)


def test_starts_stay_where_they_are_when_the_race_says_so() -> None:
    race = make_race(seeds=(0, 1, 2), start_position=0.5, change_start_position=False, max_steps=10)
    assert len({(pose.x_m, pose.y_m) for pose in race.poses()}) == 1
    before = race.poses()[0]
    drive(race, 0.0, 0.1, 10)
    assert (race.poses()[0].x_m, race.poses()[0].episode) == (before.x_m, 1)


def test_consecutive_seeds_spread_evenly_over_the_lap() -> None:
    race = make_race(seeds=tuple(range(8)))
    places = [LOOP.project((pose.x_m, pose.y_m)).distance_m[0] for pose in race.poses()]
    gaps_m = np.diff(np.sort([*places, min(places) + LOOP.length_m]))
    assert gaps_m.min() > LOOP.length_m / 8 / 2
    assert gaps_m.max() < LOOP.length_m / 8 * 2


def test_alternating_turns_the_car_round_for_every_other_episode() -> None:
    race = make_race(alternate_direction=True, change_start_position=False, max_steps=10)
    seen = []
    for _ in range(4):
        seen.append((race.fixed_params(0)["is_reversed"], race.poses()[0].heading_rad))
        drive(race, 0.0, 0.5, 10)
    assert [clockwise for clockwise, _ in seen] == [False, True, False, True]
    assert abs(seen[0][1] - seen[1][1]) == pytest.approx(math.pi, abs=0.2)
    assert race.fixed_params(0)["waypoints"] == [tuple(point) for point in LOOP.waypoints.tolist()]


def test_an_open_track_is_driven_from_its_beginning_to_its_end() -> None:
    x_m = np.linspace(1, 6, 26)
    lines = [np.column_stack((x_m, np.full(26, y_m))) for y_m in (1.0, 1.3, 0.7)]
    race = Race(Track("straight", *lines, closed=False), RaceSpec(), "5", seeds=(0, 1))
    outcomes = drive(race, 0.0, 1.0, 100)
    assert outcomes[-1].step.status == "lap_complete"
    assert outcomes[-1].step.lap_s == pytest.approx(5.0, abs=0.3)


def test_reward_params_have_the_documented_keys_and_types() -> None:
    race = make_race()
    race.step([0.1], [1.5], [3])
    params = race.reward_params()[0]
    assert {key: type(value) for key, value in params.items()} == PARAMS
    assert json.loads(json.dumps(params))["steps"] == 1.0
    assert params["action"] == 3
    assert params["speed"] == 1.5
    assert params["steering_angle"] == pytest.approx(math.degrees(0.1))
    assert params["sim_time"] == pytest.approx(1 / 15)
    assert all(type(point) is tuple and len(point) == 2 for point in params["waypoints"])
    assert len(params["waypoints"]) == len(LOOP.centre) + 1


def test_continuous_actions_have_no_action_index() -> None:
    race = make_race()
    race.step([0.1], [1.5])
    assert "action" not in race.reward_params()[0]


def test_a_reward_function_that_changes_its_params_changes_nothing_else() -> None:
    race = make_race()
    race.step([0.1], [1.5], [3])
    before = copy.deepcopy(race.reward_params()[0])
    race.reward_params()[0].clear()
    assert race.reward_params()[0] == before


def test_left_of_centre_is_to_the_left_of_the_driving_direction() -> None:
    for direction in ("counterclockwise", "clockwise"):
        race = make_race(direction=direction)
        for _ in range(8):
            race.step([0.5], [1.0])
            race.finish_step([0.0])
        assert race.reward_params()[0]["is_left_of_center"]


def test_an_episode_is_recorded_from_its_start_row_to_its_last_step() -> None:
    race = make_race(seeds=(0, 7))
    rewards = []
    for step in range(200):
        race.step([0.0, 0.0], [2.0, 0.5], [step % 3, 1])
        params = race.reward_params()[0]
        rewards.append(step / 10)
        outcome = outcomes_of(race.finish_step([rewards[-1], 0.0]))[0]
        if outcome.step.done:
            break
    columns = outcome.columns
    assert columns is not None
    lengths = {name: len(values) for name, values in columns.model_dump().items()}
    assert (lengths.pop("pause_s"), lengths.pop("crashes")) == (0, 0)  # nothing to tell
    assert set(lengths.values()) == {outcome.step.steps + 1}
    assert columns.reward == (0.0, *rewards)
    assert outcome.step.episode_reward == pytest.approx(sum(rewards))
    assert columns.action[:5] == (-1, 0, 1, 2, 0)
    assert columns.speed_mps[:2] == (0.0, 2.0)
    assert columns.progress_pct[0] == pytest.approx(100 * 0.14 / LOOP.length_m, abs=0.01)
    assert (columns.x_m[-1], columns.y_m[-1]) == (params["x"], params["y"])
    assert columns.progress_pct[-1] == params["progress"] == outcome.step.progress_pct
    assert columns.sim_time_s[-1] == outcome.step.steps / 15
    assert not columns.all_wheels_on_track[-1]


def test_an_episode_longer_than_the_first_memory_is_recorded_whole() -> None:
    [outcome] = drive_until_done(make_race(max_steps=600), speed_mps=0.3)
    columns = outcome.columns
    assert columns is not None
    assert len(columns.x_m) == outcome.step.steps + 1 == 601
    assert np.all(np.diff(columns.sim_time_s) > 0)


def test_a_car_that_ended_is_seen_at_its_next_start() -> None:
    race = make_race(max_steps=10, start_position=0.2)
    fresh = make_race(start_position=0.25)
    drive(race, 0.0, 1.0, 10)
    assert np.array_equal(race.observations, fresh.observations)


def test_a_frame_for_viewers_may_have_any_size() -> None:
    race = make_race()
    assert race.frame(0).shape == (240, 320, 3)
    grey = race.frame(0, 160, 120) @ (0.2989, 0.5870, 0.1140)
    assert abs(grey - race.observations[0]).mean() < 8


def command_lists(cars: int) -> st.SearchStrategy[list[list[tuple[float, float]]]]:
    command = st.tuples(st.floats(-0.6, 0.6), st.floats(0.0, 4.0))
    return st.lists(st.lists(command, min_size=cars, max_size=cars), min_size=1, max_size=60)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(built_in_names()), command_lists(3), st.booleans())
def test_invariants_hold_whatever_the_commands(
    name: str, commands: list[list[tuple[float, float]]], alternate: bool
) -> None:
    race = make_race(name, seeds=(0, 1, 2), alternate_direction=alternate, max_steps=25)
    episodes = [0, 0, 0]
    for orders in commands:
        race.step(*zip(*orders, strict=True))
        for params in race.reward_params():
            before, after = params["closest_waypoints"]
            assert after == before + 1 < len(params["waypoints"])
            assert 0 <= params["progress"] <= 100
            assert -180 <= params["heading"] <= 180
            assert 0 <= params["projection_distance"] <= params["track_length"]
            assert not (params["is_offtrack"] and params["all_wheels_on_track"])
        for car, outcome in enumerate(outcomes_of(race.finish_step([1.0, 0.5, -1.0]))):
            assert (
                outcome.step.done
                == (outcome.step.status != "in_progress")
                == (outcome.columns is not None)
            )
            assert outcome.step.truncated == (outcome.step.status == "time_up")
            assert outcome.step.episode == episodes[car]
            assert outcome.step.episode_reward == pytest.approx(
                (1.0, 0.5, -1.0)[car] * outcome.step.steps
            )
            episodes[car] += outcome.step.done


@settings(deadline=None, max_examples=15)
@given(command_lists(4), st.permutations([0, 3, 11, 2**31 - 1]))
def test_a_car_repeats_exactly_alone_and_in_any_company(
    commands: list[list[tuple[float, float]]], seeds: list[int]
) -> None:
    race = {"max_steps": 20, "alternate_direction": True}
    together = make_race(seeds=tuple(seeds), **race)
    alone = [make_race(seeds=(seed,), **race) for seed in seeds]
    for orders in commands:
        together.step(*zip(*orders, strict=True))
        outcomes = outcomes_of(together.finish_step([0.0] * 4))
        for car, race in enumerate(alone):
            race.step(*([value] for value in orders[car]))
            assert outcomes_of(race.finish_step([0.0]))[0] == outcomes[car]
            assert race.observations[0].tobytes() == together.observations[car].tobytes()


def test_any_number_of_threads_drives_the_same_to_the_bit() -> None:
    random = np.random.default_rng(3)
    races = [
        Race(LOOP, RaceSpec(max_steps=12), "5", range(37), world=WORLDS["loop"], threads=threads)
        for threads in (1, 2, 3)
    ]
    for _ in range(30):
        commands = random.uniform(-0.5, 0.5, 37), random.uniform(0.0, 4.0, 37)
        results = []
        for race in races:
            race.step(*commands)
            results.append(race.finish_step(commands[1]))
        for race, result in zip(races[1:], results[1:], strict=True):
            assert all(map(np.array_equal, result.arrays[:-1], results[0].arrays[:-1]))
            assert race.observations.tobytes() == races[0].observations.tobytes()


@pytest.mark.parametrize("cars", [0, 100_000])
def test_no_cars_or_far_too_many_are_refused(cars: int) -> None:
    with pytest.raises(InvalidInput, match=f"got {cars} cars; accepted: 1 to 4096"):
        Race(LOOP, RaceSpec(), "5", seeds=range(cars))
