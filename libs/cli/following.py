"""Going along with a run's events: told in lines, or as a live picture."""

import json
import time
from collections.abc import Iterator

import typer
from httpx_sse import ServerSentEvent
from rich.live import Live

from libs.cli.client import ApiClient
from libs.cli.output import EXIT_INTERRUPTED, console, notes, show_line
from libs.cli.watch import WatchedRun
from libs.common.errors import InvalidInput
from libs.common.events import EpisodeEnded, IterationEnded, Message, decode

SECONDS_BETWEEN_LINES = 5.0
"""Where there is no terminal to draw on, progress is a line now and then."""


def watch_run(client: ApiClient, run: str, as_json: bool = False) -> WatchedRun:
    """
    Show a run until it ends.

    Raises:
        typer.Exit: Ctrl-C; the run goes on, and it is said how to come back.
    """
    watched = WatchedRun(run)
    events = client.follow_run(run)
    try:
        if as_json:
            _watch_as_json(watched, events)
        elif console.is_terminal:
            _watch_as_picture(watched, events)
        else:
            _watch_as_lines(watched, events)
    except KeyboardInterrupt:
        _leave(run, as_json)
    return watched


def _watch_as_json(watched: WatchedRun, events: Iterator[ServerSentEvent]) -> None:
    for raw in events:
        show_line(raw.data)
        _take_in(watched, raw)


def _watch_as_picture(watched: WatchedRun, events: Iterator[ServerSentEvent]) -> None:
    with Live(get_renderable=watched.picture, console=console, refresh_per_second=4):
        for raw in events:
            _take_in(watched, raw)


def _watch_as_lines(watched: WatchedRun, events: Iterator[ServerSentEvent]) -> None:
    said_at, said = 0.0, ""
    for raw in events:
        event = _take_in(watched, raw)
        due = time.monotonic() - said_at > SECONDS_BETWEEN_LINES
        if watched.status != said or (isinstance(event, IterationEnded) and due):
            show_line(watched.sentence())
            said_at, said = time.monotonic(), watched.status


def _take_in(watched: WatchedRun, raw: ServerSentEvent) -> Message | None:
    event = read_event(raw)
    if event:
        watched.apply(event)
    return event


def read_event(raw: ServerSentEvent) -> Message | None:
    """
    The event, or None where a newer service sent one that is not known here.

    The API leaves the columns of episodes out, which nobody reads off a terminal.
    """
    try:
        document = json.loads(raw.data)
        if raw.event == EpisodeEnded.type_name:
            document.setdefault("columns", {})
        return decode(json.dumps(document).encode())
    except (ValueError, AttributeError, InvalidInput):
        return None


def _leave(run: str, as_json: bool) -> None:
    if not as_json:
        notes.print(f"\n[bold]{run}[/] goes on. Come back: [bold]slipstream show {run} --watch[/]")
        notes.print(f"End it: [bold]slipstream stop {run}[/]")
    raise typer.Exit(EXIT_INTERRUPTED)
