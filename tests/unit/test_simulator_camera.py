"""The camera against a pinhole worked out in space, and the world that it looks at."""

import math

import numpy as np
import pytest

from libs.common.tracks import built_in_names, load_built_in
from services.simulator.camera import NETWORK_CAMERA, make_camera, render_cars
from services.simulator.vehicle import CAR
from services.simulator.world import (
    BORDER_GREY,
    DASH_GREY,
    DASH_PERIOD_M,
    FAR_GREY,
    FIELD_GREY,
    FIELD_NOISE,
    ROAD_GREY,
    ROAD_NOISE,
    SKY_GREY,
    VIEW_RANGE_M,
    World,
    draw_world,
)


def grey_at(world: World, x_m: float, y_m: float) -> int:
    """The texel at a place, through the texture's wrapped axes."""
    column = math.floor((x_m - world.x_min_m) * world.texels_per_m) % 2**world.width_log2
    row = math.floor((y_m - world.y_min_m) * world.texels_per_m) % 2**world.height_log2
    return int(world.texture[row * 2**world.width_log2 + column])


def ground_seen_by(row: int, column: int, car: np.void) -> tuple[float, float] | None:
    """Where the ray through a pixel of the network's camera meets the ground; None for the sky."""
    focal_px = 80 / math.tan(1.13 / 2)
    pitch, heading = math.radians(15), car["heading_rad"]
    right, down = (column + 0.5 - 80) / focal_px, (row + 0.5 - 60) / focal_px
    forward = math.cos(pitch) - down * math.sin(pitch)
    fall = math.sin(pitch) + down * math.cos(pitch)
    if fall <= 0:
        return None
    scale = 0.1303 / fall
    ahead_m, left_m = 0.1453 + scale * forward, -scale * right
    return (
        car["x_m"] + ahead_m * math.cos(heading) - left_m * math.sin(heading),
        car["y_m"] + ahead_m * math.sin(heading) + left_m * math.cos(heading),
    )


def smooth_world() -> World:
    """Greys that rise and fall along both axes, so that a texel's neighbours nearly equal it."""
    rows, columns = np.mgrid[:1024, :1024]
    waves = 120 + 50 * np.sin(columns * math.tau / 1024) + 50 * np.cos(rows * math.tau / 1024)
    return World(waves.astype(np.uint8).ravel(), 10, 10, 100.0, -2.0, -1.0)


@pytest.mark.parametrize("heading_rad", [0.0, 0.7, 1.6, 3.1, -2.2, -0.9])
def test_every_pixel_shows_what_a_ray_through_it_meets(heading_rad: float) -> None:
    world = smooth_world()
    cars = np.zeros(1, CAR)
    cars["x_m"], cars["y_m"], cars["heading_rad"] = 1.3, 2.1, heading_rad
    image = np.zeros((1, 120, 160), np.uint8)
    render_cars(cars, world, NETWORK_CAMERA, image)
    for row in range(0, 120, 3):
        for column in range(0, 160, 7):
            place = ground_seen_by(row, column, cars[0])
            grey = int(image[0, row, column])
            if place is None:
                assert grey == SKY_GREY
            elif row < NETWORK_CAMERA.ground_row:
                assert grey == FAR_GREY
                assert math.dist(place, (1.3, 2.1)) > VIEW_RANGE_M
            else:
                assert abs(grey - grey_at(world, *place)) <= 1


def test_the_horizon_is_where_fifteen_degrees_put_it() -> None:
    above_centre_px = 80 / math.tan(1.13 / 2) * math.tan(math.radians(15))
    assert NETWORK_CAMERA.horizon_row == math.ceil(60 - above_centre_px - 0.5)


def test_a_larger_picture_shows_the_same_scene() -> None:
    world = smooth_world()
    cars = np.zeros(1, CAR)
    small, large = np.zeros((1, 120, 160), np.uint8), np.zeros((1, 240, 320), np.uint8)
    render_cars(cars, world, NETWORK_CAMERA, small)
    render_cars(cars, world, make_camera(320, 240), large)
    ground = NETWORK_CAMERA.ground_row + 6  # nearer to the horizon a row spans too much ground
    means = large[0].reshape(120, 2, 160, 2).mean(axis=(1, 3))
    assert np.abs(means[ground:] - small[0, ground:]).max() <= 2


@pytest.mark.parametrize("name", built_in_names())
def test_a_world_has_road_lines_and_field_in_their_places(name: str) -> None:
    track = load_built_in(name)
    world = draw_world(track)
    period_m = track.length_m / round(track.length_m / DASH_PERIOD_M)
    for begin_m in np.arange(0, track.length_m - 1, 1.7) // period_m * period_m:
        dash, gap = track.points_at([begin_m + 0.07, begin_m + 0.22])
        assert grey_at(world, *dash) == DASH_GREY
        assert abs(grey_at(world, *gap) - ROAD_GREY) <= ROAD_NOISE
    for row in range(0, len(track.centre), 9):
        inner, outer = track.inner[row], track.outer[row]
        assert grey_at(world, *inner) == grey_at(world, *outer) == BORDER_GREY
        aside = outer + (outer - inner) * 0.15
        assert abs(grey_at(world, *aside) - FIELD_GREY) <= FIELD_NOISE


def test_a_world_is_the_same_for_the_same_seed_only() -> None:
    track = load_built_in("oval")
    assert np.array_equal(draw_world(track, 1).texture, draw_world(track, 1).texture)
    assert not np.array_equal(draw_world(track, 1).texture, draw_world(track, 2).texture)


@pytest.mark.parametrize("size_m", [3.0, 15.0, 60.0, 900.0])
def test_a_world_of_any_size_leaves_room_for_the_view_and_fits_in_memory(size_m: float) -> None:
    track = load_built_in("oval")
    factor = size_m / 6.3
    lines = [line * factor for line in (track.centre, track.inner, track.outer)]
    world = draw_world(type(track)("scaled", *lines, closed=True))
    x_min, y_min, x_max, y_max = np.array(track.bounds_m) * factor
    assert len(world.texture) == 2 ** (world.width_log2 + world.height_log2) <= 2**24
    assert 2**world.width_log2 / world.texels_per_m >= x_max - x_min + VIEW_RANGE_M
    assert 2**world.height_log2 / world.texels_per_m >= y_max - y_min + VIEW_RANGE_M
    assert world.texels_per_m == 100.0 or size_m > 40
