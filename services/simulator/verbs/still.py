"""`slipstream sim still`: our picture beside a camera still of the official simulator."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from libs.cli.output import AsJson, show_document, show_facts
from libs.common.errors import InvalidInput
from services.simulator.verbs import app

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from libs.common.tracks import Track
    from services.simulator.stills import StillFit


@app.command()
def still(
    picture: Annotated[Path, typer.Argument(help="A camera still, as PNG or JPEG.")],
    track: Annotated[
        list[str],
        typer.Option(help="A built-in track, a .npy file, or a folder of them; may be repeated."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="Write the still, ours, and ours with its edges to this PNG."),
    ] = None,
    reference_camera: Annotated[
        bool, typer.Option(help="The robot description's camera, not that of the stills.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit the pose of a championship still and measure how far the edges are apart."""
    fit, pictures = _fit(picture, track, reference_camera)
    if output is not None:
        _save(pictures, output)
    facts = {key: value for key, value in fit._asdict().items() if key != "picture"}
    if as_json:
        show_document(facts)
    else:
        show_facts(facts)


def _fit(
    file: Path, tracks: list[str], reference_camera: bool
) -> tuple["StillFit", "NDArray[np.uint8]"]:
    """The fit; and the still, our picture, and ours with the still's edges side by side."""
    import numpy as np

    from services.simulator.camera import Mount
    from services.simulator.stills import STILL_MOUNT, fit_still, overlay

    loaded = {track.name: track for name in tracks for track in _load_tracks(name)}
    photo = _read(file)
    mount = Mount() if reference_camera else STILL_MOUNT
    fit = fit_still(photo, loaded, mount)
    return fit, np.hstack((photo, fit.picture, overlay(photo, fit.picture)))


def _read(file: Path) -> "NDArray[np.uint8]":
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from services.simulator.stills import HEIGHT, WIDTH

    try:
        with Image.open(file) as image:
            if image.width * HEIGHT != image.height * WIDTH:
                raise InvalidInput(
                    f"{file}: got {image.width} x {image.height} pixels; accepted: a picture that "
                    "is four wide and three high"
                )
            return np.asarray(image.convert("RGB").resize((WIDTH, HEIGHT)))
    except (OSError, UnidentifiedImageError) as error:
        raise InvalidInput(f"{file} can't be read; accepted: a PNG or JPEG picture") from error


def _load_tracks(name: str) -> "list[Track]":
    from libs.common.tracks import load_built_in, parse_npy

    path = Path(name)
    if path.is_dir():
        return [track for file in sorted(path.glob("*.npy")) for track in _load_tracks(str(file))]
    if path.suffix == ".npy":
        try:
            return [parse_npy(path.stem, path.read_bytes())]
        except OSError as error:
            raise InvalidInput(f"{path} can't be read: {error.strerror}") from error
    return [load_built_in(name)]


def _save(pictures: "NDArray[np.uint8]", output: Path) -> None:
    from PIL import Image

    try:
        Image.fromarray(pictures).save(output)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{output} can't be written: {error}") from error
