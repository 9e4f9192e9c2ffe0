"""Columns arrive as the dictionaries that they stand for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.reward.columns import columns_of, pack, row_of
from libs.common.reward.rows import constants_of, own_params, read_rows
from libs.common.reward.samples import sample_constants, sample_lap
from libs.common.reward.wire import parse, to_json

NUMBERS = st.one_of(
    st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.text()
)


def received(columns: Mapping[str, Any], cars: list[int] | None = None) -> list[dict[str, Any]]:
    """What the child makes of columns."""
    batch = pack(columns, cars)
    rows = read_rows(batch.body, parse(to_json({"layout": batch.layout}))["layout"])
    assert list(rows.cars) == (cars if cars is not None else list(range(batch.calls)))
    return [own_params(constants_of({}), rows.keys, values) for values in rows.values]


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.lists(NUMBERS, max_size=3)), max_size=5))
def test_every_call_gets_its_values_to_the_last_bit_and_type(calls: list[tuple[Any, ...]]) -> None:
    batch = [dict(zip("xyz", values, strict=True)) for values in calls]
    arrived = received(columns_of(batch))
    assert arrived == batch
    assert repr(arrived) == repr(batch)


@given(
    st.integers(0, 4),
    st.sampled_from([(), (0,), (2,), (3, 2), (0, 2)]),
    st.sampled_from([np.float64, np.float32, np.int64, np.int32, np.uint8, np.bool_]),
    st.sampled_from(["objects_location", "objects_distance"]),
)
def test_arrays_of_any_shape_and_type_arrive_as_lists(
    calls: int, shape: tuple[int, ...], dtype: type, key: str
) -> None:
    values = np.arange(calls * int(np.prod(shape))).reshape(calls, *shape).astype(dtype)
    if key == "objects_location" and len(shape) < 2:
        return
    strided = np.repeat(values, 2, axis=0)[::2]  # as a field of structured rows is
    columns = {key: strided}
    assert repr(received(columns)) == repr([row_of(columns, index) for index in range(calls)])


def test_a_lap_arrives_with_the_cars_that_drove_it() -> None:
    lap = sample_lap()
    assert received(columns_of(lap), cars=[5] * len(lap)) == lap


def test_columns_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="different lengths: {'x': 2, 'y': 3}"):
        pack({"x": np.zeros(2), "y": np.zeros(3)})
    with pytest.raises(ValueError, match="different lengths"):
        pack({"x": np.zeros(2)}, cars=[1])
    with pytest.raises(ValueError, match="different keys"):
        columns_of([{"x": 1}, {"y": 1}])


def test_each_call_owns_the_lists_of_its_params() -> None:
    constants = constants_of(sample_constants())
    first, second = (own_params(constants, ("x",), (1.0,)) for _ in range(2))
    assert first == second
    shared = {key for key, value in first.items() if value is second[key]}
    assert not any(isinstance(first[key], list) for key in shared)
    first["waypoints"].clear()
    assert len(second["waypoints"]) == len(constants.values["waypoints"]) > 0
