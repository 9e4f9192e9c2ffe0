"""Boxes, bots and other learners: where they are, how they move, what rewards are told of them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import Track, built_in_names, load_built_in
from services.simulator.bodies import BOX, CAR_BODY
from services.simulator.race import Race
from services.simulator.world import draw_world

LOOP = load_built_in("loop")
WORLD = draw_world(LOOP)

OBJECT_PARAMS = {
    "closest_objects": list,
    "objects_location": list,
    "objects_left_of_center": list,
    "object_in_camera": bool,
    "objects_speed": list,
    "objects_heading": list,
    "objects_distance_from_center": list,
    "objects_distance": list,
}
PER_OBJECT = {
    "objects_location": tuple,
    "objects_left_of_center": bool,
    "objects_speed": float,
    "objects_heading": float,
    "objects_distance_from_center": float,
    "objects_distance": float,
}


def straight_track(length_m: float = 10.0, width_m: float = 0.8) -> Track:
    """Along the x axis from (0, 0), the inner border on the left."""
    x_m = np.linspace(0.0, length_m, 51)
    lines = [np.column_stack((x_m, np.full(51, y_m))) for y_m in (0.0, width_m / 2, -width_m / 2)]
    return Track("straight", *lines, closed=False)


STRAIGHT = straight_track()
STRAIGHT_WORLD = draw_world(STRAIGHT)


def race_on_loop(kind: str, seeds: range = range(1), **settings: object) -> Race:
    return Race(LOOP, RaceSpec(type=kind, **settings), "5", seeds, world=WORLD)


def race_on_straight(kind: str, cars: int = 1, **settings: object) -> Race:
    return Race(STRAIGHT, RaceSpec(type=kind, **settings), "5", range(cars), world=STRAIGHT_WORLD)


def move(race: Race, speed_mps: float, steps: int = 1, angle_rad: float = 0.0) -> None:
    for _ in range(steps):
        race.step(angle_rad, speed_mps)
        race.finish_step(np.zeros(race.cars))


def places(*pairs: tuple[float, int]) -> dict[str, object]:
    return {"places": [{"position": position, "lane": lane} for position, lane in pairs]}


def test_a_scene_of_boxes_is_told_to_the_reward_function() -> None:
    race = race_on_straight("object_avoidance", objects=places((0.5, 1), (0.2, -1)))
    race.step(0.0, 0.0)
    [params] = race.reward_params()
    assert params["objects_location"] == [(5.0, pytest.approx(-0.2)), (2.0, pytest.approx(0.2))]
    assert params["objects_left_of_center"] == [False, True]
    assert params["objects_distance"] == [5.0, 2.0]
    assert params["objects_distance_from_center"] == pytest.approx([0.2, 0.2])
    assert params["objects_speed"] == [0.0, 0.0]
    assert params["objects_heading"] == [0.0, 0.0]
    assert params["closest_objects"] == [0, 1]  # none behind: the last ahead, as on a ring
    assert params["object_in_camera"]
    assert (race.bodies["length_m"] == 0.5).all()
    assert (race.bodies["width_m"] == 0.4).all()


@pytest.mark.parametrize(
    ("x_m", "closest", "seen"),
    [(0.0, [0, 1], True), (2.5, [1, 0], True), (6.0, [0, 1], False)],
)
def test_the_closest_objects_are_the_one_behind_and_the_one_ahead(
    x_m: float, closest: list[int], seen: bool
) -> None:
    race = race_on_straight("object_avoidance", objects=places((0.5, 1), (0.2, -1)))
    race._cars["x_m"], race._cars["y_m"] = x_m, -0.1
    race._cars["segment"] = int(x_m / 0.2)
    race.step(0.0, 0.0)
    [params] = race.reward_params()
    assert params["closest_objects"] == closest
    assert params["object_in_camera"] is seen


@pytest.mark.parametrize(("angle_deg", "seen"), [(0, True), (30, True), (35, False), (180, False)])
def test_an_object_is_in_camera_within_its_field_of_view(angle_deg: int, seen: bool) -> None:
    race = race_on_straight("object_avoidance", objects=places((0.9, 1)))
    race._cars["x_m"], race._cars["y_m"] = 1.0, -0.2  # right behind the box, 8 m away
    race._cars["segment"] = 5
    race._cars["heading_rad"] = math.radians(angle_deg)
    race.step(0.0, 0.0)
    assert race.reward_params()[0]["object_in_camera"] is seen


@pytest.mark.parametrize("kind", ["object_avoidance", "head_to_bot", "head_to_model"])
def test_params_of_objects_have_the_documented_types(kind: str) -> None:
    race = race_on_loop(kind, range(4), cars_on_track=4)
    race.step(0.0, 1.0)
    for params in race.reward_params():
        assert {key: type(params[key]) for key in OBJECT_PARAMS} == OBJECT_PARAMS
        assert all(type(index) is int for index in params["closest_objects"])
        for key, kind_of_value in PER_OBJECT.items():
            assert [type(value) for value in params[key]] == [kind_of_value] * 3


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**40), st.integers(1, 6), st.integers(0, 4), st.booleans())
def test_drawn_boxes_keep_deepracers_gaps_ahead_of_the_car(
    seed: int, count: int, episode: int, clockwise: bool
) -> None:
    direction = "clockwise" if clockwise else "counterclockwise"
    spec = RaceSpec(
        type="object_avoidance", objects={"count": count}, direction=direction, max_steps=10
    )
    race = Race(LOOP, spec, "5", [seed], world=WORLD)
    move(race, 0.05, 10 * episode)
    race.step(0.0, 0.0)
    [params] = race.reward_params()
    lap_m = params["track_length"]
    start_m = params["projection_distance"] - 0.14
    ahead = sorted((place - start_m) % lap_m / lap_m for place in params["objects_distance"])
    assert ahead[0] > 0.069
    assert ahead[-1] < 0.901
    assert all(gap > 0.129 for gap in np.diff(ahead))
    assert (race.bodies["kind"] == BOX).all()


def test_drawn_boxes_are_elsewhere_in_every_episode_and_the_same_for_the_same_seed() -> None:
    races = [race_on_loop("object_avoidance", range(3, 4), max_steps=10) for _ in range(2)]
    seen = []
    for _ in range(4):
        assert races[0].bodies.tobytes() == races[1].bodies.tobytes()
        seen.append(races[0].bodies["x_m"].tolist())
        for race in races:
            move(race, 0.5, 10)
    assert len({str(places) for places in seen}) == 4


def test_a_lane_has_its_side_whatever_the_direction() -> None:
    for direction in ("counterclockwise", "clockwise"):
        race = race_on_loop("object_avoidance", objects=places((0.3, -1)), direction=direction)
        [[box]] = race.bodies
        to_inner = np.hypot(*(LOOP.inner - (box["x_m"], box["y_m"])).T).min()
        to_outer = np.hypot(*(LOOP.outer - (box["x_m"], box["y_m"])).T).min()
        assert to_inner < to_outer / 2


@pytest.mark.parametrize("position", [0.19, 0.2, 0.21])
def test_no_car_starts_in_a_box(position: float) -> None:
    race = race_on_loop("object_avoidance", objects=places((0.2, 1)), start_position=position)
    race.step(0.0, 0.5)
    assert not race.reward_params()[0]["is_crashed"]


def test_bots_keep_their_speed_and_lane() -> None:
    race = race_on_loop("head_to_bot", bots={"count": 2, "speed_high_mps": 1.0})
    assert (race.bodies["kind"] == CAR_BODY).all()
    before = race.bodies.copy()
    race.step(0.0, 0.0)
    params = race.reward_params()[0]
    assert all(0.2 <= speed <= 1.0 for speed in params["objects_speed"])
    move(race, 0.0, 9)
    race.step(0.0, 0.0)
    later = race.reward_params()[0]
    moved_m = np.array(later["objects_distance"]) - params["objects_distance"]
    assert moved_m % LOOP.length_m == pytest.approx(before["speed_mps"][0] * 10 / 15)
    expected = [0.25 * width for width in LOOP.widths_m[:2]]
    assert later["objects_distance_from_center"] == pytest.approx(expected, rel=0.05)


def test_a_bot_changes_its_lane_smoothly() -> None:
    bots = {
        "count": 1,
        "speed_low_mps": 1.0,
        "speed_high_mps": 1.0,
        "lane_changes": True,
        "change_every_low_s": 2.0,
        "change_every_high_s": 3.0,
    }
    race = race_on_straight("head_to_bot", bots=bots)
    y_m, heading_rad = [], []
    for _ in range(60):
        move(race, 0.1)
        y_m.append(float(race.bodies["y_m"][0, 0]))
        heading_rad.append(float(race.bodies["heading_rad"][0, 0]))
    lanes_m = {round(value, 6) for value in (min(y_m), max(y_m))}
    assert lanes_m == {-0.2, 0.2}
    steps_m = np.diff(y_m)
    assert np.abs(steps_m).max() <= 0.4 / 15 * 1.5 + 1e-9  # a smooth step's steepest slope
    assert np.abs(np.diff(steps_m)).max() < 0.012  # nor a jerk at its ends
    assert max(map(abs, heading_rad)) == pytest.approx(math.atan2(0.04, 1 / 15), rel=0.05)


def test_a_bot_stops_at_the_end_of_an_open_track() -> None:
    race = race_on_straight("head_to_bot", bots={"count": 1, "speed_high_mps": 4.0})
    race._traffic.bodies["speed_mps"] = 4.0
    move(race, 0.1, 60)
    assert race.bodies["x_m"][0, 0] == pytest.approx(10.0)


def test_learners_on_one_track_see_each_other_and_not_themselves() -> None:
    race = race_on_loop("head_to_model", range(6), cars_on_track=3)
    race.step(0.0, np.linspace(0.5, 1.5, 6))
    params = race.reward_params()
    for car, own in enumerate(params):
        arena = car // 3
        others = [other for other in range(3 * arena, 3 * arena + 3) if other != car]
        assert own["objects_distance"] == [params[o]["projection_distance"] for o in others]
        speeds = race._cars["speed_mps"][others].tolist()
        assert own["objects_speed"] == speeds
        origins = [(race._cars["x_m"][o], race._cars["y_m"][o]) for o in others]
        assert own["objects_location"] == origins


def test_cars_that_race_from_the_start_stand_one_behind_the_other() -> None:
    spec = RaceSpec(type="head_to_model", cars_on_track=3)
    race = Race(LOOP, spec, "5", [7] * 3, world=WORLD, evaluating=True)
    race.step(0.0, 0.0)
    along_m = [params["projection_distance"] for params in race.reward_params()]
    assert np.diff(along_m) == pytest.approx([1.0, 1.0], abs=0.02)


def commands(cars: int) -> st.SearchStrategy[list[list[tuple[float, float]]]]:
    one = st.tuples(st.floats(-0.6, 0.6), st.floats(0.0, 4.0))
    return st.lists(st.lists(one, min_size=cars, max_size=cars), min_size=1, max_size=30)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["object_avoidance", "head_to_bot", "head_to_model"]),
    st.booleans(),
    commands(4),
)
def test_an_arena_repeats_exactly_alone_and_in_any_company(
    kind: str, resets: bool, orders: list[list[tuple[float, float]]]
) -> None:
    spec = RaceSpec(
        type=kind,
        max_steps=15,
        crash_penalty_s=0.2,
        off_track_penalty_s=0.1,
        bots={"lane_changes": True, "speed_high_mps": 2.0, "change_every_low_s": 0.5},
    )
    share = spec.cars_in_arena
    together = Race(LOOP, spec, "5", range(4), world=WORLD, resets=resets)
    alone = [
        Race(LOOP, spec, "5", range(first, first + share), world=WORLD, resets=resets)
        for first in range(0, 4, share)
    ]
    for step in orders:
        together.step(*zip(*step, strict=True))
        params = together.measured_params()
        result = together.finish_step(np.arange(4.0))
        for number, race in enumerate(alone):
            part = slice(number * share, (number + 1) * share)
            race.step(*zip(*step[part], strict=True))
            assert race.measured_params() == params[part]
            own = race.finish_step(np.arange(4.0)[part])
            for one, other in zip(own.arrays, result.arrays, strict=True):
                assert np.array_equal(one, other[part], equal_nan=True)
            assert race.bodies.tobytes() == together.bodies[number : number + 1].tobytes()


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(built_in_names()[:2]),
    st.sampled_from(["object_avoidance", "head_to_bot", "head_to_model"]),
    st.booleans(),
    commands(4),
)
def test_invariants_hold_in_every_race(
    name: str, kind: str, resets: bool, orders: list[list[tuple[float, float]]]
) -> None:
    spec = RaceSpec(type=kind, max_steps=20, crash_penalty_s=0.2, off_track_penalty_s=0.2)
    race = Race(load_built_in(name), spec, "5", range(4), resets=resets, world=WORLD)
    for step in orders:
        race.step(*zip(*step, strict=True))
        for params in race.reward_params():
            count = len(params["objects_location"])
            assert all(0 <= index < count for index in params["closest_objects"])
            assert all(0 <= d <= params["track_length"] for d in params["objects_distance"])
            assert all(-180 <= heading <= 180 for heading in params["objects_heading"])
        result = race.finish_step(np.zeros(4))
        crashed = result.status == 6
        assert not (crashed & resets).any()
        assert {episode.car for episode in result.ended} == set(np.flatnonzero(result.done))
        for episode in result.ended:
            assert episode.incidents.reset_count == 0 or resets
            assert len(episode.rows) == result.steps[episode.car] + 1
