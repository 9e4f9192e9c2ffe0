"""Pages of runs."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import InvalidInput
from services.trainer.pages import page
from services.trainer.runs import RunRecord
from tests.unit.test_trainer_runs import waiting

ONE = waiting()


def made(number: int) -> RunRecord:
    """Several runs of one second, so that the name decides."""
    created_at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=number // 3)
    spec = ONE.spec.model_copy(update={"name": f"run-{number:03}"})
    return ONE.model_copy(update={"spec": spec, "created_at": created_at})


@given(count=st.integers(0, 30), limit=st.integers(1, 12))
def test_pages_give_every_run_once_the_newest_first(count: int, limit: int) -> None:
    records = [made(number) for number in range(count)]
    seen: list[str] = []
    cursor = None
    while True:
        items, cursor = page(records, limit, cursor)
        seen += [item.run_id for item in items]
        if cursor is None:
            break
    assert seen == [record.run_id for record in reversed(records)]


def test_a_page_goes_on_behind_a_run_that_is_gone() -> None:
    records = [made(number) for number in range(6)]
    items, cursor = page(records, 2, None)
    left = [record for record in records if record not in items]
    assert page(left, 2, cursor)[0] == left[:1:-1]


@pytest.mark.parametrize("cursor", ["", "a", "é", "W10", "WzEsMl0", "WyIyMDI1IiwgIngiXQ"])
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput, match="accepted: the value of `next`"):
        page([made(0)], 1, cursor)
