"""
The parent's side of a batch: the measured params of all calls as one column for each key.

No dictionary is built for a car here: arrays go to the child as they are in memory, and the child
makes DeepRacer's plain values of them (`rows.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.reward import wire

Columns = Mapping[str, NDArray[Any] | Sequence[Any]]
"""
A column for each key, with one value for each call.

An array (calls,) holds floats, whole numbers or truth values, (calls, n) lists of n of them, and
(calls, n, 2) lists of n points. What has another length for each call, or no type of its own, is a
list: it travels as JSON, which is slower.
"""

Layout = tuple[tuple[str, str, tuple[int, ...]], ...]
"""Key, code (`wire.CODES`, `wire.TEXT`) and shape of one call's value, of each column in order."""

CODE_OF_KIND = {"b": "?", "i": "q", "f": "d"}
DTYPES = {"?": np.bool_, "q": np.int64, "d": np.float64}
NUMBERS = ({float}, {int}, {bool})


class Batch(NamedTuple):
    """Columns as they are sent."""

    layout: Layout
    calls: int
    body: bytes


def pack(columns: Columns, cars: Sequence[int] | None = None) -> Batch:
    """
    Lay out a batch as `wire.BATCH` asks for.

    Raises:
        ValueError: columns of different lengths, or another number of cars.
    """
    calls = _count_calls(columns, cars)
    layout, parts = [], [wire.BATCH_HEAD.pack(wire.BATCH, calls, 0 if cars is None else calls)]
    if cars is not None:
        parts.append(np.asarray(cars, np.int64).tobytes())
    for key, values in columns.items():
        code, shape, data = _pack_column(values)
        layout.append((key, code, shape))
        parts.append(data)
    return Batch(tuple(layout), calls, b"".join(parts))


def columns_of(batch: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """
    The columns of params that are there as one mapping for each call.

    Raises:
        ValueError: mappings with different keys.
    """
    keys = batch[0].keys() if batch else ()
    if any(params.keys() != keys for params in batch):
        raise ValueError("params with different keys for different calls")
    return {key: [params[key] for params in batch] for key in keys}


def row_of(columns: Columns, index: int) -> dict[str, Any]:
    """One call's params as plain values, as the function saw them."""
    return {key: _plain(key, values[index]) for key, values in columns.items()}


def _count_calls(columns: Columns, cars: Sequence[int] | None) -> int:
    lengths = {key: len(values) for key, values in columns.items()}
    if cars is not None:
        lengths["cars"] = len(cars)
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of different lengths: {lengths}")
    return next(iter(lengths.values()), 0)


def _pack_column(values: NDArray[Any] | Sequence[Any]) -> tuple[str, tuple[int, ...], bytes]:
    if not isinstance(values, np.ndarray) and set(map(type, values)) in NUMBERS:
        values = np.array(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in CODE_OF_KIND:
        code = CODE_OF_KIND[values.dtype.kind]
        return code, values.shape[1:], values.astype(DTYPES[code], copy=False).tobytes()
    text = wire.to_json(values)
    return wire.TEXT, (), wire.COUNT.pack(len(text)) + text


def _plain(key: str, value: Any) -> Any:
    plain = value.tolist() if hasattr(value, "tolist") else value
    return [tuple(point) for point in plain] if key in wire.POINT_LISTS else plain
