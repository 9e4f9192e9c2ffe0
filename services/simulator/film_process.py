"""
`python -m services.simulator.film_process`: one film, in a process that gives way to all others.

Drawing takes as much processor as it can get. A process of its own with the lowest priority takes
what training leaves, and a simulator that drives cars is not held up by it.
"""

import os
import sys
from pathlib import Path

from pydantic import BaseModel

from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import PlatformError
from libs.common.events import EpisodeEnded, FilmWish
from libs.common.tracks import load_built_in, parse_npy

LOWEST_PRIORITY = 19


class FilmOrder(BaseModel):
    """On standard input, as JSON: what to draw, and where to write it."""

    file: Path
    track: Path | None  # an .npy file; None is a built-in track
    spec: RunSpec
    episode: EpisodeEnded
    wish: FilmWish


class FilmReport(BaseModel):
    """On standard output, as JSON: how many pictures it has, or why there is none."""

    pictures: int = 0
    reason: str = ""


def main() -> None:
    """Read the order, draw, report."""
    os.nice(LOWEST_PRIORITY)
    order = FilmOrder.model_validate_json(sys.stdin.buffer.read())
    from services.simulator.episode_film import film_episode

    name = order.episode.track
    try:
        file = order.track
        track = load_built_in(name) if file is None else parse_npy(name, file.read_bytes())
        pictures = film_episode(order.file, track, order.spec, order.episode, order.wish)
        report = FilmReport(pictures=pictures)
    except PlatformError as error:
        report = FilmReport(reason=str(error))
    sys.stdout.write(report.model_dump_json())


if __name__ == "__main__":
    main()
