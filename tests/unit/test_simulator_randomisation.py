"""Randomisation: what is drawn, what it does to pictures, and that off is off."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.randomisation_spec import (
    DYNAMICS_KEYS,
    PICTURE_KEYS,
    RandomisationSpec,
)
from libs.common.deepracer.run_file import parse_run_file
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.errors import InvalidInput
from libs.common.tracks import load_built_in
from services.simulator.bodies import BODY, BOX
from services.simulator.camera import NETWORK_CAMERA, Mount, make_camera, render_cars
from services.simulator.randomisation import NEUTRAL, draw_factors, grey_lookup
from services.simulator.sensors import Sensors
from services.simulator.varied_views import VariedViews
from services.simulator.vehicle import CAR
from services.simulator.world import draw_world, palette

TRACK, PLAIN = load_built_in("oval"), WorldSpec()
EVERYTHING: dict[str, Any] = {
    "brightness": (0.6, 1.4),
    "contrast": (0.6, 1.4),
    "hue_rad": (-0.5, 0.5),
    "saturation": (0.3, 1.6),
    "noise": (1, 12),
    "blur": (0.1, 1),
    "camera_height_m": (-0.02, 0.02),
    "camera_ahead_m": (-0.02, 0.02),
    "camera_pitch_rad": (-0.05, 0.05),
    "camera_yaw_rad": (-0.05, 0.05),
    "camera_fov_rad": (-0.1, 0.1),
    "friction": (0.5, 1.5),
    "mass": (0.8, 1.2),
    "lag": (0.5, 2),
    "action_delay_s": (0, 0.1),
}


def cars_on_track(count: int) -> np.ndarray:
    cars = np.zeros(count, CAR)
    along_m = np.linspace(0, TRACK.length_m, count, endpoint=False)
    cars["x_m"], cars["y_m"] = TRACK.points_at(along_m).T
    cars["heading_rad"] = TRACK.headings_at(along_m)
    return cars


def varied(cars: np.ndarray, seed: int = 0, episode: int = 0, **keys: Any) -> np.ndarray:
    spec = RandomisationSpec(**keys)
    views = VariedViews(len(cars), TRACK, PLAIN, spec)
    for car in range(len(cars)):
        views.renew(car, draw_factors(spec, seed, car, episode))
    images = np.zeros((len(cars), 120, 160), np.uint8)
    views.render(cars, NETWORK_CAMERA, images)
    return images


def plain(cars: np.ndarray) -> np.ndarray:
    images = np.zeros((len(cars), 120, 160), np.uint8)
    render_cars(cars, draw_world(TRACK), NETWORK_CAMERA, images)
    return images


def test_every_key_has_a_range_of_its_own_and_the_test_knows_all_of_them() -> None:
    assert set(EVERYTHING) == {*PICTURE_KEYS, *DYNAMICS_KEYS}


@given(seed=st.integers(0, 2**31), car=st.integers(0, 2**32), episode=st.integers(0, 10_000))
def test_draws_lie_in_their_ranges_and_depend_on_seed_car_and_episode_alone(
    seed: int, car: int, episode: int
) -> None:
    spec = RandomisationSpec(**EVERYTHING, textures=("wood", "carpet"))
    factors = draw_factors(spec, seed, car, episode)
    for key, (low, high) in EVERYTHING.items():
        assert low <= factors[key] <= high
    assert factors["texture"] in (0, 1)
    assert factors == draw_factors(spec, seed, car, episode)
    assert factors != draw_factors(spec, seed, car, episode + 1)
    assert factors != draw_factors(spec, seed, car + 1, episode)


def test_draws_fill_their_range() -> None:
    spec = RandomisationSpec(friction=(0.5, 1.5))
    friction = np.array([draw_factors(spec, 7, car, 0)["friction"] for car in range(400)])
    assert friction.min() < 0.52
    assert friction.max() > 1.48
    assert abs(friction.mean() - 1.0) < 0.06


@pytest.mark.parametrize("key", sorted(EVERYTHING))
def test_switching_one_range_on_leaves_the_draws_of_the_others(key: str) -> None:
    everything = draw_factors(RandomisationSpec(**EVERYTHING), 3, 4, 5)
    alone = draw_factors(RandomisationSpec(**{key: EVERYTHING[key]}), 3, 4, 5)
    assert alone[key] == everything[key]
    for other in EVERYTHING:
        if other != key:
            assert alone[other] == NEUTRAL.get(other, 0.0)


def test_pictures_are_the_same_to_the_bit_where_nothing_is_randomised() -> None:
    cars = cars_on_track(5)
    assert np.array_equal(varied(cars), plain(cars))


def test_pictures_repeat_exactly_and_differ_between_episodes_and_seeds() -> None:
    cars = cars_on_track(3)
    first = varied(cars, **EVERYTHING)
    assert np.array_equal(first, varied(cars, **EVERYTHING))
    assert not np.array_equal(first, varied(cars, episode=1, **EVERYTHING))
    assert not np.array_equal(first, varied(cars, seed=1, **EVERYTHING))


def test_a_cars_pictures_do_not_depend_on_the_others() -> None:
    cars = cars_on_track(4)
    together = varied(cars, **EVERYTHING)
    assert np.array_equal(together[:2], varied(cars[:2], **EVERYTHING))
    spec = RandomisationSpec(**EVERYTHING)
    views = VariedViews(4, TRACK, PLAIN, spec)
    for car in range(4):
        views.renew(car, draw_factors(spec, 0, car, 0))
    last = np.zeros((2, 120, 160), np.uint8)
    views.render(cars[2:], NETWORK_CAMERA, last, first=2)
    assert np.array_equal(last, together[2:])


def test_every_sensors_pictures_may_be_randomised() -> None:
    metadata = ModelMetadata.model_validate(
        {
            "action_space": [{"steering_angle": way, "speed": 1, "index": way} for way in (0, 1)],
            "sensor": ["STEREO_CAMERAS", "LIDAR"],
        }
    )
    sensors, cars = Sensors(metadata), cars_on_track(2)
    spec = RandomisationSpec(**EVERYTHING)
    views = VariedViews(2, TRACK, PLAIN, spec, cameras=sensors.cameras)
    for car in range(2):
        views.renew(car, draw_factors(spec, 0, car, 0))
    into, plainly = sensors.allocate(2), sensors.allocate(2)
    sensors.observe(cars, views.world, plainly)
    sensors.observe(
        cars, views.world, into, render=lambda camera, images: views.render(cars, camera, images)
    )
    assert not np.array_equal(into["STEREO_CAMERAS"], plainly["STEREO_CAMERAS"])
    assert np.array_equal(into["LIDAR"], plainly["LIDAR"])


@pytest.mark.parametrize("key", ["brightness", "contrast", "saturation", "hue_rad"])
def test_light_and_colour_change_greys_and_leave_the_scene(key: str) -> None:
    cars = cars_on_track(1)
    high = EVERYTHING[key][1]
    changed, before = varied(cars, **{key: (high, high)})[0], plain(cars)[0]
    assert not np.array_equal(changed, before)
    for grey in np.unique(before):  # one grey becomes one grey
        assert len(np.unique(changed[before == grey])) == 1


def test_brightness_is_a_factor() -> None:
    factors = draw_factors(RandomisationSpec(brightness=(0.5, 0.5)), 0, 0, 0)
    table = grey_lookup(factors, palette(PLAIN))
    assert np.abs(table.astype(int) - np.arange(256) / 2).max() <= 0.5


def test_hue_and_saturation_give_the_grey_of_the_changed_colours() -> None:
    colours = ((200, 40, 40), (40, 200, 40), (60, 60, 60))
    factors = draw_factors(RandomisationSpec(saturation=(0, 0)), 0, 0, 0)
    assert np.array_equal(grey_lookup(factors, colours), np.arange(256))  # greys are its greys
    third = 2 * np.pi / 3
    factors = draw_factors(RandomisationSpec(hue_rad=(third, third)), 0, 0, 0)
    table = grey_lookup(factors, colours)
    red, green = 0.2989 * 200 + 0.701 * 40, 0.587 * 200 + 0.4129 * 40
    assert abs(table[round(red)] - green) <= 2  # red has become green
    assert table[60] == 60


def test_noise_has_the_deviation_that_was_asked_for_and_changes_with_every_step() -> None:
    cars = cars_on_track(1)
    pictures = []
    for step in (0, 1):
        cars["steps"] = step
        pictures.append(varied(cars, noise=(8, 8))[0].astype(int))
    gap = pictures[0] - plain(cars)[0]
    assert 7.5 < gap[:, :].std() < 8.5
    assert abs(gap.mean()) < 0.5
    assert not np.array_equal(*pictures)
    assert abs(np.corrcoef(gap.ravel(), (pictures[1] - plain(cars)[0]).ravel())[0, 1]) < 0.05


def test_blur_makes_neighbours_more_alike() -> None:
    cars = cars_on_track(1)
    sharp, soft = plain(cars)[0].astype(int), varied(cars, blur=(1, 1))[0].astype(int)
    assert np.abs(np.diff(soft)).sum() < 0.8 * np.abs(np.diff(sharp)).sum()
    inner = sharp[49:52, 79:82]
    assert abs(soft[50, 80] - inner.mean()) <= 0.5 + 1e-9


def test_a_moved_camera_sees_what_a_camera_at_that_place_sees() -> None:
    cars = cars_on_track(1)
    moves = {"camera_height_m": 0.03, "camera_pitch_rad": 0.1, "camera_yaw_rad": -0.1}
    moves |= {"camera_ahead_m": 0.05, "camera_fov_rad": 0.2}
    seen = varied(cars, **{key: (value, value) for key, value in moves.items()})
    usual = Mount()
    mount = Mount(
        usual.height_m + 0.03, usual.ahead_m + 0.05, 0.0, usual.pitch_rad + 0.1, -0.1, 1.13 + 0.2
    )
    image = np.zeros((1, 120, 160), np.uint8)
    render_cars(cars, draw_world(TRACK), make_camera(160, 120, mount), image)
    assert np.array_equal(seen, image)


def test_the_texture_of_the_road_is_one_of_those_that_were_named() -> None:
    cars = cars_on_track(24)
    seen = varied(cars, textures=("wood", "plain"))
    expected = []
    for name in ("wood", "plain"):
        images = np.zeros_like(seen)
        render_cars(cars, draw_world(TRACK, WorldSpec(road=name)), NETWORK_CAMERA, images)
        expected.append(images)
    which = [[np.array_equal(seen[car], images[car]) for images in expected] for car in range(24)]
    assert np.sum(which, axis=1).tolist() == [1] * 24
    assert np.sum(which, axis=0).min() >= 4


def test_bodies_are_drawn_under_randomisation_as_without() -> None:
    cars = cars_on_track(1)
    body = np.zeros((1, 1), BODY)
    body["kind"] = BOX
    body["x_m"], body["y_m"] = TRACK.points_at(1.0)[0]
    body["length_m"] = body["width_m"] = body["height_m"] = 0.3
    views = VariedViews(1, TRACK, PLAIN, RandomisationSpec())
    views.renew(0, draw_factors(RandomisationSpec(), 0, 0, 0))
    seen, image = np.zeros((1, 120, 160), np.uint8), np.zeros((1, 120, 160), np.uint8)
    arena, own = np.zeros(1, np.int64), np.full(1, -1)
    views.render(cars, NETWORK_CAMERA, seen, body, arena, own)
    render_cars(cars, draw_world(TRACK), NETWORK_CAMERA, image, body, arena, own)
    assert np.array_equal(seen, image)
    assert not np.array_equal(seen, plain(cars))


def test_everything_is_off_by_default_and_in_evaluations_unless_asked_for() -> None:
    off = RandomisationSpec()
    assert not off.varies_picture
    assert not off.varies_dynamics
    on = RandomisationSpec(noise=(0, 9), friction=(0.5, 1))
    assert on.varies_picture
    assert on.varies_dynamics
    assert on.in_phase(evaluation=False) == on
    assert on.in_phase(evaluation=True) == off
    kept = on.model_copy(update={"in_evaluation": True})
    assert kept.in_phase(evaluation=True) == kept
    assert RandomisationSpec(textures=("wood",)).varies_picture


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("brightness: [2, 1]", "randomisation.brightness: got [2, 1]; accepted: two numbers from"),
        ("noise: 3", "randomisation.noise: got 3; accepted: two numbers from 0 to 64"),
        ("hue_rad: [0, 9]", "from -3.1416 to 3.1416, the lower first"),
        ("mass: [a, b]", "randomisation.mass: got ['a', 'b']"),
        ("lag: [true, 2]", "randomisation.lag: got [True, 2]"),
        ("textures: [wood, moss]", "accepted: a list of at most 4 of asphalt, carpet, concrete"),
        ("textures: [wood, wood]", "each once"),
        ("frictoin: [1, 2]", "did you mean 'friction'?"),
    ],
)
def test_a_range_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_run_file(f"randomisation: {{{text}}}".encode())
    assert any(words in problem for problem in caught.value.problems), caught.value.problems


def test_ranges_survive_the_way_through_json() -> None:
    spec = RandomisationSpec(**EVERYTHING, textures=("wood", "carpet"), in_evaluation=True)
    assert RandomisationSpec.model_validate_json(spec.model_dump_json()) == spec
