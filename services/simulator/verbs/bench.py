"""sim bench: how fast the simulator is here."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from libs.cli.output import AsJson, WrongUsage, notes, show_document, show_table
from services.simulator.verbs import app

if TYPE_CHECKING:
    from services.simulator.speed import Speed


@app.command()
def bench(
    track: Annotated[
        str | None,
        typer.Option(help="Only this one: a built-in track's name, or an .npy file."),
    ] = None,
    cars: Annotated[int, typer.Option(help="In one batch.")] = 256,
    threads: Annotated[int, typer.Option(help="That share the cars.", min=1, max=64)] = 2,
    seconds: Annotated[float, typer.Option(help="For each row.", min=0.05, max=60)] = 1.0,
    reward: Annotated[
        Path | None,
        typer.Option(help="A reward_function.py: one more row with it, in its sandbox."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """
    Measure the simulator: camera steps per second, stage by stage, and memory.

    Random actions, 160x120 grey. "per core" and the stages are processor time, of all threads and
    of the reward function's process; a stage is for one step of one car.
    """
    from services.simulator.speed import HEADINGS, LEGEND

    speeds = list(_measure(track, cars, threads, seconds, _read_source(reward)))
    if as_json:
        show_document([speed.as_json() for speed in speeds])
        return
    show_table(HEADINGS, [speed.as_row() for speed in speeds])
    notes.print(LEGEND)


def _read_source(reward: Path | None) -> str | None:
    if reward is not None and not reward.is_file():
        raise WrongUsage(f"--reward: got {str(reward)!r}; accepted: a file that exists")
    return None if reward is None else reward.read_text("utf-8")


def _measure(
    track: str | None, cars: int, threads: int, seconds: float, reward: str | None
) -> Iterator["Speed"]:
    """On one thread, on all, on the longest track there is, and with a Python reward."""
    from libs.common.tracks import built_in_names, load_built_in
    from services.simulator.speed import measure_speed
    from services.simulator.track_choice import choose_track

    road = choose_track(track or "loop")
    yield measure_speed(road, cars, 1, seconds)
    yield measure_speed(road, cars, threads, seconds)
    if track is None:
        longest = max(map(load_built_in, built_in_names()), key=lambda track: track.length_m)
        yield measure_speed(longest, cars, threads, seconds)
    if reward is not None:
        yield measure_speed(road, cars, 1, seconds, reward)
