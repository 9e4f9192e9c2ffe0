"""Tracks: the built-in ones, geometry along and across them, and the way to `.npy` and back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, Polygon

from libs.common.errors import NotFound
from libs.common.tracks import Track, built_in_names, load_built_in, parse_npy, read_npy
from libs.common.tracks.facts import find_facts

DOCS = Path(__file__).parents[2] / "docs"
SMALLEST_TURN_M = 0.44  # what a car steering 30 degrees can drive

names = st.sampled_from(built_in_names())


def test_there_are_at_least_eight_built_in_tracks_of_every_size() -> None:
    assert len(built_in_names()) >= 8
    tracks = [load_built_in(name) for name in built_in_names()]
    assert max(track.length_m for track in tracks) == pytest.approx(60, abs=1)
    assert min(track.widths_m.min() for track in tracks) == pytest.approx(0.61, abs=0.002)
    assert max(track.widths_m.min() for track in tracks) > 1.3


def test_the_default_track_is_the_size_of_the_reinvent_loop() -> None:
    track = load_built_in("loop")
    assert track.length_m == pytest.approx(17.7, abs=0.3)
    assert track.widths_m == pytest.approx(0.76, abs=0.01)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match="'nowhere'; there are alley, .*, hairpins, loop, oval"):
        load_built_in("nowhere")


@pytest.mark.parametrize("name", built_in_names())
def test_a_built_in_track_is_a_road_that_a_car_can_drive(name: str) -> None:
    track = load_built_in(name)
    outer, inner = Polygon(track.outer), Polygon(track.inner)
    assert outer.is_valid
    assert inner.is_valid
    assert outer.contains(inner)
    assert 100 <= len(track.centre) <= 200
    assert track.bounds_m[0] > 0
    assert track.bounds_m[1] > 0
    turns = np.diff(np.unwrap(track.segment_headings_rad))
    curvature_1pm = np.abs(turns) / np.diff(track.distances_m)[:-1]
    assert curvature_1pm.max() < 1 / SMALLEST_TURN_M
    assert track.widths_m.min() > 0.6
    assert read_npy(name, track.to_npy()).notes == ()


@pytest.mark.parametrize("name", built_in_names())
def test_the_documentation_shows_every_built_in_track_as_it_is(name: str) -> None:
    facts = find_facts(load_built_in(name))
    text = (DOCS / "tracks.md").read_text("utf-8")
    assert f"| `{name}` | {facts.length_m:.1f} m | {facts.width_mean_m:.2f} m |" in text
    assert f"images/tracks/{name}.png" in text
    assert (DOCS / "images" / "tracks" / f"{name}.png").is_file()


@pytest.mark.parametrize("name", built_in_names())
def test_built_in_tracks_run_counterclockwise(name: str) -> None:
    assert np.ptp(np.unwrap(load_built_in(name).segment_headings_rad)) > 5
    x, y = load_built_in(name).waypoints.T
    assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0


@given(names, st.floats(0, 60), st.floats(-0.3, 0.3))
def test_a_point_beside_the_centre_line_projects_back_to_it(
    name: str, distance_m: float, offset_m: float
) -> None:
    track = load_built_in(name)
    heading = track.headings_at(distance_m)[0]
    left = np.array([-np.sin(heading), np.cos(heading)])
    point = track.points_at(distance_m)[0] + offset_m * left
    found = track.project(point)
    gap_m = (found.distance_m[0] - distance_m + track.length_m / 2) % track.length_m
    # On the inside of a bend a neighbouring segment may be a little nearer.
    assert abs(gap_m - track.length_m / 2) < 0.1
    assert found.offset_m[0] == pytest.approx(offset_m, abs=0.03)


@given(names, st.floats(-2, 10), st.floats(-2, 8))
def test_projection_agrees_with_shapely(name: str, x_m: float, y_m: float) -> None:
    track = load_built_in(name)
    line = LineString(track.waypoints)
    found = track.project((x_m, y_m))
    gap_m = line.distance(LineString([(x_m, y_m), (x_m, y_m)]))
    assert abs(found.offset_m[0]) == pytest.approx(gap_m, abs=1e-9)
    nearest = line.interpolate(found.distance_m[0])
    assert np.hypot(nearest.x - x_m, nearest.y - y_m) == pytest.approx(gap_m, abs=1e-9)


@pytest.mark.parametrize("name", built_in_names())
def test_a_track_survives_its_npy_file(name: str) -> None:
    track = load_built_in(name)
    again = parse_npy(name, track.to_npy())
    assert again.closed
    for line in ("centre", "inner", "outer", "waypoints"):
        assert np.array_equal(getattr(again, line), getattr(track, line))


def test_reversed_swaps_left_and_right_and_keeps_the_start() -> None:
    track = load_built_in("loop")
    back = track.reversed()
    assert np.array_equal(back.centre[0], track.centre[0])
    assert np.array_equal(back.reversed().centre, track.centre)
    assert back.length_m == pytest.approx(track.length_m)
    beside = track.inner[40]
    assert track.project(beside).offset_m[0] > 0
    assert back.project(beside).offset_m[0] < 0


def test_a_mirrored_track_bends_the_other_way_in_the_same_place() -> None:
    track = load_built_in("loop")
    mirrored = track.mirrored()
    assert mirrored.bounds_m == pytest.approx(track.bounds_m)
    turns, back = (np.unwrap(way.segment_headings_rad) for way in (track, mirrored))
    assert np.diff(back) == pytest.approx(-np.diff(turns))
    assert mirrored.mirrored().centre == pytest.approx(track.centre)


def test_a_renamed_track_is_the_same_road() -> None:
    renamed = load_built_in("loop").renamed("mine")
    assert renamed.name == "mine"
    assert renamed.to_npy() == load_built_in("loop").to_npy()


def test_waypoints_end_with_the_first_one_where_the_track_is_closed() -> None:
    track = load_built_in("oval")
    assert len(track.waypoints) == len(track.centre) + 1
    assert np.array_equal(track.waypoints[0], track.waypoints[-1])
    assert track.distances_m[-1] == track.length_m


def test_a_repeated_row_keeps_its_number_and_takes_the_heading_before_it() -> None:
    track = load_built_in("oval")
    table = np.hstack((track.centre, track.inner, track.outer))
    doubled = _parse(np.insert(table, 21, table[20], axis=0), closed=True)
    assert len(doubled.centre) == len(track.centre) + 1
    assert doubled.length_m == pytest.approx(track.length_m)
    assert doubled.segment_headings_rad[20] == doubled.segment_headings_rad[19]
    assert np.isfinite(doubled.project(track.centre[20]).offset_m).all()


def test_a_track_whose_ends_differ_is_open() -> None:
    centre = np.column_stack((np.linspace(1, 6, 20), np.full(20, 1.0)))
    track = _parse(np.hstack((centre, centre + (0, 0.3), centre - (0, 0.3))), closed=False)
    assert not track.closed
    assert track.length_m == pytest.approx(5)
    assert track.points_at(99.0)[0] == pytest.approx((6, 1))
    assert track.reversed().headings_at(1.0)[0] == pytest.approx(np.pi)
    assert np.array_equal(parse_npy("open", track.to_npy()).centre, track.centre)


def test_arrays_of_a_track_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        load_built_in("loop").centre[0] = 0.0


def _parse(table: np.ndarray, closed: bool) -> Track:
    track = Track("t", table[:, :2].copy(), table[:, 2:4].copy(), table[:, 4:].copy(), closed)
    return parse_npy("t", track.to_npy())
