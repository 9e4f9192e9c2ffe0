"""
    python -m services.simulator.calibration --effort RUN… --kinematic RUN… [--out FOLDER]

A RUN is a folder with a run's `N-iteration.csv`, at any depth, or a trace or log. The first of each
generation is fitted on every other iteration and tried on the rest and on the other runs; then all
is fitted.
"""

from pathlib import Path
from typing import Annotated

import typer

from services.simulator.calibration.figures import draw_grip, draw_replay, draw_wipe_out
from services.simulator.calibration.report import Generation, study, write_report
from services.simulator.calibration.runs import read_run

Runs = Annotated[list[Path], typer.Option(help="One run, a folder or a log; may be given again.")]


def main(effort: Runs, kinematic: Runs, out: Path = Path("build/calibration")) -> None:
    """Fit both generations and write report.md and its pictures."""
    out.mkdir(parents=True, exist_ok=True)
    generations: list[Generation] = [
        study("effort controllers, version 1-4", "4", [read_run(folder) for folder in effort]),
        study(
            "kinematic controllers, version 5-6", "5", [read_run(folder) for folder in kinematic]
        ),
    ]
    write_report(generations, out / "report.md")
    draw_replay({one.name: (one.unseen, one.floor) for one in generations}, out / "replay.png")
    dynamics = {one.name: one.shipped.dynamics for one in generations}
    draw_grip(dynamics, out / "grip.png")
    draw_wipe_out(dynamics, out / "wipe-out.png")
    typer.echo((out / "report.md").read_text())


if __name__ == "__main__":
    typer.run(main)
