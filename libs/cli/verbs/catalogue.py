"""models: what there is, and how it gets out."""

from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from libs.cli.client import ApiClient
from libs.cli.documents import Model
from libs.cli.output import AsJson, console, notes, show_document, show_table
from libs.cli.verbs.runs import connect
from libs.common.deepracer.model_folder import find_model_files
from libs.common.errors import InvalidInput, NotFound


def models(
    run: Annotated[str | None, typer.Argument(help="Only this run's, with all files.")] = None,
    download: Annotated[
        Path | None, typer.Option(help="Put the run's files into this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List models, show the files of one, or download them."""
    with connect() as client:
        if run is None:
            _show_all(client.list_models(), as_json)
            return
        model = client.show_model(run)
        if download is not None:
            _download(client, model, download)
    if as_json:
        show_document(model.as_json())
    else:
        _show_one(model)


def import_model(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A model folder of deepracer-for-cloud, the former console or DeepRacer on AWS."
        ),
    ],
    name: Annotated[str, typer.Option(help="Of the run that it becomes.")],
    track: Annotated[
        str | None, typer.Option(help="Where it is evaluated; else the one the folder names.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take in a model that was trained elsewhere, as a run to start from and to evaluate."""
    with connect() as client:
        run = client.import_model(_model_files(folder), name, track)
    if as_json:
        show_document(run.as_json())
        return
    for warning in run.warnings:
        notes.print(warning, soft_wrap=True, markup=False)
    console.print(f"{run.name}: start.run in a run.yaml goes on from it", soft_wrap=True)


def _model_files(folder: Path) -> dict[str, Path]:
    """The files that are sent, by their paths in the folder."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder; a model folder has checkpoints")
    paths = (path for path in folder.rglob("*") if path.is_file())
    there = {path.relative_to(folder).as_posix(): path for path in paths}
    return {path: there[path] for path in find_model_files(there).values()}


def _show_all(found: list[Model], as_json: bool) -> None:
    if as_json:
        show_document([model.as_json() for model in found])
        return
    rows = [
        (model.run, len(model.checkpoints), model.checkpoints[-1].name if model.checkpoints else "")
        for model in found
    ]
    show_table(("run", "checkpoints", "last"), rows)


def _show_one(model: Model) -> None:
    show_table(
        ("checkpoint", "number", "steps"),
        [(point.name, point.number, point.env_steps) for point in model.checkpoints],
    )
    show_table(("file", "bytes"), [(file.path, file.size_bytes) for file in model.files])


def _download(client: ApiClient, model: Model, folder: Path) -> None:
    for file in model.files:
        target = folder / _inside(file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as handle:
            for piece in client.download(model.run, file.path):
                handle.write(piece)
    console.print(f"{len(model.files)} files are in {folder}", soft_wrap=True)


def _inside(path: str) -> PurePosixPath:
    """A path that cannot climb out of the folder it is put into."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise InvalidInput(f"the service names a file {path!r} outside of the model's folder")
    return relative
