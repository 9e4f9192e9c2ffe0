"""Where a car is on the track: against exact geometry and the real simulator's logs."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon

from libs.common.deepracer.simtrace import TraceRow
from libs.common.deepracer.trace_reader import read_simtrace, split_episodes
from libs.common.tracks import Track, built_in_names, load_built_in, parse_npy
from services.simulator.course import Course, is_on_road, locate_car, measure_car, survey
from services.simulator.vehicle import CAR, REFERENCE_POINT_M

names = st.sampled_from(built_in_names())
COURSES = {name: survey(load_built_in(name)) for name in built_in_names()}


def straight_track() -> Track:
    x_m = np.linspace(1, 6, 26)
    lines = [np.column_stack((x_m, np.full(26, y_m))) for y_m in (1.0, 1.3, 0.7)]
    return Track("straight", *lines, closed=False)


@settings(deadline=None)
@given(names, st.floats(0, 1), st.floats(-0.6, 0.6), st.booleans())
def test_the_local_search_finds_what_the_global_one_does(
    name: str, lap: float, offset_m: float, clockwise: bool
) -> None:
    track = load_built_in(name)
    way = track.reversed() if clockwise else track
    distance_m = lap * way.length_m
    heading = way.headings_at(distance_m)[0]
    point = way.points_at(distance_m)[0] + offset_m * np.array([-np.sin(heading), np.cos(heading)])
    expected = way.project(point)
    # Where the road comes back beside itself, a car keeps to the stretch that it is on.
    away_m = abs(expected.distance_m[0] - distance_m)
    assume(min(away_m, way.length_m - away_m) < 1.0)

    car = np.zeros(1, CAR)[0]
    car["course"], car["front_x_m"], car["front_y_m"] = clockwise, *point
    # One metre behind, as after a fast step.
    car["segment"] = way.project(way.points_at(distance_m - 1.0)).segment[0]
    locate_car(car, COURSES[name])

    # The start line is both 0 m and the whole lap.
    gap_m = abs(car["distance_m"] - expected.distance_m[0])
    assert min(gap_m, way.length_m - gap_m) < 1e-9
    assert car["offset_m"] == pytest.approx(expected.offset_m[0], abs=1e-9)
    widths_m = way.widths_m[[car["segment"], car["segment"] + 1]]
    assert widths_m.min() - 1e-9 <= car["width_m"] <= widths_m.max() + 1e-9


@pytest.mark.parametrize("name", built_in_names())
def test_the_road_is_the_polygon_between_the_borders(name: str) -> None:
    track = load_built_in(name)
    road = Polygon(track.outer, [track.inner])
    course = survey(track)
    x_min, y_min, x_max, y_max = track.bounds_m
    random = np.random.default_rng(3)
    points = random.uniform((x_min - 1, y_min - 1), (x_max + 1, y_max + 1), (3000, 2))
    for x_m, y_m in points:
        assert is_on_road(x_m, y_m, course) == road.contains(Point(x_m, y_m))


def test_the_road_of_an_open_track_ends_where_it_ends() -> None:
    course = survey(straight_track())
    assert is_on_road(1.1, 1.0, course)
    assert is_on_road(5.9, 0.8, course)
    assert not is_on_road(6.1, 1.0, course)
    assert not is_on_road(3.0, 1.31, course)


def test_the_end_of_an_open_track_does_not_lead_to_its_beginning() -> None:
    course = survey(straight_track())
    car = np.zeros(1, CAR)[0]
    car["x_m"], car["y_m"], car["segment"], car["distance_m"] = 5.9, 1.0, 23, 4.7
    measure_car(car, course)
    assert car["distance_m"] == pytest.approx(5.0)
    assert car["gained_m"] == pytest.approx(0.3)
    assert car["segment"] == 24


def test_crossing_the_start_line_goes_on_counting() -> None:
    track = load_built_in("oval")
    course = survey(track)
    car = np.zeros(1, CAR)[0]
    car["segment"], car["distance_m"] = len(track.centre) - 3, track.length_m - 0.3
    for distance_m in (-0.4, -0.1, 0.2, 0.5):
        car["x_m"], car["y_m"] = track.points_at(distance_m)[0]
        measure_car(car, course)
        assert car["gained_m"] == pytest.approx(0.3 if distance_m > -0.4 else 0.04)
    assert car["travelled_m"] == pytest.approx(0.94)


def test_the_local_search_keeps_to_the_real_simulators_logs(shared_data: Path) -> None:
    path = shared_data / "tracks" / "reinvent_base.npy"
    track = parse_npy("reinvent_base", path.read_bytes())
    course = survey(track)
    folder = shared_data / "runs" / "single-worker" / "training-simtrace"
    for file in folder.glob("*.csv"):
        for episode in split_episodes(read_simtrace(file.name, file.read_text())):
            follow_episode(episode, track, course)


def follow_episode(episode: list[TraceRow], track: Track, course: Course) -> None:
    """Measure row after row; the car is only told where it began."""
    car = np.zeros(1, CAR)[0]
    place = track.project((episode[0].x_m, episode[0].y_m))
    car["segment"], car["distance_m"] = place.segment[0], place.distance_m[0]
    car["travelled_m"] = episode[0].progress_pct / 100 * track.length_m
    for row in episode:
        heading = math.radians(row.yaw_deg)
        car["heading_rad"] = heading
        car["x_m"] = row.x_m - REFERENCE_POINT_M * math.cos(heading)
        car["y_m"] = row.y_m - REFERENCE_POINT_M * math.sin(heading)
        measure_car(car, course)
        assert car["progress_pct"] == pytest.approx(row.progress_pct, abs=0.0001)
        assert car["nearest"] == row.closest_waypoint
