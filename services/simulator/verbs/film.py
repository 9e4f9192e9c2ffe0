"""`slipstream film`: a past episode of a run as a video."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from libs.cli.output import AsJson, WrongUsage, console, show_document
from libs.common.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from libs.common.events import EpisodeEnded, Message, RunQueued
    from libs.common.tracks import Track

PhaseName = Literal["training", "evaluation"]
BEST, LAST = "best", "last"


def film(
    run: Annotated[str, typer.Argument(help="The run's name or id.")],
    episode: Annotated[
        str, typer.Option(help="Its number, `last`, or `best`: the fastest lap, else the furthest.")
    ] = BEST,
    phase: Annotated[PhaseName, typer.Option(help="Of the run.")] = "training",
    speed: Annotated[float, typer.Option(min=0.1, max=16.0, help="Times real time.")] = 1.0,
    out: Annotated[Path | None, typer.Option(help="The file; else RUN-EPISODE.mp4 here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a past episode as a video: what its car saw, beside the track."""
    from services.simulator.episode_film import film_episode

    queued, chosen = find_episode(_events(run), run, episode, phase)
    file = out or Path(f"{run}-{phase}-{chosen.episode}.mp4")
    if not file.parent.is_dir():
        raise WrongUsage(f"--out: got {str(file)!r}; accepted: a file in a folder that exists")
    pictures = film_episode(file, _track(queued), queued.spec, chosen, speed)
    if as_json:
        told = {"file": str(file), "episode": chosen.episode, "pictures": pictures}
        show_document({**told, "status": chosen.status, "progress_pct": chosen.progress_pct})
        return
    console.print(
        f"{file}: {phase} episode {chosen.episode}, {chosen.status}, {chosen.progress_pct:.1f} %",
        markup=False,
    )


def find_episode(
    events: "Iterator[Message]", run: str, wanted: str, phase: PhaseName
) -> "tuple[RunQueued, EpisodeEnded]":
    """
    The run as it was queued, and one of its episodes; of those with one number the last.

    Raises:
        NotFound: there is none; the message says which there are.
        InvalidInput: `wanted` is no number, `best` or `last`.
    """
    from libs.common.events import EpisodeEnded, RunQueued

    if wanted not in (BEST, LAST) and not wanted.isdecimal():
        raise InvalidInput(f"no episode {wanted!r}; accepted: a number, {BEST} or {LAST}")
    queued: RunQueued | None = None
    chosen: EpisodeEnded | None = None
    numbers: set[int] = set()
    for event in events:
        if isinstance(event, RunQueued):
            queued = event
        elif isinstance(event, EpisodeEnded) and event.phase == phase:
            numbers.add(event.episode)
            if wanted == BEST:
                chosen = event if chosen is None or _merit(event) > _merit(chosen) else chosen
            elif wanted == LAST or event.episode == int(wanted):
                chosen = event
    if queued is None or chosen is None:
        there = f"0 to {max(numbers)}" if numbers else "none"
        raise NotFound(f"run {run!r} has no {phase} episode {wanted}; there are: {there}")
    return queued, chosen


def _merit(episode: "EpisodeEnded") -> tuple[float, float]:
    """Higher is better: a lap before none, then the faster one, or the one that came further."""
    lap_s = episode.lap_s
    return (float("-inf") if lap_s is None else -lap_s, episode.progress_pct)


def _events(run: str) -> "Iterator[Message]":
    from libs.cli.config import load_settings
    from libs.cli.journal import journal_lines
    from libs.cli.stack.description import find_logger_url
    from libs.common.events import decode

    query = {"event": ["RunQueued", "EpisodeEnded"]}
    for line in journal_lines(find_logger_url(load_settings()), run, query, follow=False):
        yield decode(line.encode())


def _track(queued: "RunQueued") -> "Track":
    from libs.cli.client import ApiClient
    from libs.cli.config import load_settings
    from libs.cli.stack.description import find_api_url
    from libs.common.tracks import load_built_in, parse_npy

    name = queued.track.name
    if queued.track.source is None:
        return load_built_in(name)
    with ApiClient(find_api_url(load_settings())) as client:
        return parse_npy(name, client.download_track(name))
