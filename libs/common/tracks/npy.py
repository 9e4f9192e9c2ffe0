"""The tables of track files: NumPy arrays, their headers checked before memory is taken."""

import io

import numpy as np
from numpy.lib import format as npy_format

from libs.common.errors import InvalidInput
from libs.common.tracks.track import FloatArray

MAX_ROWS = 5_000
"""Eight times the longest track of the community."""

CENTRE_COLUMNS = 2
ROAD_COLUMNS = 6


def read_table(name: str, data: bytes) -> FloatArray:
    """
    The (rows, 2) or (rows, 6) float64 table in the bytes of an `.npy` file.

    Any type of real number and any order in memory will do. Object arrays are refused: they could
    run code.

    Raises:
        InvalidInput: not an npy file, a damaged one, another shape, no numbers.
    """
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
    problems = []
    if not _is_table(shape):
        problems.append(
            f"track {name!r}: the array's shape is {shape}; accepted is (rows, 6) of at most "
            f"{MAX_ROWS} rows: centre x, y, inner x, y, outer x, y; or (rows, 2): centre x, y"
        )
    if dtype.kind not in "fiu":
        problems.append(f"track {name!r}: the array holds {dtype}; accepted are plain numbers")
    if problems:
        raise InvalidInput(problems)


def _is_table(shape: tuple[int, ...]) -> bool:
    columns = (CENTRE_COLUMNS, ROAD_COLUMNS)
    return len(shape) == 2 and shape[1] in columns and shape[0] <= MAX_ROWS
