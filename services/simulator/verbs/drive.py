"""drive: a scripted driver or a policy on a track, as a video, a plot and a result."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from libs.cli.output import AsJson, WrongUsage, console, show_document, show_table
from libs.common.errors import NotFound
from services.simulator.verbs import app

if TYPE_CHECKING:
    from libs.common.deepracer.metadata import ModelMetadata
    from libs.common.deepracer.world_spec import WorldSpec
    from libs.common.tracks import Track
    from services.simulator.drive import Episode
    from services.simulator.drivers import Driver

RaceKind = Literal["time_trial", "object_avoidance", "head_to_bot"]

METADATA = "model_metadata.json"
COLUMNS = ("car", "status", "lap_s", "seconds", "progress_pct", "mean_speed_mps", "max_slip_deg")


@app.command()
def drive(
    track: Annotated[str, typer.Option(help="A built-in track's name, or an .npy file.")] = "loop",
    policy: Annotated[
        Path | None, typer.Option(help="A model_N.pb; without one, a scripted driver.")
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="Its model_metadata.json, if it is not beside it.")
    ] = None,
    speed: Annotated[
        float, typer.Option(help="Of the scripted driver, m/s.", min=0.1, max=4.0)
    ] = 1.5,
    laps: Annotated[int, typer.Option(help="Of each car, each from a stand.", min=1)] = 1,
    seconds: Annotated[
        float, typer.Option(help="On the simulated clock, at most.", min=1.0, max=600.0)
    ] = 120.0,
    cars: Annotated[int, typer.Option(help="Each alone on its own copy of the track.")] = 1,
    seed: Annotated[
        int, typer.Option(help="Says where the first car starts.", min=0, max=2**31 - 1)
    ] = 0,
    version: Annotated[
        int | None,
        typer.Option(help="Dynamics: of 1-4 or of 5-6, as in the metadata.", min=1, max=6),
    ] = None,
    race: Annotated[RaceKind, typer.Option(help="What else is on the road.")] = "time_trial",
    look: Annotated[str | None, typer.Option(help="Of the world: plain or championship.")] = None,
    world: Annotated[
        Path | None, typer.Option(help="A YAML file of what `world:` holds in a run.yaml.")
    ] = None,
    clockwise: Annotated[bool, typer.Option("--clockwise", help="The other way round.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for drive.mp4 and drive.png.")] = Path(),
    no_video: Annotated[bool, typer.Option("--no-video", help="Without drive.mp4.")] = False,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Without drive.png.")] = False,
    as_json: AsJson = False,
) -> None:
    """Drive a track and see how it went: a video, a plot, and each lap's result."""
    from libs.common.deepracer.race_spec import RaceSpec
    from services.simulator.drive import drive as drive_laps
    from services.simulator.drive_film import film_race
    from services.simulator.race import Race
    from services.simulator.track_choice import choose_track
    from services.simulator.vehicle import CONTROL_HZ
    from services.simulator.views import Look

    if not out.is_dir():
        raise WrongUsage(f"--out: got {str(out)!r}; accepted: a folder that exists")
    road = choose_track(track)
    driver, car = _choose_driver(road, policy, metadata, speed, version)
    cars_at_start = Race(
        road,
        RaceSpec(
            type=race,
            direction="clockwise" if clockwise else "counterclockwise",
            max_steps=round(seconds * CONTROL_HZ),
        ),
        car,
        range(seed, seed + cars),
        look=Look(_read_world(world, look)),
    )
    video = None if no_video else out / "drive.mp4"
    plot = None if no_plot else out / "drive.png"
    with film_race(video, road) if video else nullcontext(lambda race: None) as watch:
        episodes = drive_laps(cars_at_start, driver, laps, seconds, watch)
    if plot is not None:
        _draw(plot, road, episodes)
    _show(road, policy, episodes, [file for file in (video, plot) if file], as_json)


def _read_world(file: Path | None, look: str | None) -> "WorldSpec":
    """The world of a file, with a look in place of the file's. Raises `InvalidInput`."""
    from libs.common.deepracer.problems import read_model
    from libs.common.deepracer.syntax import parse_yaml_mapping
    from libs.common.deepracer.world_spec import WorldSpec

    if file is not None and not file.is_file():
        raise NotFound(f"--world: got {str(file)!r}; accepted: a YAML file that exists")
    fields = parse_yaml_mapping(file.read_bytes(), file.name) if file else {}
    if look is not None:
        fields["look"] = look
    return read_model(WorldSpec, fields, file.name if file else "--world")


def _choose_driver(
    track: "Track",
    policy: Path | None,
    metadata: Path | None,
    speed_mps: float,
    version: int | None,
) -> tuple["Driver", "ModelMetadata | str"]:
    """The driver and its car: a policy's has its sensors. `version` goes before its dynamics."""
    from services.simulator.drivers import CentreLineDriver

    if policy is None:
        if metadata is not None:
            raise WrongUsage("--metadata belongs to a policy: name one with --policy model_N.pb")
        return CentreLineDriver(track, speed_mps), str(version or 5)
    from services.simulator.evaluation import Driver

    its_metadata = _find_metadata(policy, metadata)
    if version is not None:
        its_metadata = its_metadata.model_copy(update={"version": str(version)})
    return Driver(policy, policy.name, its_metadata, slice(None), threads=1), its_metadata


def _find_metadata(policy: Path, named: Path | None) -> "ModelMetadata":
    """The metadata of a policy: the file that is named, or one beside it or a folder above."""
    from libs.common.deepracer.metadata import parse_model_metadata

    places = [folder / METADATA for folder in list(policy.resolve().parents)[:2]]
    places = [named] if named else places
    found = next((file for file in places if file.is_file()), None)
    if found is None:
        looked = " and ".join(map(str, places))
        raise NotFound(f"no {METADATA} at {looked}; name one with --metadata")
    return parse_model_metadata(found.read_bytes(), found.name).value


def _draw(file: Path, track: "Track", episodes: Sequence["Episode"]) -> None:
    from services.simulator.drive_plot import write_plot

    first = episodes[0]
    ended = f"lap in {first.lap_s:.2f} s" if first.lap_s else first.status.replace("_", " ")
    write_plot(file, track, episodes, f"{track.name}, {track.length_m:.1f} m: {ended}")


def _show(
    track: "Track",
    policy: Path | None,
    episodes: Sequence["Episode"],
    files: Sequence[Path],
    as_json: bool,
) -> None:
    results = [episode.as_json() for episode in episodes]
    if as_json:
        show_document(
            {
                "track": track.name,
                "length_m": round(track.length_m, 3),
                "driver": str(policy) if policy else "centre line",
                "episodes": results,
                "files": [str(file) for file in files],
            }
        )
        return
    show_table(COLUMNS, [[result[column] for column in COLUMNS] for result in results])
    for file in files:
        console.print(f"written: {file}", soft_wrap=True, markup=False)
