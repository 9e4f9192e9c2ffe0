"""
Steps per second of the simulator alone, and where a step's time goes.

    python -m tests.bench.simulator_speed [--track loop] [--seconds 2]
"""

from collections.abc import Iterator
from pathlib import Path

import typer

from libs.cli.output import console, show_table
from libs.common.tracks import built_in_names, load_built_in
from services.simulator.speed import HEADINGS, LEGEND, Speed, measure_speed
from services.simulator.track_choice import choose_track

BATCHES = (1, 8, 64, 256)
STARTER_REWARD = Path(__file__).parents[2] / "models" / "starter" / "reward_function.py"
WANTED_STEPS_PER_CORE_S, WANTED_WITH_REWARD, WANTED_MB = 60_000, 8_000, 300


def main(track: str = "loop", seconds: float = 2.0) -> None:
    """Drive batches of cars with random actions and print a table."""
    rows = [speed.as_row() for speed in measure_all(track, seconds)]
    show_table(HEADINGS, rows, title="The simulator alone")
    console.print(f"{LEGEND}.")
    console.print(
        f"wanted at 256 cars on an idle core: {WANTED_STEPS_PER_CORE_S:,} per core, "
        f"{WANTED_WITH_REWARD:,} with the reward function in its sandbox, below {WANTED_MB} MB"
    )


def measure_all(track: str, seconds: float) -> Iterator[Speed]:
    """Larger and larger batches, two threads, the longest track, a Python reward function."""
    road, most = choose_track(track), BATCHES[-1]
    longest = max(map(load_built_in, built_in_names()), key=lambda track: track.length_m)
    for cars in BATCHES:
        yield measure_speed(road, cars, 1, seconds)
    yield measure_speed(road, most, 2, seconds)
    yield measure_speed(longest, most, 1, seconds)
    yield measure_speed(road, most, 1, seconds, STARTER_REWARD.read_text("utf-8"))


if __name__ == "__main__":
    typer.run(main)
