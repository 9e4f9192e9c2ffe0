"""The curves of a run: one row for an iteration, in memory that does not grow with the run."""

import math
from collections import deque

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

LAST_ROWS = 10
"""So many iterations are told one by one, however long the run."""

Row = tuple[float | None, ...]
Cursor = tuple[int, int]
"""What a viewer has: the generation, and how many rows of it will not change any more."""


class CurveRows(Shown):
    """
    Rows from index `start` on; what the reader has from there on is to be replaced.

    A row stands for `stride` iterations; `last` are the last few, one by one.
    """

    columns: tuple[str, ...] = COLUMNS
    start: int
    rows: list[Row]
    stride: int = 1
    last: list[Row] = []


class _Bin:
    """Iterations of one row, as sums: the mean of merged rows is that of all their iterations."""

    def __init__(self, row: Row) -> None:
        self.first = self.last = row[0] or 0.0
        self._sums = [value or 0.0 for value in row[1:]]
        self._known = [int(value is not None) for value in row[1:]]

    def add(self, other: "_Bin") -> None:
        """Take the iterations that come after those of this one."""
        self.last = other.last
        self._sums = [a + b for a, b in zip(self._sums, other._sums, strict=True)]
        self._known = [a + b for a, b in zip(self._known, other._known, strict=True)]

    def row(self) -> Row:
        """Means of what is known; of the iteration number the last."""
        parts = zip(self._sums, self._known, strict=True)
        return (self.last, *(_short(total / known) if known else None for total, known in parts))


class Curves:
    """Rows of `COLUMNS`, averaged over `stride` iterations each."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._bins: list[_Bin] = []  # complete: they change only with the generation
        self._rows: list[Row] = []  # of these
        self._open: _Bin | None = None  # the row that is not complete
        self._open_count = 0
        self._last: deque[Row] = deque(maxlen=LAST_ROWS)
        self.stride = 1
        self.generation = 0

    def append(self, row: Row) -> None:
        """Take the row of one more iteration, or of one that is done again after a crash."""
        self._forget_from(row[0] or 0.0)
        self._last.append(row)
        if self._open is None:
            self._open, self._open_count = _Bin(row), 1
        else:
            self._open.add(_Bin(row))
            self._open_count += 1
        if self._open_count >= self.stride:
            self._close(self._open)
        if len(self._rows) >= self._max_rows:
            self._halve()

    def since(self, cursor: Cursor | None) -> tuple[CurveRows, Cursor]:
        """What a reader with this cursor lacks, and its cursor afterwards."""
        known = cursor is not None and cursor[0] == self.generation
        start = cursor[1] if cursor is not None and known else 0
        rows = self._rows[start:]
        if self._open:
            rows.append(self._open.row())
        shown = CurveRows(start=start, rows=rows, stride=self.stride, last=list(self._last))
        return shown, (self.generation, len(self._rows))

    def _close(self, done: _Bin) -> None:
        self._bins.append(done)
        self._rows.append(done.row())
        self._open, self._open_count = None, 0

    def _forget_from(self, iteration: float) -> None:
        """
        A learner that was restarted repeats what came after its checkpoint.

        Of a row that holds iterations before it and after it, those before stay as they are told:
        as that row, up to its last iteration that is not done again.
        """
        newest = self._last[-1][0] if self._last else None
        if newest is None or newest < iteration:
            return
        self._last = deque((r for r in self._last if (r[0] or 0.0) < iteration), LAST_ROWS)
        if self._open is not None and self._open.first >= iteration:
            self._open, self._open_count = None, 0
        elif self._open is not None:
            self._open.last = iteration - 1
        while self._bins and self._bins[-1].first >= iteration:
            self._bins.pop()
        if self._bins and self._bins[-1].last >= iteration:
            self._bins[-1].last = iteration - 1
        self._rows = [one.row() for one in self._bins]
        self.generation += 1

    def _halve(self) -> None:
        pairs = [self._bins[i : i + 2] for i in range(0, len(self._bins), 2)]
        self._bins = [pair[0] for pair in pairs]
        for pair in pairs:
            for other in pair[1:]:
                pair[0].add(other)
        self._rows = [one.row() for one in self._bins]
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


def _short(value: float | None) -> float | None:
    """Five digits: more than a screen shows, a third of the bytes; None where it is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
