"""
The simulator against others with a camera: steps per second in one run, turn about.

    python -m tests.bench.simulator_peers [--track loop] [--seconds 2] [--rounds 5]

All have the machine's two cores: MuJoCo as two processes, EnvPool and this simulator with two
threads each. Pictures are 160x120 where the track is DeepRacer's, 96x96 in CarRacing. Rates are by
the clock, and by processor time, which tells more on a machine that has other work. What is not
installed (`make install-peers`) is named as left out.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import typer

from libs.cli.output import console, show_table
from tests.bench.peers.turns import LeftOut, Simulator

THREADS = 2
OURS = "slipstream_cars"
HEADINGS = ("simulator", "setting", "steps/s", "a core", "ratio", "a core", "wanted")


class Entry(NamedTuple):
    """A simulator in its best setting, and by how much it has to be outdone."""

    module: str
    arguments: tuple[str, ...]
    processes: int
    setting: str
    wanted_ratio: float | None = None
    environment: tuple[str, ...] = ()  # NAME=value


class Turn(NamedTuple):
    """Camera steps per second of wall-clock, and per second of processor time."""

    wall: float
    core: float


def entries(track: str) -> tuple[Entry, ...]:
    """This simulator and its peers."""
    return (
        Entry(OURS, (track, "256", str(THREADS)), 1, f"256 cars, {THREADS} threads"),
        Entry("mujoco_car", (track,), THREADS, f"{THREADS} processes", 25.0, ("MUJOCO_GL=egl",)),
        Entry("envpool_cars", ("64", str(THREADS)), 1, f"64 cars, {THREADS} threads", 20.0),
        Entry("gymnasium_car", (), THREADS, f"{THREADS} processes"),
    )


def main(track: str = "loop", seconds: float = 2.0, rounds: int = 5) -> None:
    """Let all of them drive `rounds` times for `seconds` each and print a table."""
    with ExitStack() as stack:
        driving: dict[Entry, Simulator] = {}
        for entry in entries(track):
            try:
                driving[entry] = stack.enter_context(start(entry))
            except LeftOut as reason:
                left_out = f"left out: {entry.module} (docs/gymnasium.md): {reason}"
                console.print(left_out, markup=False, soft_wrap=True)
        turns = take_turns(driving, seconds, rounds)
        title = f"Full steps with a camera on {Path(track).stem}, turn about; ours / theirs"
        show_table(HEADINGS, rows(driving, turns), title)


def start(entry: Entry) -> Simulator:
    """The entry's processes, not started yet."""
    return Simulator(
        entry.module,
        *entry.arguments,
        processes=entry.processes,
        environment=entry.environment,
    )


def take_turns(
    driving: Mapping[Entry, Simulator], seconds: float, rounds: int
) -> dict[Entry, list[Turn]]:
    """Every simulator's turns, one in each round."""
    turns: dict[Entry, list[Turn]] = {entry: [] for entry in driving}
    for _ in range(rounds):
        for entry, simulator in driving.items():
            turns[entry].append(Turn(*simulator.drive(seconds)))
    return turns


def rows(
    driving: Mapping[Entry, Simulator], turns: Mapping[Entry, Sequence[Turn]]
) -> Iterator[tuple[str, ...]]:
    """Medians over the rounds; ratios are taken within a round."""
    ours = next(iter(turns.values()))
    for entry, mine in turns.items():
        rounds = list(zip(ours, mine, strict=True))
        yield (
            driving[entry].about,
            entry.setting,
            f"{statistics.median(turn.wall for turn in mine):,.0f}",
            f"{statistics.median(turn.core for turn in mine):,.0f}",
            f"{statistics.median(our.wall / turn.wall for our, turn in rounds):.1f}x",
            f"{statistics.median(our.core / turn.core for our, turn in rounds):.1f}x",
            f"{entry.wanted_ratio:g}x" if entry.wanted_ratio else "",
        )


if __name__ == "__main__":
    typer.run(main)
