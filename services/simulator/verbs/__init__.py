"""
`slipstream sim …`: the simulator without the stack. One module for each verb.

Every command line loads this package: what is heavy is imported inside the verbs' functions.
"""

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def sim() -> None:
    """The simulator alone, without the stack."""


from services.simulator.verbs import bench, best_time, drive, replay, still  # noqa: E402, F401 - they register themselves on `app`
