"""tracks: what there is, and how it gets in, is changed, and gets out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from libs.cli.documents import Track as TrackDocument
from libs.cli.output import AsJson, WrongUsage, console, show_document, show_facts, show_table
from libs.cli.track_sources import source_of_file
from libs.cli.verbs.runs import connect
from libs.common.errors import InvalidInput

if TYPE_CHECKING:  # geometry takes a tenth of a second to import, which no other verb needs
    from libs.common.tracks import Track, TrackFile

app = typer.Typer(help="List tracks, show, import, check, derive, turn and export them.")

TrackName = Annotated[str, typer.Argument(help="A track's name, or a .npy file.")]
NewName = Annotated[str | None, typer.Option("--name", help="Of the new track.")]
Out = Annotated[
    Path | None, typer.Option(help="Write this .npy file, and store nothing in the stack.")
]


@app.callback(invoke_without_command=True)
def tracks(context: typer.Context, as_json: AsJson = False) -> None:
    """List tracks, show, import, check, derive, turn and export them."""
    if context.invoked_subcommand is None:
        show_list(as_json)


@app.command("list")
def show_list(as_json: AsJson = False) -> None:
    """List tracks, built-in and imported."""
    with connect() as client:
        found = client.list_tracks()
    if as_json:
        show_document([track.as_json() for track in found])
        return
    columns = ("track", "length m", "width m", "")
    show_table(columns, [_row(track) for track in found])


@app.command()
def show(
    name: TrackName,
    preview: Annotated[Path | None, typer.Option(help="Draw it into this PNG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show one track in numbers. Built-in tracks and files need no stack."""
    from libs.common.tracks.exports import as_document, export
    from libs.common.tracks.facts import find_facts

    file = load(name)
    if preview is not None:
        _write(preview, export(file.track, "png"))
    if as_json:
        show_document({**as_document(file.track), "notes": file.notes})
        return
    facts = find_facts(file.track)
    x_min, y_min, x_max, y_max = facts.bounds_m
    show_facts(
        {
            "track": facts.name,
            "length": f"{facts.length_m:.3f} m",
            "width": f"{facts.width_mean_m:.3f} m "
            f"({facts.width_min_m:.3f} to {facts.width_max_m:.3f} m)",
            "direction": facts.direction,
            "points": facts.points,
            "bounds": f"x {x_min:.2f} to {x_max:.2f} m, y {y_min:.2f} to {y_max:.2f} m",
            **{f"note {number}": escape(note) for number, note in enumerate(file.notes, 1)},
        }
    )


@app.command("export")
def export_track(
    name: TrackName,
    out: Annotated[
        Path, typer.Option(help="The file; its ending decides: .npy, .json, .svg or .png.")
    ],
    as_json: AsJson = False,
) -> None:
    """Write a track as DeepRacer's .npy, as JSON, as SVG, or as a PNG picture."""
    from libs.common.tracks.exports import export

    track = load(name).track
    _write(out, export(track, out.suffix.removeprefix(".").lower()))
    _tell(track.name, (), out, as_json)


@app.command()
def reverse(
    name: TrackName, new_name: NewName = None, out: Out = None, as_json: AsJson = False
) -> None:
    """Make a track that is driven the other way, from the same start."""
    track = load(name).track
    _keep(track.reversed().renamed(new_name or f"{track.name}-reversed"), (), out, as_json)


@app.command()
def mirror(
    name: TrackName, new_name: NewName = None, out: Out = None, as_json: AsJson = False
) -> None:
    """Make the mirror image of a track: its bends to the left are bends to the right."""
    track = load(name).track
    _keep(track.mirrored().renamed(new_name or f"{track.name}-mirrored"), (), out, as_json)


@app.command()
def derive(
    file: Annotated[Path, typer.Argument(help="An SVG drawing, its centre line dashed.")],
    length: Annotated[float, typer.Option(help="Of the centre line, in metres.")],
    width: Annotated[float, typer.Option(help="Of the road, in metres.")] = 1.067,
    points: Annotated[int, typer.Option(help="Waypoints.")] = 200,
    mirrored: Annotated[bool, typer.Option("--mirror", help="Not as drawn.")] = False,
    new_name: NewName = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Make a track from a drawing: the path with a stroke-dasharray, and a known length."""
    from libs.common.tracks.drawings import derive_track

    if not file.is_file():
        raise InvalidInput(f"{file} is no file; accepted is an SVG drawing")
    name = new_name or source_of_file(file.with_suffix("")).name
    derived = derive_track(name, file.read_bytes(), length, width, points, mirrored)
    _keep(derived.track, derived.notes, out, as_json)


@app.command()
def rename(
    name: Annotated[str, typer.Argument(help="An imported track that nothing refers to.")],
    new_name: Annotated[str, typer.Argument(help="A free name.")],
    as_json: AsJson = False,
) -> None:
    """Give an imported track another name; runs and evaluations keep those they refer to."""
    if new_name == name:
        raise WrongUsage(f"{name!r} is the track's name already")
    with connect() as client:
        renamed = client.import_track(new_name, client.download_track(name))
        try:
            client.delete_track(name)
        except InvalidInput:
            if renamed.is_new:
                client.delete_track(new_name)
            raise
    _tell(new_name, (), None, as_json)


@app.command()
def delete(
    name: Annotated[str, typer.Argument(help="An imported track that nothing refers to.")],
    as_json: AsJson = False,
) -> None:
    """Forget an imported track."""
    with connect() as client:
        client.delete_track(name)
    if as_json:
        show_document({"name": name})
    else:
        console.print(f"{name} is forgotten", markup=False)


def load(name: str) -> "TrackFile":
    """
    A track by name or from a file; only an imported one needs the stack.

    Raises:
        NotFound: there is none. InvalidInput: the file is no track.
    """
    from libs.common.tracks import TrackFile, built_in_names, load_built_in, parse_npy, read_npy

    if name.endswith(".npy"):
        source = source_of_file(Path(name))
        return read_npy(source.name, source.read())
    if name in built_in_names():
        return TrackFile(load_built_in(name), ())
    with connect() as client:
        told = client.show_track(name).notes
        return TrackFile(parse_npy(name, client.download_track(name)), tuple(told))


def _row(track: TrackDocument) -> tuple[object, ...]:
    kind = "built in" if track.built_in else "imported"
    return (track.name, track.length_m, track.width_m, kind)


def _keep(track: "Track", told: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Write a new track into a file, or import it."""
    if out is not None:
        if out.suffix != ".npy":
            raise WrongUsage(f"--out {str(out)!r}; accepted is a .npy file")
        _write(out, track.to_npy())
    else:
        with connect() as client:
            client.import_track(track.name, track.to_npy())
    _tell(track.name, told, out, as_json)


def _tell(name: str, told: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    if as_json:
        show_document({"name": name, "file": out, "notes": told})
        return
    place = f"in {out}" if out else "among the tracks"
    console.print(f"{name} is {place}", markup=False, soft_wrap=True)
    for note in told:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InvalidInput(f"{path} can't be written: {error.strerror}") from error


from libs.cli.verbs import track_import  # noqa: E402, F401  (adds its verbs to `app`)
