"""best-time: how fast a track can be raced, in theory and by a scripted driver."""

from typing import TYPE_CHECKING, Annotated

import typer

from libs.cli.output import AsJson, show_document, show_facts
from services.simulator.verbs import app

if TYPE_CHECKING:
    from libs.common.tracks import Track
    from services.simulator.trials import Trial


@app.command("best-time")
def best_time(
    track: Annotated[str, typer.Argument(help="A built-in track's name, or an .npy file.")],
    laps: Annotated[int, typer.Option(help="In total, the first from a stand.", min=1)] = 3,
    top_speed: Annotated[
        float, typer.Option(help="That the car is told at most, m/s.", min=0.5, max=4.0)
    ] = 4.0,
    version: Annotated[
        int, typer.Option(help="Dynamics: of 1-4 or of 5-6, as in the metadata.", min=1, max=6)
    ] = 5,
    clockwise: Annotated[bool, typer.Option("--clockwise", help="The other way round.")] = False,
    margin: Annotated[
        float, typer.Option(help="Scripted driver: m that its line keeps from the borders.")
    ] = 0.15,
    share: Annotated[
        float, typer.Option(help="Scripted driver: share of the line's speeds.", min=0.1, max=1.0)
    ] = 0.8,
    as_json: AsJson = False,
) -> None:
    """Find the line of least time under the car's grip, and drive one with a script."""
    from services.simulator.racing_line import find_racing_line
    from services.simulator.speed_profile import grip_of
    from services.simulator.track_choice import choose_track
    from services.simulator.vehicle import dynamics_for

    road = choose_track(track)
    way = road.reversed() if clockwise else road
    grip = grip_of(dynamics_for(str(version)), top_speed)
    line = find_racing_line(way, grip)
    trial = _drive(way, laps, top_speed, str(version), margin, share)
    document = {
        "track": road.name,
        "length_m": round(road.length_m, 3),
        "line_m": round(float(line.steps_m.sum()), 3),
        "slowest_mps": round(float(line.speeds_mps.min()), 3),
        "flying_lap_s": round(line.lap_s, 3),
        "laps": laps,
        "theoretical_s": round(line.total_s(laps), 3),
        "scripted_s": trial.seconds,
        "scripted_off_tracks": trial.off_tracks,
    }
    if as_json:
        show_document(document)
        return
    scripted = f"{trial.seconds:.2f} s" if trial.seconds else "did not finish"
    show_facts(
        {
            "track": f"{road.name}, {road.length_m:.2f} m, {laps} laps from a stand",
            "in theory": f"{line.total_s(laps):.2f} s (a flying lap {line.lap_s:.2f} s, "
            f"{document['line_m']} m, at least {document['slowest_mps']} m/s)",
            "scripted driver": f"{scripted}, {trial.off_tracks} times off the track",
        }
    )


def _drive(
    way: "Track", laps: int, top_mps: float, version: str, margin_m: float, share: float
) -> "Trial":
    """What the scripted driver does with a line of its own."""
    from libs.common.deepracer.race_spec import RaceSpec
    from services.simulator.drivers import RacingLineDriver
    from services.simulator.race import Race
    from services.simulator.racing_line import find_racing_line
    from services.simulator.speed_profile import grip_of
    from services.simulator.trials import drive_trials
    from services.simulator.vehicle import dynamics_for

    dynamics = dynamics_for(version)
    line = find_racing_line(way, grip_of(dynamics, top_mps), margin_m)
    spec = RaceSpec(laps=laps, change_start_position=False)
    race = Race(way, spec, version, [0], resets=True)
    driver = RacingLineDriver(line, dynamics, share)
    return drive_trials(race, driver.decide, laps)[0]
