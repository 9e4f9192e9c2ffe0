"""Track files that are no tracks are refused by name, value and what is accepted."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import InvalidInput
from libs.common.tracks import load_built_in, parse_npy
from libs.common.tracks.facts import direction_of


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def table() -> np.ndarray:
    track = load_built_in("oval")
    return np.hstack((track.centre, track.inner, track.outer))


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"not an array", b"\x00" * 100])
def test_bytes_that_are_no_npy_file_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"track 'mine': \d+ bytes beginning with"):
        parse_npy("mine", data)


def test_a_truncated_file_is_refused() -> None:
    with pytest.raises(InvalidInput, match="damaged"):
        parse_npy("mine", npy(table())[:-100])


def test_a_header_that_promises_more_memory_than_there_is_is_refused() -> None:
    header = npy(table()).replace(b"(149, 6)", b"(9**9,6)")
    with pytest.raises(InvalidInput):
        parse_npy("mine", header)
    huge = npy(table()).replace(b"'shape': (149, 6), }", b"'shape':(99999999,6)}")
    with pytest.raises(InvalidInput, match=r"\(99999999, 6\)"):
        parse_npy("mine", huge)


@pytest.mark.parametrize("shape", [(149, 3), (149,), (149, 6, 1), (149, 7)])
def test_another_shape_is_refused_with_the_accepted_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"accepted is \(rows, 6\)"):
        parse_npy("mine", npy(np.zeros(shape)))


def test_an_array_of_objects_is_refused_before_any_of_it_is_read() -> None:
    with pytest.raises(InvalidInput, match="plain numbers"):
        parse_npy("mine", npy(np.full((9, 6), None), allow_pickle=True))


def test_text_is_refused() -> None:
    with pytest.raises(InvalidInput, match="plain numbers"):
        parse_npy("mine", npy(np.full((9, 6), "1.0")))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_named_with_its_place(value: float) -> None:
    rows = table()
    rows[17, 3] = value
    with pytest.raises(InvalidInput, match="row 17, column 3 is"):
        parse_npy("mine", npy(rows))


def test_every_problem_is_told_at_once_with_rows_and_values() -> None:
    rows = table()
    rows[17, 3], rows[60, 0], rows[80:90, 1] = np.nan, np.inf, -np.inf
    rows[5, 2:4] = rows[5, 4:6]
    with pytest.raises(InvalidInput) as caught:
        parse_npy("mine", npy(rows))
    told = "\n".join(caught.value.problems)
    assert "row 17, column 3 is nan" in told
    assert "row 60, column 0 is inf" in told
    assert "and 7 more" in told

    rows = table() * 1000
    rows[5, 2:4] = rows[5, 4:6]
    rows[9, 2:4] = rows[9, 4:6]
    with pytest.raises(InvalidInput) as caught:
        parse_npy("mine", npy(rows))
    extent, length, width = caught.value.problems
    assert "it extends over 7999 m; at most 1000 m" in extent
    assert "m long; at most 2000 m" in length
    assert "row 5 is 0.000 m wide, row 9 is 0.000 m wide" in width


def test_a_wrong_shape_of_objects_is_two_problems() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_npy("mine", npy(np.full((9, 5), None), allow_pickle=True))
    assert len(caught.value.problems) == 2


def test_a_file_of_nothing_but_nan_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidInput, match="and 889 more; every value must be a finite number"):
        parse_npy("mine", npy(np.full((149, 6), np.nan)))


def test_no_rows_at_all_are_refused() -> None:
    with pytest.raises(InvalidInput, match="0 different points; at least 4"):
        parse_npy("mine", npy(np.zeros((0, 6))))


def test_too_few_points_are_refused() -> None:
    with pytest.raises(InvalidInput, match="3 different points; at least 4"):
        parse_npy("mine", npy(table()[:3]))


def test_a_triangle_has_too_few_points_even_with_its_closing_row() -> None:
    corners = np.array([(0.0, 0), (4, 0), (2, 4), (0, 0)])
    with pytest.raises(InvalidInput, match="3 different points; at least 4"):
        parse_npy("mine", npy(corners))


def test_values_beyond_all_bounds_are_refused_as_too_far_apart() -> None:
    rows = table()
    rows[3], rows[4] = 1e308, -1e308
    with pytest.raises(InvalidInput, match="extends over inf m"):
        parse_npy("mine", npy(rows))


def test_a_road_without_width_is_refused_with_its_row() -> None:
    rows = table()
    rows[60, 2:4] = rows[60, 4:6]
    with pytest.raises(InvalidInput, match=r"row 60 is 0\.000 m wide"):
        parse_npy("mine", npy(rows))


def test_a_road_of_no_length_is_refused() -> None:
    rows = np.tile([1.0, 1.0, 1.0, 1.4, 1.0, 0.6], (9, 1))
    with pytest.raises(InvalidInput, match="length is 0 m"):
        parse_npy("mine", npy(rows))


def test_centimetres_are_noticed() -> None:
    with pytest.raises(InvalidInput, match="are the values metres"):
        parse_npy("mine", npy(table() * 1000))


def test_whole_numbers_and_single_precision_are_read_as_metres() -> None:
    for dtype in (np.float32, np.int64):
        track = parse_npy("mine", npy(np.rint(table() * 10).astype(dtype)))
        assert track.centre.dtype == np.float64


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_npy("mine", data)


@given(st.integers(0, 120), st.binary(min_size=1, max_size=8))
def test_no_damaged_header_crashes_the_reader(place: int, patch: bytes) -> None:
    data = npy(table())
    try:
        track = parse_npy("mine", data[:place] + patch + data[place + len(patch) :])
    except InvalidInput:
        return
    assert np.isfinite(track.centre).all()


def test_real_tracks_are_read_with_their_published_lengths(shared_data: Path) -> None:
    lengths_m = {
        "reinvent_base": 17.71,
        "reInvent2019_wide": 16.64,
        "reInvent2019_track": 23.12,
        "Spain_track": 60.0,
        "2022_reinvent_champ": 33.28,
        "Oval_track": 19.55,
        "Bowtie_track": 17.43,
        "Monaco": 60.27,
        "Straight_track": 5.71,
    }
    for path in sorted((shared_data / "tracks").glob("*.npy")):
        track = parse_npy(path.stem, path.read_bytes())
        assert track.closed == (path.stem != "Straight_track")
        assert (direction_of(track) == "clockwise") == (path.stem in ("Monaco", "Spain_track"))
        assert track.length_m == pytest.approx(lengths_m.get(path.stem, track.length_m), abs=0.01)
        assert track.widths_m.min() > 0.5
        assert track.to_npy() == path.read_bytes()
