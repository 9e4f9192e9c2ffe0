"""What a calibration found, as tables."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.simulator.calibration.fit import Fitted, fit
from services.simulator.calibration.noise import floor, surprises
from services.simulator.calibration.runs import Run
from services.simulator.replay import Drift, FloatArray, replay, tracking_for
from services.simulator.vehicle import DYNAMICS, dynamics_for

FIXED = {
    # Rows are 1/15 s apart there, whatever their time stamps say.
    "4": ("stamp", "earlier_stamp", "wall"),
    # Left and right are alike, and headings are logged without noise of their own.
    "5": ("steering_bias_rad", "heading"),
}
"""What is not fitted, by version."""


class Score(NamedTuple):
    """How far replays of some logs go astray."""

    logs: str
    drift: Drift


class Generation(NamedTuple):
    """One generation's fit and how it does."""

    name: str
    shipped: Fitted
    half_data: Fitted  # of every other iteration of the first run
    all_data: Fitted
    scores: list[Score]
    unseen: Drift  # by the fit of half the data
    floor: Drift  # of the same logs
    surprise_m: float
    surprise_rad: float


def study(name: str, version: str, runs: Sequence[Run]) -> Generation:
    """Fit the first run's even iterations, then everything; try both and what is shipped."""
    shipped = Fitted(dynamics_for(version), tracking_for(version))
    seen, unseen = runs[0].every_other(0), runs[0].every_other(1)
    everything = [stretch for run in runs for stretch in run.stretches]
    half = fit(seen, shipped, FIXED[version])
    held_out = {
        f"{runs[0].name}, iterations not fitted": unseen,
        **{f"{run.name}, not fitted": run.stretches for run in runs[1:]},
    }
    logs = {f"{runs[0].name}, fitted iterations": seen, **held_out}
    scores = list(_scores(logs, "fit of half a run", half))
    floors = [Score(f"{name} (the floor)", floor(logs, half)) for name, logs in held_out.items()]
    scores += floors
    scores += _scores({run.name: run.stretches for run in runs}, "as shipped", shipped)
    kicks = surprises(unseen, half).std(axis=0)
    return Generation(
        name,
        shipped,
        half,
        fit(everything, half, FIXED[version]),
        scores,
        replay(unseen, *half),
        floors[0].drift,
        *kicks.tolist(),
    )


def _scores(logs: dict[str, list[FloatArray]], whose: str, fitted: Fitted) -> Iterable[Score]:
    for name, stretches in logs.items():
        yield Score(f"{name} ({whose})", replay(stretches, *fitted))


def write_report(generations: Sequence[Generation], file: Path) -> None:
    """Tables in Markdown."""
    file.write_text("\n".join(line for one in generations for line in _section(one)) + "\n")


def _section(one: Generation) -> list[str]:
    return [
        f"## {one.name}",
        "",
        "Open-loop replay of logged actions from logged states, medians:",
        "",
        "| logs | starts | 5 steps, m | 15 steps, m | 30 steps, m | heading after 15, ° |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_row(score.logs, score.drift) for score in one.scores),
        "",
        f"One step's surprise: {one.surprise_m:.4f} m and {np.degrees(one.surprise_rad):.2f}° "
        "(standard deviation), without memory.",
        "",
        "| parameter | shipped | half a run | all runs |",
        "| --- | ---: | ---: | ---: |",
        *_parameters(one.shipped, one.half_data, one.all_data),
        "",
    ]


def _row(name: str, drift: Drift) -> str:
    medians = _medians(drift.position_m)
    position = " | ".join("–" if np.isnan(value) else f"{value:.3f}" for value in medians)
    turned = np.degrees(_medians(np.abs(drift.turned_rad)))[1]
    return f"| {name} | {len(drift.ahead_m)} | {position} | {turned:.1f} |"


def _medians(errors: FloatArray) -> list[float]:
    """By column, NaN where no log is so long."""
    known = [column[~np.isnan(column)] for column in errors.T]
    return [float(np.median(column)) if len(column) else np.nan for column in known]


def _parameters(*fits: Fitted) -> Iterable[str]:
    for name in DYNAMICS.names or ():
        yield _line(name, [float(one.dynamics[name]) for one in fits])
    for name in fits[0].tracking._fields:
        yield _line(f"tracking: {name}", [getattr(one.tracking, name) for one in fits])


def _line(name: str, values: Iterable[float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.4g}" for value in values) + " |"
