"""DeepRacer's track files: NumPy arrays of six columns, the centre line and its two borders."""

import io

import numpy as np
from numpy.lib import format as npy_format

from libs.common.errors import InvalidInput
from libs.common.tracks.track import FloatArray, Track

MAX_ROWS = 20_000
MAX_EXTENT_M = 1_000.0
MIN_POINTS = 4
MIN_WIDTH_M = 0.05


def parse_npy(name: str, data: bytes) -> Track:
    """
    Read a track from the bytes of an `.npy` file.

    Rows are `centre x, y, inner x, y, outer x, y` in metres, in the driving direction; a closed
    track repeats row 0 at its end. Object arrays are refused: they could run code.

    Raises:
        InvalidInput: not an npy file, another shape, values that are no road; the value is quoted.
    """
    table = _read_table(name, data)
    closed = len(table) > 1 and bool(np.array_equal(table[0], table[-1]))
    rows = table[:-1] if closed else table
    _refuse_what_is_no_road(name, rows)
    return Track(name, rows[:, 0:2].copy(), rows[:, 2:4].copy(), rows[:, 4:6].copy(), closed=closed)


def _read_table(name: str, data: bytes) -> FloatArray:
    """The (rows, 6) float64 table, its header checked before memory is taken for it."""
    _refuse_bad_header(name, data)
    try:
        table = npy_format.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InvalidInput(f"track {name!r}: the .npy file is damaged: {error}") from error
    return np.ascontiguousarray(table, dtype=np.float64)


def _refuse_bad_header(name: str, data: bytes) -> None:
    stream = io.BytesIO(data)
    try:
        version = npy_format.read_magic(stream)
        read = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
    except Exception as error:  # whatever Python's tokenizer makes of a damaged header
        raise InvalidInput(
            f"track {name!r}: {len(data)} bytes beginning with {data[:8]!r} are no .npy file"
        ) from error
    if len(shape) != 2 or shape[1] != 6 or shape[0] > MAX_ROWS:
        raise InvalidInput(
            f"track {name!r}: the array's shape is {shape}; accepted is (rows, 6) of at most "
            f"{MAX_ROWS} rows: centre x, y, inner x, y, outer x, y"
        )
    if dtype.kind not in "fiu":
        raise InvalidInput(f"track {name!r}: the array holds {dtype}; accepted are plain numbers")


def _refuse_what_is_no_road(name: str, rows: FloatArray) -> None:
    """Raise with the first reason why these rows can't be driven."""
    if len(rows) < MIN_POINTS:
        raise InvalidInput(f"track {name!r}: {len(rows)} points; at least {MIN_POINTS} are needed")
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, column = bad[0]
        raise InvalidInput(
            f"track {name!r}: row {row}, column {column} is {rows[row, column]}; "
            "every value must be a finite number of metres"
        )
    extent_m = float(np.ptp(rows.reshape(-1, 2), axis=0).max())
    if extent_m > MAX_EXTENT_M:
        raise InvalidInput(
            f"track {name!r}: it extends over {extent_m:.0f} m; at most {MAX_EXTENT_M:.0f} m are "
            "accepted (are the values metres?)"
        )
    _refuse_no_width(name, rows)
    if not np.hypot(*np.diff(rows[:, 0:2], axis=0).T).any():
        raise InvalidInput(f"track {name!r}: all centre points are the same; the length is 0 m")


def _refuse_no_width(name: str, rows: FloatArray) -> None:
    widths_m = np.hypot(*(rows[:, 2:4] - rows[:, 4:6]).T)
    row = int(widths_m.argmin())
    if widths_m[row] < MIN_WIDTH_M:
        raise InvalidInput(
            f"track {name!r}: row {row} is {widths_m[row]:.3f} m wide between its borders; "
            f"at least {MIN_WIDTH_M} m are needed"
        )
