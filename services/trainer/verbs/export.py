"""`slipstream model export`: a checkpoint in the formats that others run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from libs.cli.output import AsJson, show_document, show_table
from libs.common.deepracer.metadata import ModelMetadata, parse_model_metadata
from libs.common.errors import InvalidInput
from services.trainer.verbs import app

if TYPE_CHECKING:
    from services.trainer.exports import Export

METADATA = "model_metadata.json"
LAST = ".coach_checkpoint"


@app.command()
def export(
    folder: Annotated[
        Path,
        typer.Argument(help="A DeepRacer model folder: checkpoints beside model_metadata.json."),
    ],
    output: Annotated[Path, typer.Option(help="The folder to write to; made if absent.")],
    formats: Annotated[
        list[str],
        typer.Option(
            "--format",
            help="pb, checkpoint (complete, for stock rl-coach), onnx, openvino or openvino-fp16; "
            "may be repeated.",
        ),
    ],
    checkpoint: Annotated[
        str | None,
        typer.Option(help="As 13_Step-8044.ckpt; by default the folder's last one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a checkpoint in other formats, each read back and compared with the policy first."""
    exports = _export(folder, checkpoint or _last(folder), output, formats)
    if as_json:
        show_document([_document(each) for each in exports])
        return
    rows = [
        [each.format, f"{each.difference:.1e}", ", ".join(file.name for file in each.files)]
        for each in exports
    ]
    show_table(["format", "difference", "files"], rows)


def _export(folder: Path, name: str, output: Path, formats: list[str]) -> list["Export"]:
    metadata = _metadata(folder)
    from services.trainer.architecture import blueprint_of
    from services.trainer.checkpoint import checkpoint_number, read_checkpoint
    from services.trainer.exports import export_policy
    from services.trainer.memory import memory_path
    from services.trainer.slots import read_optimiser

    checkpoint_number(name)
    blueprint = blueprint_of(metadata)
    weights = read_checkpoint(folder / name, blueprint)
    optimiser = read_optimiser(memory_path(folder, checkpoint_number(name)), blueprint)
    return export_policy(weights, blueprint, name, output, formats, optimiser)


def _metadata(folder: Path) -> ModelMetadata:
    file = folder / METADATA
    if not file.is_file():
        raise InvalidInput(f"{folder} has no {METADATA}; accepted: a folder with one")
    return parse_model_metadata(file.read_bytes()).value


def _last(folder: Path) -> str:
    file = folder / LAST
    if not file.is_file():
        raise InvalidInput(f"{folder} has no {LAST}; accepted: a folder with one, or --checkpoint")
    return file.read_text("utf-8").strip()


def _document(made: "Export") -> dict[str, object]:
    return {
        "format": made.format,
        "difference": made.difference,
        "files": [str(file) for file in made.files],
    }
