"""train, runs, show, logs, stop, evaluate: runs through the REST API."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from libs.cli.client import ApiClient
from libs.cli.config import load_settings
from libs.cli.documents import Run
from libs.cli.evaluation import Timeline, evaluate_and_show
from libs.cli.following import watch_run
from libs.cli.journal import Query, as_text, journal_lines
from libs.cli.output import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    AsJson,
    WrongUsage,
    console,
    notes,
    show_document,
    show_facts,
    show_line,
    show_table,
    shown_duration,
    shown_moment,
    shown_share,
)
from libs.cli.run_folder import read_run_folder, suggest_name
from libs.cli.stack.description import find_api_url, find_logger_url, find_urls
from libs.cli.stack.lifecycle import Stack
from libs.cli.stack.logs import follow_lines, last_lines
from libs.cli.track_sources import source_of_file
from libs.common.deepracer.simtrace import TRACE_FIELDS
from libs.common.errors import NotFound

RunName = Annotated[str, typer.Argument(help="The run's name or id.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show how it goes until it ends.")]
TrackOption = Annotated[
    str | None, typer.Option(help="A track's name, or a .npy file, which is imported first.")
]
Trials = Annotated[int, typer.Option(min=1, max=100, help="Episodes to drive.")]

LOG_LINES = 100
ALL_RUNS = 100_000


def connect() -> ApiClient:
    """A client of the REST API that the environment or the running stack names."""
    return ApiClient(find_api_url(load_settings()))


def train(
    folder: Annotated[Path, typer.Argument(help="The run folder: reward function, action space …")],
    track: TrackOption = None,
    name: Annotated[str | None, typer.Option(help="Of the run; else the folder decides.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed repeats a run.")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher ones are started first.")] = None,
    watch: Watch = False,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="When it has ended, evaluate the best checkpoint.")
    ] = False,
    trials: Trials = 5,
    as_json: AsJson = False,
) -> None:
    """
    Queue a run.

    With --evaluate the exit code is 0 only if every lap of the evaluation was completed.
    """
    files = read_run_folder(folder)
    with connect() as client:
        run = client.queue_run(
            files,
            {
                "name": name or suggest_name(folder, files, _taken_names(client)),
                "track": _track_name(client, track),
                "seed": seed,
                "priority": priority,
            },
        )
        if not (watch or evaluate):
            _show_queued(run, as_json)
            return
        _warn(run)
        watched = watch_run(client, run.name, as_json)
        if watched.status == "failed":
            raise typer.Exit(EXIT_FAILED)
        if evaluate:
            timeline = Timeline.of(watched)
            complete = evaluate_and_show(client, run.name, "best", trials, None, as_json, timeline)
            _finish(run.name, complete, as_json)


def runs(
    status: Annotated[str | None, typer.Option(help="queued, running, finished …")] = None,
    track: Annotated[str | None, typer.Option(help="Only those on this track.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List runs."""
    with connect() as client:
        found = client.list_runs(status, track, limit)
    if as_json:
        show_document([run.as_json() for run in found])
        return
    columns = ("run", "status", "track", "iteration", "steps/s", "completion", "best lap", "left")
    show_table(columns, [_row(run) for run in found])


def show(run: RunName, watch: Watch = False, as_json: AsJson = False) -> None:
    """Show one run; with --watch go along until it ends."""
    with connect() as client:
        if watch:
            watched = watch_run(client, run, as_json)
            if watched.status == "failed":
                raise typer.Exit(EXIT_FAILED)
            return
        found = client.show_run(run)
    if as_json:
        show_document(found.as_json())
        return
    show_facts(_facts(found))
    _warn(found)


def logs(
    name: Annotated[str, typer.Argument(help="A process as `status` shows it, or a run.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Of a process's log.")] = LOG_LINES,
    service: Annotated[str, typer.Option(help="Of a run: only what this service said.")] = "",
    level: Annotated[
        str | None, typer.Option(help="Of a run: only log lines, from this level on.")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option(help="Of a run: only this kind, as RunEnded; repeatable.")
    ] = None,
    as_log: Annotated[
        str | None,
        typer.Option(
            "--as", help="A run's training as DeepRacer's `simulation` or `training` log."
        ),
    ] = None,
    fields: Annotated[
        int, typer.Option(help="With --as simulation: of a step's line, 19, 17, 16 or 15.")
    ] = TRACE_FIELDS[0],
    as_json: AsJson = False,
) -> None:
    """Show the log of a process of the stack, or all that was told of a run."""
    files = _log_files(name)
    if not files:
        if as_log is not None:
            _show_journal(f"{name}/{as_log}.log", {"fields": fields}, follow, as_it_is=True)
            return
        query: dict[str, str | list[str]] = {
            "service": service,
            "level": level or "",
            "event": event or [],
        }
        wanted = {key: value for key, value in query.items() if value}
        _show_journal(name, wanted, follow, as_it_is=as_json)
        return
    if follow and len(files) > 1:
        raise WrongUsage(f"{name} is {len(files)} processes: follow one, as {files[0].stem!r}")
    for file in files:
        for line in follow_lines(file, lines) if follow else last_lines(file, lines):
            show_line(_as_object(file.stem, line) if as_json else line)


