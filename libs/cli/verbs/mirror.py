"""uploads, cache: the mirror of all artifacts, and the local store as its cache."""

import time
from collections.abc import Iterator
from typing import Annotated

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from libs.cli.config import load_settings
from libs.cli.mirror import MirrorClient, Moved, Uploads
from libs.cli.output import (
    EXIT_FAILED,
    AsJson,
    WrongUsage,
    console,
    notes,
    show_document,
    show_facts,
    show_table,
)
from libs.cli.stack.description import find_uploader_url

STATES = ("waiting", "copying", "failing", "replicated", "evicted")
POLL_S = 0.5
EVERYTHING = 10_000

app = typer.Typer(no_args_is_help=True)
_SIZE = TypeAdapter(ByteSize)


@app.callback()
def cache() -> None:
    """The local store as a cache of the remote one: what it holds, gives up and brings back."""


def connect() -> MirrorClient:
    """A client of the uploader that the environment or the running stack names."""
    return MirrorClient(find_uploader_url(load_settings()))


def uploads(
    state: Annotated[
        list[str] | None,
        typer.Option(help=f"Only objects of this state ({', '.join(STATES)}); repeatable."),
    ] = None,
    run: Annotated[str, typer.Option(help="Only objects of this run.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=EVERYTHING)] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show copies as they go.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Show how the mirror of the artifacts stands: totals, copies under way, and the last objects.

    Exit code 1 where the remote can't be used.
    """
    if unknown := [name for name in state or [] if name not in STATES]:
        raise WrongUsage([f"no state {name!r}; accepted: {', '.join(STATES)}" for name in unknown])
    with connect() as client:
        found = client.uploads(state or [], run, lines)
        if follow:
            _follow(client)
            found = client.uploads(state or [], run, lines)
    if as_json:
        show_document(found.as_json())
    else:
        _show(found)
    if found.problem:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show how full the local store is, and what is in the remote store alone."""
    with connect() as client:
        found = client.cache()
    if as_json:
        show_document(found.as_json())
        return
    limit = ByteSize(found.max_bytes).human_readable() if found.max_bytes else "none"
    show_facts(
        {
            "held here": _amount(found.objects, found.size_bytes),
            "in the remote alone": _amount(found.evicted_objects, found.evicted_bytes),
            "never evicted now": f"{found.protected_objects} objects of runs that go on",
            "limit": f"{limit} (DR_UPLOADER_CACHE_MAX_BYTES)",
        }
    )


@app.command()
def evict(
    run: Annotated[str, typer.Option(help="Only objects of this run.")] = "",
    days: Annotated[float, typer.Option(min=0, help="Only objects older than so many days.")] = 0.0,
    to: Annotated[str, typer.Option(help="Stop when no more is held, as 5GB.")] = "0",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Give up local objects whose remote copies are verified now, the oldest first.

    They stay listed and come back when they are read. The newest checkpoints of runs that go on
    are never given up.
    """
    wish = {
        "run": run,
        "older_than_days": days,
        "to_bytes": _size(to),
        "dry_run": dry_run,
    }
    with connect() as client:
        _show_moved(client.evict(wish), "would go" if dry_run else "evicted", as_json)


@app.command()
def pull(
    what: Annotated[
        str, typer.Argument(help="A run, or the beginning of keys as tracks/; empty is all.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Bring back what the remote store has and the local one has not."""
    prefix = f"runs/{what}/" if what and "/" not in what else what
    with connect() as client:
        _show_moved(client.pull(prefix), "brought back", as_json)


def _size(text: str) -> int:
    try:
        return int(_SIZE.validate_python(text))
    except ValidationError:
        raise WrongUsage(f"no size: {text!r}; accepted: bytes, or as 500MB, 5GB") from None


def _amount(objects: int, size_bytes: int) -> str:
    return f"{ByteSize(size_bytes).human_readable()} in {objects} objects"


def _show(found: Uploads) -> None:
    totals = {
        state: _amount(total.objects, total.size_bytes)
        for state, total in found.totals.items()
        if total.objects
    }
    show_facts({"remote": found.remote, **totals})
    if found.problem:
        notes.print(f"[bold red]{found.problem}[/]", soft_wrap=True)
    for transfer in found.transfers:
        sent, size = ByteSize(transfer.sent_bytes), ByteSize(transfer.size_bytes)
        console.print(
            f"copying {transfer.key}: {sent.human_readable()} of {size.human_readable()}",
            markup=False,
        )
    if found.uploads:
        show_table(
            ("object", "size", "state", "tries", "reason"),
            [
                (
                    upload.key,
                    ByteSize(upload.size_bytes).human_readable(),
                    upload.state,
                    upload.tries,
                    upload.reason,
                )
                for upload in found.uploads
            ],
        )


def _follow(client: MirrorClient) -> None:
    """Bars of the copies under way, until there are none and nothing waits, or Ctrl-C."""
    bars: dict[str, TaskID] = {}
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=notes) as progress:
        while True:
            found = client.uploads([], "", 0)
            going = {transfer.key: transfer for transfer in found.transfers}
            for key, transfer in going.items():
                if key not in bars:
                    bars[key] = progress.add_task(key, total=transfer.size_bytes)
                progress.update(bars[key], completed=transfer.sent_bytes)
            for key in bars.keys() - going.keys():
                progress.remove_task(bars.pop(key))
            open_states = (found.totals[state].objects for state in ("waiting", "copying"))
            if not going and not any(open_states):
                return
            time.sleep(POLL_S)


def _show_moved(moved: Iterator[Moved], what: str, as_json: bool) -> None:
    """Each object as it moves, and how much it was; exit code 1 where one could not."""
    objects = size_bytes = failures = 0
    with notes.status("asking the uploader") as line:
        for each in moved:
            if as_json:
                show_document(each.as_json())
            if each.problem:
                failures += 1
                notes.print(f"{each.key}: {each.problem}", markup=False, soft_wrap=True)
                continue
            objects, size_bytes = objects + 1, size_bytes + each.size_bytes
            line.update(f"{what}: {_amount(objects, size_bytes)}")
    if not as_json:
        console.print(f"{what}: {_amount(objects, size_bytes)}")
    if failures:
        raise typer.Exit(EXIT_FAILED)
