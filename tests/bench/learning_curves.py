"""
A picture of how runs learnt, from what `learner_time_to_lap --json` wrote: one panel per file.

    python -m tests.bench.learning_curves "sprint, FAST=fast.jsonl" sac.jsonl --out curves.png

A panel has a line for each seed, the progress of the exploring cars over the camera steps, and a
dot where the greedy policy had completed five of five laps in two evaluations in a row.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours that the colour-blind tell apart (Okabe and Ito, 2008)."""
PANEL_INCHES = (3.4, 2.6)


def draw_panel(axes: Axes, title: str, outcomes: Sequence[dict[str, Any]]) -> None:
    """One line for each outcome, and a dot where it was reliable."""
    for number, outcome in enumerate(outcomes):
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        thousands = [steps / 1000 for _, steps, _ in outcome["curve"]]
        progress_pct = [progress for _, _, progress in outcome["curve"]]
        axes.plot(thousands, progress_pct, color=colour, linewidth=1.2)
        if twice := outcome["milestones"].get("twice"):
            axes.plot(twice["env_steps"] / 1000, progress_pct[-1], "o", color=colour, markersize=5)
    axes.set_title(f"{title}, {len(outcomes)} seeds", fontsize=9)
    axes.set_xlabel("thousand camera steps", fontsize=8)
    axes.set_ylim(0, 104)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def main() -> None:
    """Draw the files that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("panels", nargs="+", metavar="[TITLE=]FILE")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    named = [panel.rpartition("=") for panel in arguments.panels]
    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(named), height), layout="constrained")
    for axes, (title, _, file) in zip(
        figure.subplots(1, len(named), squeeze=False)[0], named, strict=True
    ):
        lines = Path(file).read_text(encoding="utf-8").splitlines()
        draw_panel(axes, title or Path(file).stem, [json.loads(line) for line in lines])
    figure.axes[0].set_ylabel("mean progress, %", fontsize=8)
    figure.savefig(arguments.out, dpi=90)


if __name__ == "__main__":
    main()
