"""doctor: is this machine fit."""

from dataclasses import asdict

import typer

from libs.cli.config import load_settings
from libs.cli.doctor import Verdict, examine
from libs.cli.output import EXIT_FAILED, AsJson, show_document, show_table

_MARKS: dict[Verdict, str] = {
    "ok": "[green]ok[/]",
    "missing": "[bold red]missing[/]",
    "advice": "[yellow]advice[/]",
}


def doctor(as_json: AsJson = False) -> None:
    """Check this machine. Exit code 1 only if something is missing that is required."""
    findings = examine(load_settings())
    if as_json:
        show_document([asdict(finding) for finding in findings])
    else:
        show_table(
            ("", "part", "found", "for", "how to get it"),
            [
                (_MARKS[item.verdict], item.part, item.found, item.purpose, item.remedy or " ")
                for item in findings
            ],
        )
    if any(finding.verdict == "missing" for finding in findings):
        raise typer.Exit(EXIT_FAILED)
