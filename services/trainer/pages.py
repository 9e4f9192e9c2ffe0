"""Pages of runs: cursors that are opaque to clients and checked when they come back."""

import base64
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from fastapi import Query

from libs.common.errors import InvalidInput
from services.trainer.runs import RunRecord

MOST = 200
DEFAULT = 50
Limit = Annotated[int, Query(ge=1, le=MOST)]

Position = tuple[datetime, str]
"""When a run was made, and its name: the order of pages, newest first."""


def page(
    records: Iterable[RunRecord], limit: int, cursor: str | None
) -> tuple[list[RunRecord], str | None]:
    """
    The newest records behind the cursor, and the cursor of the next page.

    Raises:
        InvalidInput: a cursor that no page gave.
    """
    ordered = sorted(records, key=_position, reverse=True)
    if cursor is not None:
        before = _decode(cursor)
        ordered = [record for record in ordered if _position(record) < before]
    items = ordered[:limit]
    more = len(ordered) > limit
    return items, _encode(_position(items[-1])) if more else None


def _position(record: RunRecord) -> Position:
    return record.created_at, record.run_id


def _encode(position: Position) -> str:
    created_at, run_id = position
    text = json.dumps([created_at.isoformat(), run_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> Position:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, run_id = json.loads(base64.urlsafe_b64decode(padded))
        position = datetime.fromisoformat(created_at), str(run_id)
        if position[0].tzinfo is None:
            raise ValueError("no time zone")
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"cursor {cursor[:80]!r}; accepted: the value of `next` of a page before"
        ) from error
    return position
