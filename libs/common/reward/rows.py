"""
The child's side of a batch: from columns to one dictionary of plain values for each call.

Standard library only. The values have exactly DeepRacer's types: `bool`, `int` and `float`, lists,
and lists of tuples for points.
"""

import json
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from libs.common.reward import wire


class Constants(NamedTuple):
    """Params that stay the same from call to call; every call gets its own copy of the lists."""

    values: dict[str, Any]
    lists: tuple[tuple[str, list[Any]], ...]


class Rows(NamedTuple):
    """A batch as it was read."""

    cars: list[int] | range
    keys: tuple[str, ...]
    values: Iterator[tuple[Any, ...]]
    """One tuple for each call, in the order of `keys`."""


def constants_of(params: dict[str, Any]) -> Constants:
    """Constants as they came in JSON, which has no tuples."""
    plain = {key: _with_points(key, value) for key, value in params.items()}
    lists = tuple((key, value) for key, value in plain.items() if isinstance(value, list))
    return Constants(plain, lists)


def own_params(
    constants: Constants, keys: tuple[str, ...], values: tuple[Any, ...]
) -> dict[str, Any]:
    """One call's params, with nothing in them that another call could see changed."""
    params = constants.values.copy()
    for key, shared in constants.lists:
        params[key] = shared.copy()
    params.update(zip(keys, values, strict=True))
    return params


def read_rows(body: bytes, layout: list[tuple[str, str, list[int]]]) -> Rows:
    """The calls of a `wire.BATCH` whose columns are laid out so."""
    _, calls, named = wire.BATCH_HEAD.unpack_from(body)
    at = wire.BATCH_HEAD.size
    cars: list[int] | range = range(calls)
    if named:
        cars = _numbers(body, at, "q", named)
        at += named * wire.CODES["q"]
    columns = []
    for key, code, shape in layout:
        column, at = _read_column(body, at, calls, key, code, shape)
        columns.append(column)
    keys = tuple(key for key, _, _ in layout)
    values = zip(*columns, strict=True) if columns else iter([()] * calls)
    return Rows(cars, keys, values)


def _read_column(
    body: bytes, at: int, calls: int, key: str, code: str, shape: list[int]
) -> tuple[list[Any], int]:
    """A column that begins at a byte, and the byte after it."""
    if code == wire.TEXT:
        (length,) = wire.COUNT.unpack_from(body, at)
        at += wire.COUNT.size
        values = json.loads(body[at : at + length])
        return [_with_points(key, value) for value in values], at + length
    count = calls * prod(shape)
    flat = _numbers(body, at, code, count)
    return _fold(flat, calls, shape, key in wire.POINT_LISTS), at + count * wire.CODES[code]


def _numbers(body: bytes, at: int, code: str, count: int) -> list[Any]:
    size = count * wire.CODES[code]
    return memoryview(body)[at : at + size].cast(code).tolist()  # type: ignore[call-overload, no-any-return]


def _fold(flat: list[Any], calls: int, shape: list[int], points: bool) -> list[Any]:
    """Cut a flat list into one value for each call; of points, the innermost are tuples."""
    if not shape:
        return flat
    *outer, size = shape
    cut: list[Any] = [flat[i * size : (i + 1) * size] for i in range(calls * prod(outer))]
    if points and outer:
        cut = list(map(tuple, cut))
    return _fold(cut, calls, outer, False)


def _with_points(key: str, value: Any) -> Any:
    return [tuple(point) for point in value] if key in wire.POINT_LISTS else value
