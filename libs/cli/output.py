"""What the command line says: documents, tables and errors; and its exit codes."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, ClassVar

import typer
from rich.console import Console
from rich.table import Table

from libs.common.errors import InvalidInput, PlatformError, Unavailable

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130

PIPED_WIDTH = 160
"""Columns of what is no terminal: a name that is cut in two can't be searched for."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
"""Results."""

notes = Console(stderr=True, highlight=False)
"""Progress and errors, which must not mix with a result that is piped on."""

AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document, or one object a line when following.")
]


class Unreachable(Unavailable):
    """The stack, or what should be its REST API, does not answer: exit code 3."""

    title: ClassVar[str] = "Cannot reach the stack"


class WrongUsage(InvalidInput):
    """An option or the environment has a value that is not accepted: exit code 2."""

    title: ClassVar[str] = "Usage"


def exit_code(error: PlatformError) -> int:
    """The exit code that an error ends the command with."""
    if isinstance(error, Unreachable):
        return EXIT_UNREACHABLE
    return EXIT_USAGE if isinstance(error, WrongUsage) else EXIT_FAILED


def show_error(error: PlatformError, as_json: bool) -> None:
    """Print an error: as a problem document on standard output, or for people on the other."""
    if as_json:
        show_document(problem_document(error))
        return
    problems = error.problems if isinstance(error, InvalidInput) else [str(error)]
    notes.print(f"[bold red]{error.title}[/]")
    for text in problems:
        notes.print(text, markup=False, soft_wrap=True)


def problem_document(error: PlatformError) -> dict[str, object]:
    """An error as the REST API's problem details."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status_code,
        "detail": str(error),
    }
    if isinstance(error, InvalidInput):
        document["errors"] = error.problems
    return document


def show_document(document: object) -> None:
    """One JSON document, indented, or on one line where standard output is no terminal."""
    indent = 2 if sys.stdout.isatty() else None
    show_line(json.dumps(document, indent=indent, ensure_ascii=False, default=str))


def show_line(line: str) -> None:
    """One line of plain text at once, whoever reads it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table; numbers to the right."""
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None)
    rows = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(shown(cell) for cell in row))
    console.print(table)


def show_facts(facts: Mapping[str, object]) -> None:
    """Names and values, one pair a line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(f"[dim]{name}[/]", shown(value))
    console.print(grid)


def shown(value: object) -> str:
    """A value as text; what is unknown as a dash."""
    if value is None or value == "":
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def shown_duration(seconds: float | None) -> str:
    """Seconds as `0:42`, `12:05` or `1:02:03`."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shown_moment(moment: datetime | None) -> str:
    """A moment in the local time zone, to the second."""
    return "–" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def shown_share(ratio: float | None) -> str:
    """0..1 as per cent."""
    return "–" if ratio is None else f"{100 * ratio:.0f} %"
