"""The curves of a run: one row for an iteration, in memory that does not grow with the run."""

import math
from collections.abc import Sequence

from libs.common.events import IterationEnded
from services.streamer.shown import Shown

MAX_ROWS = 1024
"""At this many rows each two neighbours become one; what a screen is wide."""

COLUMNS = (
    "iteration",
    "progress_pct",
    "completion_pct",
    "reward",
    "lap_s",
    "entropy",
    "value_loss",
    "policy_loss",
    "kl_divergence",
)

Row = tuple[float | None, ...]
Cursor = tuple[int, int]
"""What a viewer has: the generation, and how many rows of it will not change any more."""


class CurveRows(Shown):
    """Rows from index `start` on; what the reader has from there on is to be replaced."""

    columns: tuple[str, ...] = COLUMNS
    start: int
    rows: list[Row]


class Curves:
    """Rows of `COLUMNS`, averaged over `stride` iterations each."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._rows: list[Row] = []  # complete: they change only with the generation
        self._open: list[Row] = []  # iterations of the row that is not complete
        self.stride = 1
        self.generation = 0

    def append(self, row: Row) -> None:
        """Take the row of one more iteration, or of one that is done again after a crash."""
        self._forget_from(row[0] or 0.0)
        self._open.append(row)
        if len(self._open) == self.stride:
            self._rows.append(_mean(self._open))
            self._open = []
        if len(self._rows) >= self._max_rows:
            self._halve()

    def since(self, cursor: Cursor | None) -> tuple[CurveRows, Cursor]:
        """What a reader with this cursor lacks, and its cursor afterwards."""
        known = cursor is not None and cursor[0] == self.generation
        start = cursor[1] if cursor is not None and known else 0
        rows = self._rows[start:]
        if self._open:
            rows.append(_mean(self._open))
        return CurveRows(start=start, rows=rows), (self.generation, len(self._rows))

    def _forget_from(self, iteration: float) -> None:
        """A learner that was restarted repeats what came after its checkpoint."""
        rows = [row for row in self._rows[-1:] + self._open if (row[0] or 0.0) >= iteration]
        if rows:
            self._rows = [row for row in self._rows if (row[0] or 0.0) < iteration]
            self._open = [row for row in self._open if (row[0] or 0.0) < iteration]
            self.generation += 1

    def _halve(self) -> None:
        rows = self._rows
        self._rows = [_mean(rows[i : i + 2]) for i in range(0, len(rows), 2)]
        self.stride *= 2
        self.generation += 1


def row_of(event: IterationEnded, best_lap_s: float | None) -> Row:
    """One iteration as a row of `COLUMNS`; losses are those of its last epoch."""
    last = event.losses[-1] if event.losses else None
    values = (
        event.mean_progress_pct,
        None if event.completion_ratio is None else event.completion_ratio * 100.0,
        event.mean_reward,
        best_lap_s,
        last.entropy if last else None,
        last.value_loss if last else None,
        last.surrogate_loss if last else None,
        last.kl_divergence if last else None,
    )
    return (float(event.iteration), *(_short(value) for value in values))


def _mean(rows: Sequence[Row]) -> Row:
    """Means of what there is; of the iteration number the last."""
    columns = list(zip(*rows, strict=True))
    means = (_mean_of_known(column) for column in columns[1:])
    return (columns[0][-1], *means)


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _short(sum(known) / len(known)) if known else None


def _short(value: float | None) -> float | None:
    """Five digits: more than a screen shows, a third of the bytes; None where it is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
