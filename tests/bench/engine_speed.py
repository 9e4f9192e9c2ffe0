"""
Our learner against stock rl-coach 1.0.1 (engine coach) in the same run, turn about.

    python -m tests.bench.engine_speed [--rounds 3]

DeepRacer's SHALLOW network, eight cars, 256 steps an iteration, three epochs of minibatches of 64;
no simulator. rl-coach takes one car at a time and, as it comes, one thread; ours two. Without its
environment (`make install-coach`) the row says so.
"""

import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import typer

from libs.cli.output import console, show_table
from libs.common.errors import InvalidInput
from services.trainer.coach.environment import CoachEnvironment
from services.trainer.config import COACH
from tests.bench.engine_turn import EPOCHS, STEPS
from tests.bench.peers.turns import hear

WANTED_RATIO = 4.0
HEADINGS = ("engine", "training frames/s", "playing steps/s", "env steps/s", "a core")
Turn = dict[str, float]


def main(rounds: int = 3) -> None:
    """Let both learn `rounds` times and print a table."""
    try:
        CoachEnvironment(COACH).check()
    except InvalidInput as reason:
        console.print(f"left out: engine_speed: {reason}", markup=False, soft_wrap=True)
        return
    pythons = {"native": sys.executable, "coach": str(COACH)}
    with ExitStack() as stack:
        working = {name: stack.enter_context(start(pythons[name], name)) for name in pythons}
        for process in working.values():
            stack.callback(process.kill)
            hear(process)
        turns: dict[str, list[Turn]] = {name: [] for name in working}
        for _ in range(rounds):
            for name, process in working.items():
                turns[name].append(turn_of(process))
    title = f"SHALLOW, {STEPS} steps an iteration; wanted: ours at least {WANTED_RATIO:g}x"
    show_table(HEADINGS, [*rates_of(turns), ratios_of(turns)], title)


def start(python: str, engine: str) -> subprocess.Popen[str]:
    """A process with this engine's learner."""
    command = [python, "-m", "tests.bench.engine_turn", engine]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def turn_of(process: subprocess.Popen[str]) -> Turn:
    """One iteration's rates per second: by the clock, and of all by processor time."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    took = hear(process)
    return {
        "frames": EPOCHS * STEPS / took["learn_s"],
        "played": STEPS / took["play_s"],
        "steps": STEPS / (took["play_s"] + took["learn_s"]),
        "a core": STEPS / took["processor_s"],
    }


def rates_of(turns: Mapping[str, Sequence[Turn]]) -> list[tuple[str, ...]]:
    """Medians over the rounds."""
    return [
        (name, *(f"{statistics.median(turn[rate] for turn in mine):,.0f}" for rate in mine[0]))
        for name, mine in turns.items()
    ]


def ratios_of(turns: Mapping[str, Sequence[Turn]]) -> tuple[str, ...]:
    """Medians of the ratios, which are taken within a round."""
    pairs = list(zip(turns["native"], turns["coach"], strict=True))
    ratios = [
        statistics.median(ours[rate] / theirs[rate] for ours, theirs in pairs)
        for rate in pairs[0][0]
    ]
    return ("ours / theirs", *(f"{ratio:.1f}x" for ratio in ratios))


if __name__ == "__main__":
    typer.run(main)
