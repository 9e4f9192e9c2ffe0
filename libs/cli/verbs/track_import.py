"""tracks import, tracks check: many track files at once, each with what came of it."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.progress import track as with_progress

from libs.cli.output import (
    EXIT_FAILED,
    AsJson,
    Unreachable,
    WrongUsage,
    notes,
    show_document,
    show_table,
)
from libs.cli.track_sources import TrackSource, find_sources
from libs.cli.verbs.runs import connect
from libs.cli.verbs.tracks import app
from libs.common.errors import InvalidInput, PlatformError

Width = Annotated[
    float | None, typer.Option(help="Of the road round files with a centre line only, in metres.")
]
Kind = Literal["imported", "already there", "sound", "refused"]


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    file: str
    outcome: Kind
    name: str = ""
    length_m: float | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@app.command("import")
def import_tracks(
    where: Annotated[str, typer.Argument(help="A .npy file, a folder, a .zip, or an address.")],
    name: Annotated[str | None, typer.Option(help="Of a single track; else its file's.")] = None,
    width: Width = None,
    as_json: AsJson = False,
) -> None:
    """
    Import the community's track files, one or a folder of them.

    Those that are sound are imported even where others are refused; then the exit code is 1.
    """
    sources = find_sources(where)
    if name is not None and len(sources) > 1:
        raise WrongUsage(f"--name {name!r} for {len(sources)} tracks; it names a single one")
    with connect() as client:

        def bring_in(source: TrackSource) -> Outcome:
            stored = client.import_track(name or source.name, source.read(), width)
            outcome: Kind = "imported" if stored.is_new else "already there"
            told = tuple(stored.notes)
            return Outcome(source.origin, outcome, stored.name, stored.length_m, told)

        _finish(_try_each(sources, bring_in), as_json)


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(help=".npy files, folders, .zip, addresses.")],
    width: Width = None,
    as_json: AsJson = False,
) -> None:
    """Say of track files whether they can be imported, and what is wrong; needs no stack."""
    from libs.common.tracks import read_npy

    def try_out(source: TrackSource) -> Outcome:
        file = read_npy(source.name, source.read(), width)
        length_m = round(file.track.length_m, 3)
        return Outcome(source.origin, "sound", file.track.name, length_m, file.notes)

    sources = [source for where in files for source in find_sources(where)]
    _finish(_try_each(sources, try_out), as_json)


def _try_each(
    sources: list[TrackSource], attempt: Callable[[TrackSource], Outcome]
) -> list[Outcome]:
    """One after the other, under a bar where somebody looks."""
    shown: Iterable[TrackSource] = with_progress(
        sources, "tracks", console=notes, transient=True, disable=not notes.is_terminal
    )
    return [_outcome_of(source, attempt) for source in shown]


def _outcome_of(source: TrackSource, attempt: Callable[[TrackSource], Outcome]) -> Outcome:
    try:
        return attempt(source)
    except Unreachable:
        raise
    except PlatformError as error:
        problems = error.problems if isinstance(error, InvalidInput) else [str(error)]
        return Outcome(source.origin, "refused", problems=tuple(problems))


def _finish(outcomes: list[Outcome], as_json: bool) -> None:
    """Show them all; the exit code says whether one was refused."""
    if as_json:
        show_document([asdict(outcome) for outcome in outcomes])
    else:
        columns = ("track", "outcome", "length m", "why, or what to know")
        show_table(columns, [_row(outcome) for outcome in outcomes])
        kinds = [outcome.outcome for outcome in outcomes]
        counts = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
        notes.print(f"{len(outcomes)} files: {', '.join(counts)}")
    if any(outcome.outcome == "refused" for outcome in outcomes):
        raise typer.Exit(EXIT_FAILED)


def _row(outcome: Outcome) -> tuple[object, ...]:
    told = "\n".join(outcome.problems or outcome.notes)
    name = outcome.name or PurePosixPath(outcome.file).name
    return (escape(name), outcome.outcome, outcome.length_m, escape(told))
