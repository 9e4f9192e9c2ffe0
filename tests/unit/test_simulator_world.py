"""Worlds: what is drawn where, of which material, in how much memory."""

import math
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from libs.common.deepracer.run_file import parse_run_file
from libs.common.deepracer.run_spec import RunSpec
from libs.common.deepracer.world_spec import LOOKS, LightSpec, TextureName, WorldSpec
from libs.common.deepracer.worlds import look_of_world
from libs.common.errors import InvalidInput
from libs.common.tracks import built_in_names, load_built_in
from services.simulator.textures import MATERIALS, TILE_TEXELS, tile
from services.simulator.world import (
    BORDER,
    DASH,
    FIELD,
    ROAD,
    VIEW_RANGE_M,
    World,
    draw_colour_worlds,
    draw_world,
    grey_of,
    ground_colours,
)

GREYS = [grey_of(colour) for colour in ground_colours(WorldSpec())]
NOISE = 9


def grey_at(world: World, x_m: float, y_m: float) -> int:
    column = math.floor((x_m - world.x_min_m) * world.texels_per_m) % 2**world.width_log2
    row = math.floor((y_m - world.y_min_m) * world.texels_per_m) % 2**world.height_log2
    return int(world.texture[row * 2**world.width_log2 + column])


@pytest.mark.parametrize("name", built_in_names())
def test_a_world_has_road_lines_and_field_in_their_places(name: str) -> None:
    track = load_built_in(name)
    world = draw_world(track)
    period_m = track.length_m / round(track.length_m / 0.30)
    for begin_m in np.arange(0, track.length_m - 1, 1.7) // period_m * period_m:
        dash, gap = track.points_at([begin_m + 0.07, begin_m + 0.22])
        assert grey_at(world, *dash) == GREYS[DASH]
        assert abs(grey_at(world, *gap) - GREYS[ROAD]) <= NOISE
    for row in range(0, len(track.centre), 9):
        inner, outer = track.inner[row], track.outer[row]
        assert grey_at(world, *inner) == grey_at(world, *outer) == GREYS[BORDER]
        aside = outer + (outer - inner) * 0.15
        assert abs(grey_at(world, *aside) - GREYS[FIELD]) <= NOISE


def test_the_default_world_has_the_greys_that_policies_were_trained_on() -> None:
    world = draw_world(load_built_in("oval"))
    assert GREYS == [122, 48, 146, 226]
    assert (world.sky, world.far, len(world.faces)) == (30, 120, 0)


def test_borders_and_dashes_have_the_measures_of_the_description() -> None:
    track = load_built_in("oval")
    spec = WorldSpec(border_width_m=0.2, border_shift_m=0.1, dash_width_m=0)
    world = draw_world(track, spec)
    row = len(track.outer) // 2
    outwards = track.outer[row] - track.centre[row]
    outwards /= np.hypot(*outwards)
    for away_m, grey in ((0.03, BORDER), (0.17, BORDER), (-0.05, ROAD), (0.25, FIELD)):
        place = track.outer[row] + away_m * outwards
        assert abs(grey_at(world, *place) - GREYS[grey]) <= NOISE
    assert GREYS[DASH] not in [grey_at(world, *p) for p in track.points_at(np.arange(0, 5, 0.05))]


def test_a_world_is_the_same_for_the_same_seed_only() -> None:
    track, spec = load_built_in("oval"), WorldSpec(road="concrete", surroundings="skyline")
    one, same, other = (draw_world(track, spec, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.texture, same.texture)
    assert np.array_equal(one.faces, same.faces)
    assert not np.array_equal(one.texture, other.texture)
    assert not np.array_equal(one.faces, other.faces)


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


def test_a_grey_world_is_the_grey_of_the_coloured_one() -> None:
    track, spec = load_built_in("oval"), WorldSpec(road="wood", light=LightSpec(warmth=0.5))
    grey, colours = draw_world(track, spec), draw_colour_worlds(track, spec)
    for x_m, y_m in track.points_at(np.arange(0.2, 6, 0.37)):
        mixed = grey_of(tuple(grey_at(part, x_m, y_m) for part in colours))
        # A finer texel may lie on the other side of an edge or of a board's grain.
        assert abs(mixed - grey_at(grey, x_m, y_m)) <= 25


@pytest.mark.parametrize("name", get_args(TextureName))
def test_a_texture_repeats_without_a_seam_and_is_itself_for_its_seed(name: TextureName) -> None:
    relief = tile(name, 3).astype(int)
    assert relief.shape == (TILE_TEXELS, TILE_TEXELS)
    tile.cache_clear()
    assert np.array_equal(tile(name, 3), relief)
    across_seam = np.abs(relief[:, 0] - relief[:, -1]).mean()
    inside = np.abs(np.diff(relief, axis=1)).mean(axis=0)
    assert across_seam <= inside.max() + 1e-9
    assert abs(relief.mean()) < 8
    if name != "plain":
        assert not np.array_equal(tile(name, 4), relief)
        assert relief.std() > 1


def test_light_makes_colours_brighter_and_warmer() -> None:
    plain = ground_colours(WorldSpec())
    bright = ground_colours(WorldSpec(light=LightSpec(brightness=1.5)))
    warm = ground_colours(WorldSpec(light=LightSpec(warmth=1)))
    for before, brighter, warmer in zip(plain, bright, warm, strict=True):
        assert all(b >= a for a, b in zip(before, brighter, strict=True))
        assert warmer[0] >= before[0]
        assert warmer[2] <= before[2]


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse_run_file(text.encode())
    return caught.value.problems


def test_a_missing_texture_is_refused_with_those_there_are() -> None:
    (problem,) = problems("world: {road: marble}")
    assert "world.road: got 'marble'; accepted: " in problem
    assert all(repr(name) in problem for name in MATERIALS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("world: {look: moon}", "look: got 'moon'; accepted: 'plain' or 'championship'"),
        ("world: {sky_colour: [1, 2, 300]}", "world.sky_colour: got [1, 2, 300]; accepted: red"),
        ("world: {sky_colour: blue}", "world.sky_colour: got 'blue'"),
        ("world: {dash_length_m: 0}", "world.dash_length_m: got 0; accepted: a number"),
        ("world: {light: {brightness: 9}}", "world.light.brightness: got 9"),
        ("world: {surroundings: sea}", "accepted: 'none' or 'walls' or 'skyline'"),
        ("world: {lamp: 1}", "unknown key 'lamp'"),
    ],
)
def test_a_world_that_cannot_be_is_refused(text: str, words: str) -> None:
    assert any(words in problem for problem in problems(text))


def test_a_look_gives_values_that_single_keys_go_before() -> None:
    world = parse_run_file(b"world: {look: championship, road: wood}").value.world
    assert world.road == "wood"
    assert world.dash_colour == LOOKS["championship"]["dash_colour"]
    assert WorldSpec.model_validate_json(world.model_dump_json()) == world


@pytest.mark.parametrize(
    ("world", "field"),
    [
        ("reinvent_wood", "wood"),
        ("reinvent_carpet", "carpet"),
        ("reinvent_concrete_low_rtf", "concrete"),
        ("Tokyo_Training_track", "grass"),
    ],
)
def test_a_world_of_2019_keeps_its_floor(world: str, field: str) -> None:
    assert look_of_world(world).field == field


def test_a_run_without_a_world_has_the_plain_one() -> None:
    assert RunSpec.model_fields["world"].default == WorldSpec()
    with pytest.raises(ValidationError):
        WorldSpec(road="marble")  # type: ignore[arg-type]
