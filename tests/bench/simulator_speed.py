"""
Steps per second of the simulator alone, and where a step's time goes.

    python -m tests.bench.simulator_speed [--track loop] [--seconds 2]
"""

import time
from collections.abc import Callable

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import load_built_in
from services.simulator.race import Race
from services.simulator.world import draw_world

STEERING_RAD = np.radians([-30, -15, 0, 15, 30])
BATCHES = (1, 8, 64, 256)
HEADINGS = (
    "cars",
    "steps/s",
    "with params",
    "ms a step",
    "drive µs",
    "record, render µs",
    "params µs",
)


def main(track: str = "loop", seconds: float = 2.0) -> None:
    """Drive batches of cars with random actions and print a table."""
    table = Table(title=f"Simulator on {track}, 160x120 grey, random actions, processor time")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for cars in BATCHES:
        table.add_row(*measure(track, cars, seconds))
    Console().print(table)


def measure(name: str, cars: int, seconds: float) -> tuple[str, ...]:
    """One row of the table."""
    track = load_built_in(name)
    race = Race(track, RaceSpec(), "5", seeds=range(cars), world=draw_world(track))
    random = np.random.default_rng(0)
    rewards, speed_mps = [1.0] * cars, np.full(cars, 1.5)
    actions = random.integers(0, len(STEERING_RAD), cars)
    stages: tuple[Callable[[], object], ...] = (
        lambda: race.step(STEERING_RAD[actions], speed_mps, actions),
        lambda: race.finish_step(rewards),
        race.measured_params,
    )
    for stage in stages:
        stage()
    spent_s, steps = np.zeros(len(stages)), 0
    while spent_s.sum() < seconds:
        actions = random.integers(0, len(STEERING_RAD), cars)
        for index, stage in enumerate(stages):
            began_s = time.thread_time()
            stage()
            spent_s[index] += time.thread_time() - began_s
        steps += 1
    step_s = spent_s / steps
    rates = (f"{cars / seconds:,.0f}" for seconds in (step_s[:2].sum(), step_s.sum()))
    parts = (f"{part * 1e6:.0f}" for part in step_s)
    return str(cars), *rates, f"{step_s[:2].sum() * 1e3:.3f}", *parts


if __name__ == "__main__":
    typer.run(main)
