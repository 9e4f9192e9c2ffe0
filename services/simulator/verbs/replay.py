"""`slipstream sim replay`: how true the simulator is to the real one, by real traces."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from libs.cli.output import AsJson, WrongUsage, notes, show_document, show_table
from libs.common.errors import InvalidInput
from services.simulator.verbs import app

if TYPE_CHECKING:
    from libs.common.deepracer.simtrace import TraceRow
    from libs.common.tracks import Track
    from services.simulator.replay import FloatArray

VERSIONS = ("1", "2", "3", "4", "5", "6")
PARAMS = ("progress_within_0_01", "closest_waypoint_equal", "all_wheels_on_track_equal")
SAME_LENGTH_M = 0.01

Episodes = list[list["TraceRow"]]


@app.command()
def replay(
    traces: Annotated[list[Path], typer.Argument(help="Simulation traces: CSV files or logs.")],
    track: Annotated[str, typer.Option(help="A built-in track, or a .npy file of waypoints.")],
    version: Annotated[
        str, typer.Option(help="Of the run's model_metadata.json: which physics drove.")
    ] = "5",
    as_json: AsJson = False,
) -> None:
    """
    Compare real traces with this simulator.

    Reward parameters are recomputed from the logged poses; the logged actions are driven open-loop
    from every logged state, and the car compared with the log after 5, 15 and 30 steps.
    """
    from services.simulator.track_choice import choose_track

    if version not in VERSIONS:
        raise WrongUsage(f"--version {version!r}; accepted are {', '.join(VERSIONS)}")
    episodes, driven = read_traces(traces), choose_track(track)
    logged_m = episodes[0][0].track_length_m
    if abs(logged_m - driven.length_m) > SAME_LENGTH_M:
        notes.print(
            f"{traces[0]} was driven on a track of {logged_m:.3f} m; {track} has "
            f"{driven.length_m:.3f} m",
            markup=False,
            soft_wrap=True,
        )
    found = compare(episodes, driven, version)
    if as_json:
        show_document(found)
    else:
        show_tables(found)


def read_traces(paths: list[Path]) -> Episodes:
    """
    The episodes of all files.

    Raises:
        InvalidInput: files that are none, or that hold no trace; all are named.
    """
    from libs.common.deepracer.trace_reader import read_simtrace, split_episodes

    episodes, problems = [], []
    for path in paths:
        try:
            text = path.read_bytes().decode("utf-8", errors="replace")
            episodes += split_episodes(read_simtrace(str(path), text))
        except OSError as error:
            problems.append(f"{path}: {error.strerror}; a trace is a CSV file or a log")
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return episodes


def compare(episodes: Episodes, track: "Track", version: str) -> dict[str, Any]:
    """Shares of rows with equal parameters, and errors of the replay by its steps."""
    import numpy as np

    from services.simulator.agreement import compare_params
    from services.simulator.replay import motion_of, replay, split_at_gaps, tracking_for
    from services.simulator.vehicle import dynamics_for

    rows, *equal = compare_params(episodes, track)
    stretches = [part for episode in episodes for part in split_at_gaps(motion_of(episode))]
    drift = replay(stretches, dynamics_for(version), tracking_for(version))
    return {
        "rows": rows,
        **{name: count / rows for name, count in zip(PARAMS, equal, strict=True)},
        "position_error_m": _spread(drift.position_m),
        "heading_error_deg": _spread(np.degrees(np.abs(drift.turned_rad))),
    }


def _spread(errors: "FloatArray") -> dict[str, dict[str, float | None]]:
    """Median and 90th percentile after each number of steps; None where no trace is so long."""
    import numpy as np

    from services.simulator.replay import HORIZONS

    spread = {}
    for steps, column in zip(HORIZONS, errors.T, strict=True):
        known = column[~np.isnan(column)]
        quantiles = np.quantile(known, (0.5, 0.9)).tolist() if len(known) else (None, None)
        spread[str(steps)] = dict(zip(("median", "p90"), quantiles, strict=True))
    return spread


def show_tables(found: dict[str, Any]) -> None:
    """The same for people."""
    show_table(
        ("parameter", "rows equal"),
        [(name, f"{100 * found[name]:.2f} %") for name in PARAMS],
        title=f"{found['rows']} rows, parameters recomputed from logged poses",
    )
    rows = []
    for steps, position in found["position_error_m"].items():
        heading = found["heading_error_deg"][steps]
        cells = [_shown(position, "m", 3), _shown(heading, "°", 1)]
        rows.append((steps, *cells[0], *cells[1]))
    show_table(
        ("steps", "position median", "p90", "heading median", "p90"),
        rows,
        title="Open-loop replay of logged actions from logged states",
    )


def _shown(spread: dict[str, float | None], unit: str, digits: int) -> list[str]:
    return ["–" if value is None else f"{value:.{digits}f} {unit}" for value in spread.values()]
