"""
`slipstream model …`: what was trained, without the stack. One module for each verb.

Every command line loads this package: what is heavy is imported inside the verbs' functions.
"""

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def model() -> None:
    """Models on disk, without the stack."""


from services.trainer.verbs import export  # noqa: E402, F401  # adds its command to `app`
