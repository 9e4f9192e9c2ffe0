"""
Reading simulation traces: files of 15 to 19 columns, and logs that hold them.

Fifteen columns are the form of 2019, sixteen the same with the simulated time at the end; both have
angles in radians and no status. What they lack is empty or 0 in the rows. Reference 1.5 and
sandbox-2019, section 6.
"""

import csv
from collections.abc import Iterator
from itertools import groupby
from math import degrees, isfinite

from libs.common.deepracer.simtrace import HEADER, TraceRow
from libs.common.errors import InvalidInput

LOG_MARK = "SIM_TRACE_LOG:"
COLUMNS = HEADER.split(",")
ACCEPTED = range(15, 20)
TRUTHS = {"True": True, "1": True, "False": False, "0": False}


def read_simtrace(name: str, text: str) -> list[TraceRow]:
    """
    The rows of a trace file or of the trace lines in a log, in order.

    Files are cut at a size, so a last line that cannot be read is left out.

    Raises:
        InvalidInput: no row can be read, or one that is not the last can't; the line is quoted.
    """
    lines = list(_trace_lines(text))
    rows = []
    for position, (number, line) in enumerate(lines):
        try:
            rows.append(_read_row(line))
        except ValueError as error:
            if rows and position == len(lines) - 1:
                break
            raise InvalidInput(f"{name}, line {number}: {line[:80]!r}: {error}") from error
    if not rows:
        raise InvalidInput(
            f"{name}: no simulation trace in it; accepted are CSV files that begin with "
            f"{','.join(COLUMNS[:5])},… and logs with {LOG_MARK} lines"
        )
    return rows


def split_episodes(rows: list[TraceRow]) -> list[list[TraceRow]]:
    """Rows of one file by episode; one that begins again at an earlier step is another."""
    episodes: list[list[TraceRow]] = []
    for _, group in groupby(rows, key=lambda row: row.episode):
        for row in group:
            if not episodes or _begins(row, episodes[-1][-1]):
                episodes.append([])
            episodes[-1].append(row)
    return episodes


def _begins(row: TraceRow, before: TraceRow) -> bool:
    return row.episode != before.episode or row.steps <= before.steps


def _trace_lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that hold rows, without a header or what a log says around them."""
    is_log = LOG_MARK in text
    for number, line in enumerate(text.splitlines(), start=1):
        if is_log:
            _, mark, line = line.partition(LOG_MARK)
            if not mark:
                continue
        if line.strip() and not line.startswith("episode,"):
            yield number, line.strip()


def _read_row(line: str) -> TraceRow:
    fields = next(csv.reader([line]))
    if len(fields) not in ACCEPTED:
        raise ValueError(f"{len(fields)} fields; accepted are 15 to 19")
    of_2019 = len(fields) < 17
    numbers = [float(fields[index]) for index in (1, 2, 3, 4, 5, 6, 8, 11, 13, 14)]
    if not all(map(isfinite, numbers)):
        raise ValueError("every number must be finite")
    steps, x_m, y_m, yaw, steering, speed_mps, reward, progress, length_m, time_s = numbers
    return TraceRow(
        episode=int(fields[0]),
        steps=steps,
        x_m=x_m,
        y_m=y_m,
        yaw_deg=degrees(yaw) if of_2019 else yaw,
        steering_deg=degrees(steering) if of_2019 else steering,
        speed_mps=speed_mps,
        action=fields[7],
        reward=reward,
        done=_truth(fields[9]),
        all_wheels_on_track=_truth(fields[10]),
        progress_pct=progress,
        closest_waypoint=int(fields[12]),
        track_length_m=length_m,
        sim_time_s=float(fields[15]) if len(fields) == 16 else time_s,
        status="" if of_2019 else fields[15],
        pause_s=0.0 if of_2019 else float(fields[16]),
        crashes=int(fields[17]) if len(fields) > 17 else 0,
        wall_clock_s=float(fields[18]) if len(fields) > 18 else 0.0,
    )


def _truth(text: str) -> bool:
    if text not in TRUTHS:
        raise ValueError(f"{text!r} is neither True nor False")
    return TRUTHS[text]