def _show_journal(path: str, query: Query, follow: bool, *, as_it_is: bool) -> None:
    try:
        for line in journal_lines(find_logger_url(load_settings()), path, query, follow):
            if (shown := line if as_it_is else as_text(line)) is not None:
                show_line(shown)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def stop(run: RunName, as_json: AsJson = False) -> None:
    """End a run after its current update, with a last checkpoint."""
    with connect() as client:
        stopped = client.stop_run(run)
    if as_json:
        show_document(stopped.as_json())
    else:
        console.print(f"{stopped.name} is asked to stop (now: {stopped.status})")


def evaluate(
    run: RunName,
    checkpoint: Annotated[str, typer.Option(help="best, last, or a number.")] = "best",
    trials: Trials = 5,
    track: TrackOption = None,
    rules: Annotated[
        str | None,
        typer.Option(help="clean, or race: back on the road with a penalty. As in the run."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a checkpoint, greedily. Exit code 0 only if every lap was completed cleanly."""
    with connect() as client:
        on_track = _track_name(client, track)
        choice = _checkpoint(checkpoint)
        complete = evaluate_and_show(client, run, choice, trials, on_track, as_json, rules=rules)
    if not complete:
        raise typer.Exit(EXIT_FAILED)


def _taken_names(client: ApiClient) -> set[str]:
    return {run.name for run in client.list_runs(limit=ALL_RUNS)}


def _track_name(client: ApiClient, track: str | None) -> str | None:
    """The name of the track; one that is a file is imported first."""
    if track is None or not track.endswith(".npy"):
        return track
    source = source_of_file(Path(track))
    imported = client.import_track(source.name, source.read())
    notes.print(f"imported {track} as track [bold]{imported.name}[/]")
    for note in imported.notes:
        notes.print(f"note: {note}", markup=False, soft_wrap=True)
    return imported.name


def _checkpoint(choice: str) -> str | int:
    if choice in ("best", "last"):
        return choice
    if choice.isdecimal():
        return int(choice)
    raise WrongUsage(f"--checkpoint {choice!r}; accepted: best, last, or a number")


def _log_files(name: str) -> list[Path]:
    """The log files of the processes that the name means; none where it means no process."""
    stack = Stack.find(load_settings())
    if stack is None:
        return []
    if name == "supervisor":
        return [stack.state.log_file(name)]
    try:
        return [stack.state.log_file(process.name) for process in stack.select(name)]
    except NotFound:
        return []


def _as_object(process: str, line: str) -> str:
    return json.dumps({"process": process, "line": line}, ensure_ascii=False)


def _show_queued(run: Run, as_json: bool) -> None:
    if as_json:
        show_document(run.as_json())
        return
    _warn(run)
    console.print(f"[bold]{run.name}[/] is {run.status} on track {run.track}")
    console.print(f"watch it: [bold]slipstream show {run.name} --watch[/]")


def _warn(run: Run) -> None:
    for warning in run.warnings:
        notes.print(f"[yellow]warning[/] {escape(warning)}")


def _finish(run: str, complete: bool, as_json: bool) -> None:
    """Say what to do next; the exit code says whether all laps were completed."""
    if not as_json:
        live_page = find_urls(load_settings()).get("live page")
        show_facts(
            {
                "its files": f"slipstream models {run}",
                "its events": f"slipstream logs {run}",
                "once more": f"slipstream evaluate {run} --trials 20",
                "live page": live_page,
                "your own": "copy models/starter, change its reward_function.py, and "
                "slipstream train FOLDER --watch",
            }
        )
    if not complete:
        raise typer.Exit(EXIT_FAILED)


def _row(run: Run) -> tuple[object, ...]:
    progress = run.progress
    return (
        run.name,
        run.status,
        run.track,
        progress.iteration,
        round(progress.steps_per_s),
        shown_share(progress.completion_ratio),
        progress.best_lap_s,
        shown_duration(None if run.outcome else progress.time_left_s),
    )


def _facts(run: Run) -> dict[str, object]:
    progress = run.progress
    return {
        "run": run.name,
        "status": run.status,
        "why": run.reason,
        "track": run.track,
        "attempt": run.attempt,
        "queued": shown_moment(run.created_at),
        "started": shown_moment(run.started_at),
        "ended": shown_moment(run.ended_at),
        "iteration": progress.iteration,
        "episodes": progress.episodes,
        "steps": f"{progress.env_steps} at {progress.steps_per_s:.0f}/s",
        "completion": shown_share(progress.completion_ratio),
        "mean progress": progress.mean_progress_pct,
        "best lap": progress.best_lap_s,
        "elapsed": shown_duration(progress.elapsed_s),
        "time left": shown_duration(None if run.outcome else progress.time_left_s),
        "best checkpoint": run.best.name if run.best else None,
        "last checkpoint": run.last.name if run.last else None,
    }
