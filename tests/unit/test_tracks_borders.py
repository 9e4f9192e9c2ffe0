"""Borders round a centre line, and where lines cross: against shapely."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.tracks.borders import build_road, signed_area_m2
from libs.common.tracks.crossings import find_crossings, find_self_crossings
from libs.common.tracks.flaws import find_road_flaws, find_room_flaws
from libs.common.tracks.track import close

Points = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def blob(seed: int, rows: int, roughness: float) -> Points:
    """A closed curve round the origin that is bent more or less, about 20 m long."""
    random = np.random.default_rng(seed)
    turn = np.linspace(0, 2 * np.pi, rows, endpoint=False)
    radius = 3.0 + roughness * sum(
        random.normal() * np.sin(k * turn + random.uniform(0, 6)) / k for k in range(2, 7)
    )
    return np.maximum(radius, 1.2)[:, None] * np.column_stack((np.cos(turn), np.sin(turn)))


@given(
    st.integers(0, 10_000),
    st.integers(40, 200),
    st.floats(0, 0.8),
    st.floats(0.4, 1.2),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_borders_keep_their_distance_or_the_road_has_no_room(
    seed: int, rows: int, roughness: float, width_m: float, backwards: bool
) -> None:
    centre = blob(seed, rows, roughness)[:: -1 if backwards else 1]
    track = build_road("blob", centre, width_m, closed=True)
    if find_room_flaws(track, width_m) or find_road_flaws(track):
        return
    line = shapely.LinearRing(centre)
    for border in (track.inner, track.outer):
        gaps_m = shapely.distance(line, shapely.points(border))
        assert gaps_m.min() > 0.9 * width_m / 2 - 0.02
    assert abs(signed_area_m2(track.inner)) < abs(signed_area_m2(centre))
    assert abs(signed_area_m2(centre)) < abs(signed_area_m2(track.outer))


@pytest.mark.parametrize("corner_deg", [30, 60, 90, 120])
def test_the_inner_border_of_a_sharp_corner_meets_in_one_point(corner_deg: float) -> None:
    turn = np.radians(corner_deg)
    before = np.column_stack((np.linspace(-5, 0, 51), np.zeros(51)))
    after = np.linspace(0.1, 5, 50)[:, None] * (np.cos(turn), np.sin(turn))
    centre = np.vstack((before, after))
    track = build_road("corner", centre, 1.0, closed=False)
    assert find_self_crossings(track.inner) == []
    assert track.widths_m.min() == pytest.approx(1.0, abs=0.03)
    line = shapely.LineString(centre)
    assert shapely.distance(line, shapely.points(track.inner)).min() > 0.45


def test_open_roads_have_their_inner_border_on_the_left() -> None:
    track = build_road("straight", np.column_stack((np.arange(5.0), np.zeros(5))), 0.8, False)
    assert track.inner[:, 1] == pytest.approx(0.4)
    assert track.outer[:, 1] == pytest.approx(-0.4)


@given(st.integers(0, 100_000), st.integers(4, 14))
@settings(max_examples=100, deadline=None)
def test_a_ring_crosses_itself_where_shapely_says_that_it_is_not_simple(
    seed: int, rows: int
) -> None:
    points = np.random.default_rng(seed).uniform(0, 10, (rows, 2))
    found = find_self_crossings(close(points))
    assert bool(found) != shapely.LinearRing(points).is_simple
    line = shapely.LinearRing(points)
    for crossing in found:
        assert shapely.distance(line, shapely.Point(crossing.x_m, crossing.y_m)) < 1e-9


@given(st.integers(0, 100_000), st.integers(2, 12))
@settings(max_examples=60, deadline=None)
def test_two_lines_meet_where_shapely_says_that_they_do(seed: int, rows: int) -> None:
    ours, theirs = np.random.default_rng(seed).uniform(0, 10, (2, rows, 2))
    found = find_crossings(ours, theirs)
    places = shapely.intersection(shapely.LineString(ours), shapely.LineString(theirs))
    assert len(found) == shapely.get_num_geometries(places) * (not places.is_empty)


def test_a_loop_is_as_long_as_the_shorter_way_round() -> None:
    eight = np.array([(0.0, 0), (4, 4), (4, 0), (0, 4)])
    (crossing,) = find_self_crossings(close(eight))
    assert (crossing.x_m, crossing.y_m, crossing.rows) == (2.0, 2.0, (0, 2))
    assert crossing.loop_m == pytest.approx(4 + 2 * 8**0.5)
    (open_one,) = find_self_crossings(eight)
    assert open_one.loop_m == pytest.approx(4 + 2 * 8**0.5)
