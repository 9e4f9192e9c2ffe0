"""up, down, status, restart: the stack on this machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import typer

from libs.cli.config import load_settings
from libs.cli.output import (
    EXIT_FAILED,
    AsJson,
    Unreachable,
    console,
    notes,
    show_document,
    show_facts,
    show_table,
    shown_duration,
)
from libs.cli.stack.lifecycle import Progress, Stack, StartReport
from libs.cli.stack.processes import Process

NOT_UP = "the stack is not up; `make up` (or `slipstream up`) starts it"


def up(as_json: AsJson = False) -> None:
    """Start NATS, S3 and the services on this machine and wait until all are ready."""
    stack = Stack.open(load_settings())
    with _progress("starting") as progress:
        report = stack.start(progress)
    if as_json:
        show_document(_document(report))
        return
    if report.was_up:
        console.print("[bold green]already up[/]; everything is ready")
    else:
        console.print(f"[bold green]up[/] and ready after {report.seconds:.1f} s")
    show_facts(report.description.urls)
    console.print("next: [bold]slipstream train models/starter --watch[/] (or `make train`)")


def down(as_json: AsJson = False) -> None:
    """Stop everything. Runs, models and logs stay in the state folder for the next `up`."""
    stack = Stack.find(load_settings())
    was_up = stack.stop() if stack else False
    if as_json:
        show_document({"was_up": was_up})
    else:
        console.print("down; the data stay" if was_up else "nothing was running")


def status(as_json: AsJson = False) -> None:
    """
    Show processes, ports, readiness, uptime and crashes.

    Exit code 0: all are ready; 1: something is not; 3: the stack is not up.
    """
    stack = require_stack()
    reports = stack.report()
    if as_json:
        urls = stack.description.urls if stack.description else {}
        show_document({"processes": [asdict(report) for report in reports], "urls": urls})
    else:
        show_table(
            ("process", "state", "ready", "port", "pid", "uptime", "crashes"),
            [
                (
                    report.name,
                    report.state,
                    "yes" if report.ready else "no",
                    report.port,
                    report.pid or None,
                    shown_duration(report.uptime_s) if report.pid else None,
                    report.crashes,
                )
                for report in reports
            ],
        )
    if not all(report.ready for report in reports):
        raise typer.Exit(EXIT_FAILED)


def restart(
    name: str = typer.Argument(help="A process as `status` shows it; `simulator` means all."),
    as_json: AsJson = False,
) -> None:
    """Restart one process and wait until it is ready."""
    stack = require_stack()
    with _progress("restarting") as progress:
        names = stack.restart(name, progress)
    if as_json:
        show_document({"restarted": names})
    else:
        console.print(f"restarted and ready: {', '.join(names)}")


def require_stack() -> Stack:
    """
    The running stack.

    Raises:
        Unreachable: it does not run.
    """
    stack = Stack.find(load_settings())
    if stack is None or not stack.is_running:
        raise Unreachable(NOT_UP)
    return stack


@contextmanager
def _progress(doing: str) -> Iterator[Progress]:
    with notes.status(f"{doing} …") as spinner:

        def on_waiting(names: Sequence[str]) -> None:
            spinner.update(f"{doing}: waiting for {', '.join(names)}" if names else f"{doing} …")

        def on_ready(process: Process) -> None:
            notes.print(f"[green]ready[/]  {process.name:<12} port {process.port}")

        yield Progress(notes.print, on_ready, on_waiting)


def _document(report: StartReport) -> dict[str, object]:
    description = report.description
    return {
        "was_up": report.was_up,
        "seconds": round(report.seconds, 2),
        "urls": description.urls,
        "processes": [
            {"name": process.name, "port": process.port} for process in description.processes
        ],
    }
