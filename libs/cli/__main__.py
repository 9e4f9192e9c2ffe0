"""The entry point: `slipstream`, or `python -m libs.cli`."""

import sys
from collections.abc import Callable
from importlib.metadata import entry_points

import stamina
import typer

from libs.cli.output import exit_code, show_error
from libs.cli.verbs import catalogue, machine, mirror, runs, stack, tracks
from libs.common.errors import PlatformError

app = typer.Typer(
    name="slipstream",
    help="DeepRacer training on this machine or on many: the stack, runs, models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

PANELS: dict[str, list[Callable[..., None]]] = {
    "The stack on this machine": [
        stack.up,
        stack.down,
        stack.status,
        stack.restart,
        machine.doctor,
    ],
    "Runs": [runs.train, runs.runs, runs.show, runs.logs, runs.stop, runs.evaluate],
    "Models and tracks": [catalogue.models],
    "The mirror of the artifacts": [mirror.uploads],
}
app.command("import", rich_help_panel="Models and tracks")(catalogue.import_model)
for panel, verbs in PANELS.items():
    for verb in verbs:
        app.command(rich_help_panel=panel)(verb)
app.add_typer(tracks.app, name="tracks", rich_help_panel="Models and tracks")
app.add_typer(mirror.app, name="cache", rich_help_panel="The mirror of the artifacts")
# What services add: the command line knows no service.
for added in entry_points(group="slipstream.verbs"):
    verb, panel = added.load(), "Without the stack"
    if isinstance(verb, typer.Typer):
        app.add_typer(verb, name=added.name, rich_help_panel=panel)
    else:
        app.command(added.name, rich_help_panel=panel)(verb)


def main() -> None:
    """Run one verb; exit codes: 0 done, 1 it failed, 2 wrong usage, 3 no stack to be reached."""
    # Waiting for something to become ready is no incident that should be logged.
    stamina.instrumentation.set_on_retry_hooks([])
    try:
        app()
    except PlatformError as error:
        show_error(error, as_json="--json" in sys.argv)
        sys.exit(exit_code(error))


if __name__ == "__main__":
    main()
