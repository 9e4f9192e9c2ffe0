"""A track as people name one on this machine: a built-in by its name, or an `.npy` file."""

from pathlib import Path

from libs.common.errors import NotFound
from libs.common.tracks import Track, load_built_in, parse_npy


def choose_track(named: str) -> Track:
    """
    The built-in track of that name, or the track in that `.npy` file.

    Raises:
        NotFound: there is no such track or file; the message says what there is.
        InvalidInput: the file holds no road.
    """
    if not named.endswith(".npy"):
        return load_built_in(named)
    file = Path(named)
    if not file.is_file():
        raise NotFound(f"{named} is no file; a track is a built-in's name or an .npy file")
    return parse_npy(file.stem, file.read_bytes())
