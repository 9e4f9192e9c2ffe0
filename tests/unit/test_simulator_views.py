"""What the cars of a race see: the road, what shares it, and what is randomised."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.race_spec import RaceSpec, RaceType
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.errors import InvalidInput
from libs.common.tracks import load_built_in
from services.simulator.bodies import NOTHING
from services.simulator.camera import NETWORK_CAMERA, render_cars
from services.simulator.race import Race
from services.simulator.sensors import Sensors
from services.simulator.views import Look
from services.simulator.world import draw_world
from tests.unit.test_simulator_traffic import STRAIGHT, places

LOOP = load_built_in("loop")
METADATA = ModelMetadata.model_validate(
    {
        "action_space": [{"steering_angle": angle, "speed": 1.0} for angle in (-30, 30)],
        "sensor": ["FRONT_FACING_CAMERA", "LIDAR"],
    }
)
LOOKS: dict[str, Any] = {"brightness": (0.5, 1.5), "noise": (2, 8), "camera_yaw_rad": (-0.1, 0.1)}
CARS: dict[str, Any] = {"friction": (0.3, 1.5), "lag": (0.5, 3.0)}


@pytest.mark.parametrize("kind", ["object_avoidance", "head_to_bot", "head_to_model"])
@pytest.mark.parametrize("threads", [1, 2])
def test_cars_see_what_shares_the_road_with_them(kind: str, threads: int) -> None:
    rules = RaceSpec.model_validate({"type": kind})
    count = 4 * rules.cars_in_arena
    race = Race(LOOP, rules, "5", range(count), evaluating=True, threads=threads)
    bare = np.zeros_like(race.observations)
    render_cars(race.states.copy(), draw_world(LOOP), NETWORK_CAMERA, bare)
    expected, together = bare.copy(), rules.cars_in_arena
    for car in range(count):
        others = race.bodies[car // together : car // together + 1].copy()
        if kind == "head_to_model":
            others["kind"][0, car % together] = NOTHING
        picture, one = expected[car : car + 1], race.states[car : car + 1].copy()
        arena, own = np.zeros(1, np.int64), np.full(1, -1)
        render_cars(one, draw_world(LOOP), NETWORK_CAMERA, picture, others, arena, own)
    assert np.array_equal(race.observations, expected)
    assert not np.array_equal(race.observations, bare)


def test_a_race_looks_as_it_is_told_and_anew_with_every_episode() -> None:
    ranges = RandomisationSpec(brightness=(0.5, 1.5))
    look = Look(WorldSpec(surroundings="walls"), ranges)
    rules = RaceSpec(change_start_position=False)
    race, again = (Race(LOOP, rules, "5", (0, 1, 0), look=look) for _ in range(2))
    assert np.array_equal(race.observations, again.observations)
    assert np.array_equal(race.observations[0], race.observations[2])
    assert not np.array_equal(race.observations[0], race.observations[1])
    before = race.observations.copy()
    race.restart([0])
    race.look()
    assert not np.array_equal(race.observations[0], before[0])
    assert np.array_equal(race.observations[1:], before[1:])


def test_pictures_for_people_are_in_colour_and_not_randomised() -> None:
    look = Look(randomisation=RandomisationSpec(brightness=(0.2, 0.3)))
    race = Race(LOOP, RaceSpec(), "5", (0,), look=look)
    plain = Race(LOOP, RaceSpec(), "5", (0,))
    assert np.array_equal(race.frame(0), plain.frame(0))
    assert race.observations.mean() < plain.observations.mean() / 2
    parts = race.frame(0).astype(int)
    assert (parts[:, :, 0] - parts[:, :, 2]).max() > 100  # the dashes are orange


def test_cars_drive_by_what_their_episode_has_drawn() -> None:
    ranges = RandomisationSpec(lag=(0.5, 3.0), action_delay_s=(0, 0.1), friction=(0.3, 1.0))
    rules = RaceSpec(change_start_position=False)
    race, again = (
        Race(LOOP, rules, "5", (0, 1, 0), look=Look(randomisation=ranges)) for _ in range(2)
    )
    plain = Race(LOOP, rules, "5", (0, 1, 0))
    for each in (race, again, plain):
        for _ in range(10):
            each.step(np.full(3, 0.3), np.full(3, 2.0))
            each.finish_step(np.zeros(3))
    assert race.poses() == again.poses()
    assert race.poses()[0] == race.poses()[2]
    assert race.poses()[0] != race.poses()[1]
    assert race.poses()[0] != plain.poses()[0]


def move(race: Race, steps: int) -> None:
    for _ in range(steps):
        race.step(0.1, 2.0)
        race.finish_step(np.zeros(race.cars))


def test_a_lidar_feels_the_box_behind() -> None:
    spec = RaceSpec(type="object_avoidance", objects=places((0.2, 1)))
    for race_type, nearest_m in ((RaceSpec(), 12.0), (spec, 4.03 - 2.25)):
        race = Race(STRAIGHT, race_type, METADATA, [0])
        race._cars["x_m"] = 4.0
        race.look()
        assert race.sensed["LIDAR"].min() == pytest.approx(nearest_m, abs=0.06)


def test_what_an_episode_draws_depends_on_the_car_and_the_episode_alone() -> None:
    look = Look(randomisation=RandomisationSpec(**LOOKS, **CARS))
    race = RaceSpec(max_steps=10)
    together = Race(LOOP, race, METADATA, [3, 4, 5], look=look)
    alone = Race(LOOP, race, METADATA, [4], look=look)
    for _ in range(4):
        for name, values in alone.sensed.items():
            assert np.array_equal(values[0], together.sensed[name][1]), name
        assert alone.poses()[0] == together.poses()[1]
        move(alone, 7)
        move(together, 7)


def test_every_episode_looks_and_drives_anew() -> None:
    look = Look(randomisation=RandomisationSpec(**LOOKS, **CARS))
    still = RaceSpec(max_steps=10, change_start_position=False)
    race = Race(LOOP, still, "5", [0], look=look)
    seen, driven = [], []
    for _ in range(3):
        seen.append(race.observations[0].copy())
        move(race, 9)
        driven.append(race.poses()[0].x_m)
        move(race, 1)
    assert len({picture.tobytes() for picture in seen}) == 3
    assert len(set(driven)) == 3


def test_threads_change_nothing_under_randomisation() -> None:
    look = Look(randomisation=RandomisationSpec(**LOOKS, **CARS))
    races = [
        Race(
            LOOP,
            RaceSpec(max_steps=10),
            METADATA,
            range(20),
            look=look,
            threads=n,
        )
        for n in (1, 2)
    ]
    for race in races:
        move(race, 12)
    for name, values in races[0].sensed.items():
        assert np.array_equal(values, races[1].sensed[name]), name


def test_a_delay_that_no_car_remembers_is_refused_before_any_drives() -> None:
    spec = RandomisationSpec.model_construct(
        **{**RandomisationSpec().model_dump(), "action_delay_s": (0.0, 0.4)}
    )
    with pytest.raises(InvalidInput, match="action_delay_s 0.4"):
        Race(LOOP, RaceSpec(), "5", [0], look=Look(randomisation=spec))


STEREO_AND_LIDAR = ModelMetadata.model_validate(
    {
        "action_space": [{"steering_angle": way, "speed": 1, "index": way} for way in (0, 1)],
        "sensor": ["STEREO_CAMERAS", "LIDAR"],
    }
)
EVERYTHING = Look(
    WorldSpec(surroundings="walls"),
    RandomisationSpec(noise=(5, 9), textures=("wood", "carpet"), camera_yaw_rad=(-0.1, 0.1)),
)


def drive_with_sensors(
    seeds: Sequence[int], kind: RaceType, look: Look | None = None, threads: int = 1
) -> list[dict[str, np.ndarray]]:
    """What all sensors measure at the start and after each of 12 steps, which end episodes."""
    rules = RaceSpec(type=kind, max_steps=10)
    race = Race(LOOP, rules, STEREO_AND_LIDAR, seeds, look=look, threads=threads)
    measured = []
    for _ in range(13):
        measured.append({name: array.copy() for name, array in race.sensed.items()})
        race.step(np.zeros(race.cars), np.ones(race.cars))
        race.finish_step(np.zeros(race.cars))
    return measured


@pytest.mark.parametrize("kind", ["object_avoidance", "head_to_model"])
def test_what_sensors_measure_depends_on_a_cars_own_seed_alone(kind: RaceType) -> None:
    together = drive_with_sensors(range(16), kind, EVERYTHING, threads=2)
    few = drive_with_sensors(range(10, 12), kind, EVERYTHING)
    for all_of_them, two in zip(together, few, strict=True):
        assert all_of_them.keys() == {"STEREO_CAMERAS", "LIDAR"}
        for name, values in two.items():
            assert np.array_equal(all_of_them[name][10:12], values), name


def test_lidars_are_as_noisy_as_their_sensor_anew_for_every_step_and_car() -> None:
    walls = Look(WorldSpec(surroundings="walls", wall_distance_m=1.0))
    still = RaceSpec(change_start_position=False)
    race = Race(LOOP, still, STEREO_AND_LIDAR, range(40), look=walls)
    exact = Sensors(STEREO_AND_LIDAR).allocate(40)
    world = draw_world(LOOP, walls.world)
    Sensors(STEREO_AND_LIDAR).observe(race.states.copy(), world, exact)
    sees_a_wall = exact["LIDAR"][0] < 11.9
    errors_m = []
    for _ in range(5):
        errors_m.append((race.sensed["LIDAR"] - exact["LIDAR"])[:, sees_a_wall])
        race.step(0.0, 0.0)
        race.finish_step(np.zeros(40))
    noise_m = np.array(errors_m)  # (steps, cars, rays)
    assert abs(noise_m.mean()) < 0.001
    assert noise_m.std() == pytest.approx(0.01, rel=0.1)
    for axis in range(3):
        one, other = (noise_m.take(index, axis).ravel() for index in (0, 1))
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.3


def test_the_lidars_of_cars_that_share_a_seed_and_a_track_differ() -> None:
    race = Race(LOOP, RaceSpec(type="head_to_model"), STEREO_AND_LIDAR, [3, 3])
    exact, arena = Sensors(STEREO_AND_LIDAR).allocate(2), np.zeros(2, np.int64)
    own = np.arange(2)
    Sensors(STEREO_AND_LIDAR).observe(
        race.states.copy(), draw_world(LOOP), exact, race.bodies, arena, own
    )
    noise_m = race.sensed["LIDAR"] - exact["LIDAR"]
    assert not np.array_equal(noise_m[0], noise_m[1])


def test_each_camera_has_noise_of_its_own() -> None:
    noisy = Look(randomisation=RandomisationSpec(noise=(20, 20)))
    pair, clean = (
        drive_with_sensors([0], "time_trial", look)[0]["STEREO_CAMERAS"][0, :20].astype(float)
        for look in (noisy, None)
    )
    left, right = (pair - clean).reshape(-1, 2).T  # of the sky
    assert 10 < left.std() < 30
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.1
