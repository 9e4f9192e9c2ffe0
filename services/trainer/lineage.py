"""Which model came of which, and what was changed on the way."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from libs.common.deepracer.run_spec import CheckpointChoice
from services.trainer.differences import NAMED_ELSEWHERE, Difference, differences
from services.trainer.runs import RunRecord, Status

MOST_DESCENDANTS = 200


class Relative(BaseModel):
    """One run of a lineage."""

    run: str
    relation: Literal["ancestor", "self", "descendant"]
    deleted: bool = Field(description="Nothing but its name is known any more")
    status: Status | None
    track: str | None
    created_at: datetime | None
    attempts: int = Field(description="How often its learner was started; above 1: it went on")
    best: str | None = Field(description="The name of its best checkpoint, else of its last")
    best_lap_s: float | None = Field(description="Of training episodes")


class Descent(BaseModel):
    """One run began with a checkpoint of another one."""

    parent: str
    child: str
    checkpoint: str | None = Field(description="The one it began with")
    asked_for: CheckpointChoice = Field(description="best, last or its number")
    compared: bool = Field(description="False where the parent is deleted")
    differences: list[Difference] = Field(description="Of the parent, then of the child")


class Lineage(BaseModel):
    """Ancestors, the oldest first, then the run, then its descendants, each behind its parent."""

    run: str
    relatives: list[Relative]
    descents: list[Descent]
    left_off: int = Field(description=f"Descendants beyond {MOST_DESCENDANTS}")


def lineage(record: RunRecord, records: Iterable[RunRecord]) -> Lineage:
    """
    The lineage of a run among all runs.

    A name may be taken again once its run is deleted: a parent is older than its child, and a
    younger run of its name is another one.
    """
    by_name = {each.run_id: each for each in records} | {record.run_id: record}
    ancestors = _ancestors(record, by_name)
    descendants = _descendants(record, by_name.values())
    kept = descendants[:MOST_DESCENDANTS]
    relatives = [
        *(
            _relative(name, by_name.get(name) if known else None, "ancestor")
            for name, known in ancestors
        ),
        _relative(record.run_id, record, "self"),
        *(_relative(each.run_id, each, "descendant") for each in kept),
    ]
    children = [by_name[name] for name, known in ancestors if known] + [record, *kept]
    descents = [_descent(child, by_name) for child in children if child.spec.start is not None]
    return Lineage(
        run=record.run_id,
        relatives=relatives,
        descents=descents,
        left_off=len(descendants) - len(kept),
    )


def parent_of(child: RunRecord, by_name: dict[str, RunRecord]) -> RunRecord | None:
    """The run that it began with; None where it has none, or where that one is deleted."""
    start = child.spec.start
    found = by_name.get(start.run) if start is not None else None
    return found if found is not None and found.created_at < child.created_at else None


def _ancestors(record: RunRecord, by_name: dict[str, RunRecord]) -> list[tuple[str, bool]]:
    """Names and whether they are there, the oldest first."""
    found: list[tuple[str, bool]] = []
    child: RunRecord | None = record
    while child is not None and child.spec.start is not None:
        name, child = child.spec.start.run, parent_of(child, by_name)
        found.append((name, child is not None))
    return found[::-1]


def _descendants(record: RunRecord, records: Iterable[RunRecord]) -> list[RunRecord]:
    """All of them, each behind its parent, those of one parent by age."""
    children: dict[str, list[RunRecord]] = {}
    for each in sorted(records, key=lambda each: each.created_at):
        if each.spec.start is not None:
            children.setdefault(each.spec.start.run, []).append(each)
    found: list[RunRecord] = []
    waiting = [record]
    while waiting:
        parent = waiting.pop()
        own = [
            each for each in children.get(parent.run_id, ()) if each.created_at > parent.created_at
        ]
        waiting += own[::-1]
        if parent is not record:
            found.append(parent)
    return found


def _relative(
    name: str, record: RunRecord | None, relation: Literal["ancestor", "self", "descendant"]
) -> Relative:
    best = None if record is None else record.best or record.last
    return Relative(
        run=name,
        relation=relation,
        deleted=record is None,
        status=record.status if record else None,
        track=record.track.name if record else None,
        created_at=record.created_at if record else None,
        attempts=record.attempt if record else 0,
        best=best.name if best else None,
        best_lap_s=record.progress.best_lap_s if record else None,
    )


def _descent(child: RunRecord, by_name: dict[str, RunRecord]) -> Descent:
    start, parent = child.spec.start, parent_of(child, by_name)
    assert start is not None
    found: Sequence[Difference] = ()
    if parent is not None:
        found, _ = differences([parent.spec, child.spec], NAMED_ELSEWHERE)
    return Descent(
        parent=start.run,
        child=child.run_id,
        checkpoint=child.start.name if child.start else None,
        asked_for=start.checkpoint,
        compared=parent is not None,
        differences=list(found),
    )
