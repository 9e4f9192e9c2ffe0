"""Track files as they are found: mangled, but the same road; or no road at all."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.errors import InvalidInput
from libs.common.tracks import Track, TrackFile, built_in_names, load_built_in, read_npy
from libs.common.tracks.facts import direction_of

Table = np.ndarray[Any, np.dtype[np.float64]]

names = st.sampled_from(built_in_names())


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def table_of(name: str) -> Table:
    """As a community file has it, with its closing row."""
    table: Table = np.load(io.BytesIO(load_built_in(name).to_npy()))
    return table


def read(table: Any, width_m: float | None = None) -> TrackFile:
    return read_npy("mine", npy(table), width_m)


def flaws_of(table: Any, width_m: float | None = None) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(table, width_m)
    return "\n".join(caught.value.problems)


def assert_same_road(found: Track, expected: Track, within_m: float = 1e-9) -> None:
    assert found.closed == expected.closed
    assert found.length_m == pytest.approx(expected.length_m, abs=100 * within_m)
    for line in ("centre", "inner", "outer"):
        assert getattr(found, line) == pytest.approx(getattr(expected, line), abs=within_m), line


@given(
    names,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["<f8", ">f8", "<f4", ">f4"]),
    st.sampled_from(["C", "F"]),
)
@settings(max_examples=40, deadline=None)
def test_a_mangled_file_is_the_same_road(
    name: str, open_ended: bool, swapped: bool, dtype: str, order: Any
) -> None:
    table = table_of(name)
    if open_ended:
        table = table[:-1]
    if swapped:
        table = table[:, [0, 1, 4, 5, 2, 3]]
    file = read(np.array(table, dtype=dtype, order=order))
    within_m = 1e-5 if "4" in dtype else 1e-9
    assert_same_road(file.track, load_built_in(name), within_m)
    assert open_ended == any("the loop was closed" in note for note in file.notes)
    assert swapped == any("they were swapped" in note for note in file.notes)


@given(names, st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True))
@settings(max_examples=30, deadline=None)
def test_repeated_rows_keep_their_numbers_and_change_no_length(name: str, rows: list[int]) -> None:
    table = table_of(name)
    file = read(np.insert(table, rows, table[rows], axis=0))
    assert len(file.track.waypoints) == len(table) + len(rows)
    assert file.track.length_m == pytest.approx(load_built_in(name).length_m)
    assert any("segments of no length" in note for note in file.notes)
    found = file.track.centre[np.sort(rows)[0]]
    assert np.array_equal(found, table[np.sort(rows)[0], 0:2])


@given(names)
@settings(max_examples=20, deadline=None)
def test_a_reversed_file_runs_clockwise_as_given(name: str) -> None:
    file = read(table_of(name)[::-1])
    assert direction_of(file.track) == "clockwise"
    assert "it runs clockwise, as given" in file.notes
    assert_same_road(file.track, load_built_in(name).reversed())


@given(names, st.floats(-0.4, 0.4))
@settings(max_examples=20, deadline=None)
def test_what_was_read_once_is_read_the_same_again(name: str, shift: float) -> None:
    table = np.roll(table_of(name)[:-1], round(shift * 100), axis=0)
    first = read(table).track
    again = read_npy("mine", first.to_npy())
    assert_same_road(again.track, first, 0.0)
    assert not any("closed" in note for note in again.notes)


def test_real_tracks_are_the_same_road_however_they_are_mangled(shared_data: Path) -> None:
    for path in sorted((shared_data / "tracks").glob("*.npy")):
        table = np.load(path)
        track = read(table).track
        assert_same_road(read(table.astype(">f4")).track, track, 1e-4)
        assert_same_road(read(table[::-1]).track, track.reversed())
        if track.closed:
            assert_same_road(read(table[:-1]).track, track)
            assert_same_road(read(table[:, [0, 1, 4, 5, 2, 3]]).track, track)
        line = read(table[:, 0:2], 0.6).track
        assert line.length_m == pytest.approx(track.length_m)
        assert line.widths_m == pytest.approx(0.6, abs=0.01)


def test_ends_that_differ_by_rounding_are_one_point() -> None:
    table = table_of("loop")
    table[-1] += 2e-5
    file = read(table)
    assert_same_road(file.track, load_built_in("loop"))
    assert "row 148 is taken as row 0 again: 0.028 mm off" in file.notes


def test_ends_that_are_far_apart_stay_open() -> None:
    file = read(table_of("loop")[:100])
    assert not file.track.closed
    assert file.notes[0] == "the track is open: its ends are 2.74 m apart"


def test_whole_centimetres_are_no_metres() -> None:
    assert "are the values metres" in flaws_of((table_of("circuit") * 100).astype(np.int64))


def test_borders_that_begin_elsewhere_than_the_centre_are_told() -> None:
    table = table_of("loop")
    shifted = table[:-1].copy()
    shifted[:, 2:4] = np.roll(shifted[:, 2:4], 8, axis=0)
    shifted[:, 4:6] = np.roll(shifted[:, 4:6], -8, axis=0)
    file = read(np.vstack((shifted, shifted[:1])))
    assert file.track.widths_m == pytest.approx(0.76, abs=0.01)
    assert any("do not lie beside each other" in note for note in file.notes)


def test_a_width_that_varies_is_told() -> None:
    track = load_built_in("oval")
    sway = 0.15 * np.sin(np.linspace(0, 6 * np.pi, len(track.centre), endpoint=False))[:, None]
    outward = (track.outer - track.inner) / 0.8
    table = np.hstack((track.centre, track.inner, track.outer + sway * outward))
    assert any("its width varies: 0.65-0.95 m" in note for note in read(table).notes)


# -- centre lines -----------------------------------------------------------------------------


@given(names, st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_centre_line_alone_becomes_the_road_that_it_came_from(name: str, back: bool) -> None:
    track = load_built_in(name).reversed() if back else load_built_in(name)
    width_m = float(np.hypot(*(track.inner[0] - track.outer[0])))
    file = read(track.waypoints, width_m)
    # Arcs are sampled: a chord's normal is not quite that of the arc.
    assert_same_road(file.track, track, 0.12)
    assert file.track.widths_m == pytest.approx(width_m, abs=0.01)


def test_a_centre_line_gets_the_width_that_most_tracks_have() -> None:
    file = read(load_built_in("speedway").waypoints)
    assert file.track.widths_m == pytest.approx(1.067, abs=0.005)
    assert "borders 1.067 m (as most tracks are) apart" in file.notes[0]


def test_a_width_for_a_file_with_borders_is_told_to_be_unused() -> None:
    file = read(table_of("loop"), 2.0)
    assert_same_road(file.track, load_built_in("loop"))
    assert any("the width 2.0 m is not used" in note for note in file.notes)


@pytest.mark.parametrize("width_m", [0.0, -1.0, 0.1, 21.0, float("nan"), float("inf")])
def test_a_width_that_is_none_is_refused(width_m: float) -> None:
    assert "accepted are 0.2 to 20 m" in flaws_of(load_built_in("loop").waypoints, width_m)


def test_a_road_that_is_too_wide_for_its_own_bends_is_refused() -> None:
    for width_m in (2.0, 2.5, 4.0, 12.0):
        told = flaws_of(load_built_in("comb").waypoints, width_m)
        assert f"a road of {width_m} m has no room" in told


# -- no roads ---------------------------------------------------------------------------------


def test_a_figure_of_eight_is_refused_with_the_place_and_the_rows() -> None:
    turn = np.linspace(0, 2 * np.pi, 200)
    told = flaws_of(np.column_stack((4 * np.sin(turn), 2 * np.sin(2 * turn))))
    assert "the centre line crosses itself at (" in told
    assert "0.00) m by rows 0 and 99" in told


def test_a_border_that_crosses_itself_is_refused() -> None:
    table = table_of("loop")
    table[[20, 70], 2:4] = table[[70, 20], 2:4]
    assert "the inner border crosses itself at (" in flaws_of(table)


def test_a_twisted_border_of_a_small_infield_is_no_small_loop() -> None:
    square = np.array([(0.0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (0, 1)])
    inner, outer = 1 + (square - 1) * 0.3, 1 + (square - 1) * 1.5
    assert read(np.hstack((square, inner, outer))).track.closed
    twisted = inner[[0, 1, 4, 3, 2, 5, 6, 7]]
    assert "the inner border crosses itself" in flaws_of(np.hstack((square, twisted, outer)))


def test_borders_that_cross_each_other_are_refused() -> None:
    table = table_of("loop")
    table[30:60] = table[30:60][:, [0, 1, 4, 5, 2, 3]]
    told = flaws_of(table)
    assert "the inner border crosses the outer one at (" in told
    assert "by rows 29 and 29" in told
    assert "by rows 59 and 59" in told


def test_columns_in_another_order_are_refused() -> None:
    told = flaws_of(table_of("loop")[:, [2, 3, 0, 1, 4, 5]])
    assert "centre points are not between the borders" in told


def test_a_small_loop_in_a_tight_bend_is_told_and_driven_past() -> None:
    table = table_of("loop")[:-1]
    centre, inner = table[:, 0:2], table[:, 2:4]
    # A border that was made by shifting the centre line by more than the bend's radius.
    table[:, 2:4] = centre + (inner - centre) * 2.4
    table[:, 4:6] = centre - (inner - centre) * 2.4
    file = read(table)
    assert any("small loops, which a car passes" in note for note in file.notes)


@given(st.integers(4, 60), st.integers(0, 2**32 - 1), st.sampled_from([2, 6]))
@settings(max_examples=60, deadline=None)
def test_random_points_are_refused_or_are_a_road(count: int, seed: int, columns: int) -> None:
    table = np.random.default_rng(seed).uniform(0, 5, (count, columns))
    try:
        track = read(table).track
    except InvalidInput:
        return
    assert np.isfinite(track.widths_m).all()


def test_the_longest_file_that_is_accepted_is_judged_even_if_it_is_a_scribble() -> None:
    table = np.random.default_rng(1).uniform(0, 0.6, (5000, 6))
    table[:, 4:6] = table[:, 2:4] + 1
    told = flaws_of(table)
    assert "the centre line crosses itself at (" in told
    assert " more" in told
