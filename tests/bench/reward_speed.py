"""
What a step costs with the starter's reward function in its sandbox, and what the sandbox adds.

    python -m tests.bench.reward_speed [--track loop] [--seconds 2]

Processor time of parent and child together. "Plain" is the same function called in this process,
with params that are made of the same arrays and with the same copies.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.reward.process import RewardProcess
from libs.common.reward.rows import constants_of, own_params
from libs.common.tracks import load_built_in
from services.simulator.race import Race
from services.simulator.reward_params import fixed_params

SOURCE = (Path(__file__).parents[2] / "models/starter/reward_function.py").read_text()
STEERING_RAD = np.radians([-30, -15, 0, 15, 30])
BATCHES = (8, 64, 256)


def main(track: str = "loop", seconds: float = 2.0) -> None:
    """Drive batches of cars with random actions and print a table."""
    table = Table(title=f"Starter's reward function on {track}, processor time of both processes")
    for heading in ("cars", "plain µs a car", "sandboxed µs", "ratio", "whole step: steps/s, core"):
        table.add_column(heading, justify="right")
    for cars in BATCHES:
        table.add_row(*measure(track, cars, seconds))
    Console().print(table)


def measure(name: str, cars: int, seconds: float) -> tuple[str, ...]:
    """One row of the table."""
    track = load_built_in(name)
    race = Race(track, RaceSpec(), "5", seeds=range(cars))
    drive = driver(race)
    drive()
    columns = {key: values.copy() for key, values in race.measured_columns().items()}
    constants = fixed_params(track, False)
    with RewardProcess(SOURCE, constants) as process:
        child = psutil.Process(process.pid)
        plain_s = seconds_of(plain_caller(constants, columns), seconds / 2)
        sandboxed_s = seconds_of(lambda: process.rewards(columns), seconds / 2, child)

        def step() -> None:
            drive()
            race.finish_step(process.rewards(race.measured_columns()))

        step_s = seconds_of(step, seconds, child)
    micros = (f"{part / cars * 1e6:.2f}" for part in (plain_s, sandboxed_s))
    return str(cars), *micros, f"{sandboxed_s / plain_s:.2f}", f"{cars / step_s:,.0f}"


def driver(race: Race) -> Callable[[], None]:
    """Drive all cars for one step, with random actions."""
    random, speed_mps = np.random.default_rng(0), np.full(race.cars, 1.5)

    def drive() -> None:
        actions = random.integers(0, len(STEERING_RAD), race.cars)
        race.step(STEERING_RAD[actions], speed_mps, actions)

    return drive


def plain_caller(constants: dict[str, Any], columns: dict[str, Any]) -> Callable[[], None]:
    """Call the function for every car in this process."""
    namespace: dict[str, Any] = {}
    exec(SOURCE, namespace)
    function, shared, keys = namespace["reward_function"], constants_of(constants), tuple(columns)

    def call_all() -> None:
        for values in zip(*(column.tolist() for column in columns.values()), strict=True):
            function(own_params(shared, keys, values))

    return call_all


def seconds_of(action: Callable[[], object], seconds: float, child: Any = None) -> float:
    """Processor seconds of one action, in this process and in a child, a child's being coarse."""
    action()
    count, began_s, child_began_s = 0, time.process_time(), cpu_s(child)
    while (spent_s := time.process_time() - began_s) + cpu_s(child) - child_began_s < seconds:
        for _ in range(10):
            action()
        count += 10
    return (spent_s + cpu_s(child) - child_began_s) / count


def cpu_s(process: psutil.Process | None) -> float:
    """Processor seconds of another process so far."""
    return 0.0 if process is None else sum(process.cpu_times()[:2])


if __name__ == "__main__":
    typer.run(main)
