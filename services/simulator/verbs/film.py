"""`slipstream film`: a past episode of a run as a video."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import ValidationError

from libs.cli.output import AsJson, WrongUsage, console, show_document
from libs.common.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from libs.common.events import (
        EpisodeChoice,
        EpisodeEnded,
        FilmWish,
        Message,
        RunQueued,
        TrackRef,
    )
    from libs.common.tracks import Track

PhaseName = Literal["training", "evaluation"]
# As in `libs.common.events`, which takes longer to import than --help should.
ViewName = Literal["camera-front", "camera-pip", "camera-45degree", "camera-topview"]
BEST, LAST = "best", "last"


def film(
    run: Annotated[str, typer.Argument(help="The run's name or id.")],
    episode: Annotated[
        str, typer.Option(help="Its number, `last`, or `best`: the fastest lap, else the furthest.")
    ] = BEST,
    phase: Annotated[PhaseName, typer.Option(help="Of the run.")] = "training",
    evaluation: Annotated[
        str | None, typer.Option(help="The id of one evaluation; --episode is then its trial.")
    ] = None,
    view: Annotated[
        ViewName,
        typer.Option(help="What the car sees; from behind, with a map in the corner; from above."),
    ] = "camera-front",
    size: Annotated[str, typer.Option(help="Of the pictures, up to 1920x1080.")] = "1280x720",
    speed: Annotated[float, typer.Option(min=0.1, max=16.0, help="Times real time.")] = 1.0,
    out: Annotated[Path | None, typer.Option(help="The file; else RUN-EPISODE.mp4 here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a past episode as a video, as its car saw it or as others would see the car."""
    from libs.common.events import FilmWish
    from services.simulator.episode_film import film_episode

    if out is not None and not out.parent.is_dir():
        raise WrongUsage(f"--out: got {str(out)!r}; accepted: a file in a folder that exists")
    try:
        wish = FilmWish(
            phase=phase,
            evaluation_id=evaluation,
            episode=_episode(episode),
            view=view,
            size=size,
            speed=speed,
        )
    except ValidationError as error:
        [problem] = error.errors()
        raise InvalidInput(f"--size: got {size!r}; {problem['msg']}") from error
    queued, chosen = find_episode(_events(run), run, wish)
    file = out or Path(f"{run}-{phase}-{chosen.episode}.mp4")
    track = _track(queued.track if chosen.track == queued.track.name else chosen.track)
    pictures = film_episode(file, track, queued.spec, chosen, wish)
    if as_json:
        told = {"file": str(file), "episode": chosen.episode, "pictures": pictures}
        show_document({**told, "status": chosen.status, "progress_pct": chosen.progress_pct})
        return
    console.print(
        f"{file}: {phase} episode {chosen.episode}, {chosen.status}, {chosen.progress_pct:.1f} %",
        markup=False,
    )


def find_episode(
    events: "Iterator[Message]", run: str, wish: "FilmWish"
) -> "tuple[RunQueued, EpisodeEnded]":
    """
    The run as it was queued, and the episode that is wished for.

    Raises:
        NotFound: there is none; the message says which there are.
    """
    from libs.common.events import EpisodeEnded, RunQueued
    from services.simulator.episode_choice import EpisodeChooser

    queued: RunQueued | None = None
    chooser = EpisodeChooser(run, wish)
    for event in events:
        if isinstance(event, RunQueued):
            queued = event
        elif isinstance(event, EpisodeEnded):
            chooser.look_at(event)
    if queued is None:
        raise NotFound(f"the journal does not tell how run {run!r} was queued")
    return queued, chooser.chosen()


def _episode(wanted: str) -> "EpisodeChoice":
    if wanted in (BEST, LAST):
        return wanted  # type: ignore[return-value]
    if not wanted.isdecimal():
        raise InvalidInput(f"no episode {wanted!r}; accepted: a number, {BEST} or {LAST}")
    return int(wanted)


def _events(run: str) -> "Iterator[Message]":
    from libs.cli.config import load_settings
    from libs.cli.journal import journal_lines
    from libs.cli.stack.description import find_logger_url
    from libs.common.events import decode

    query = {"event": ["RunQueued", "EpisodeEnded"]}
    for line in journal_lines(find_logger_url(load_settings()), run, query, follow=False):
        yield decode(line.encode())


def _track(driven: "TrackRef | str") -> "Track":
    from libs.cli.client import ApiClient
    from libs.cli.config import load_settings
    from libs.cli.stack.description import find_api_url
    from libs.common.tracks import built_in_names, load_built_in, parse_npy

    name = driven if isinstance(driven, str) else driven.name
    is_built_in = name in built_in_names() if isinstance(driven, str) else driven.source is None
    if is_built_in:
        return load_built_in(name)
    with ApiClient(find_api_url(load_settings())) as client:
        return parse_npy(name, client.download_track(name))
