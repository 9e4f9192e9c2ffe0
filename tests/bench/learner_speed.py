"""
How fast the learner learns: frames a second of SHALLOW's update against a twin in PyTorch.

    python -m tests.bench.learner_speed [--rounds 5] [--seconds 2] [--minibatch 64]

One update is all of it: values of the rollout, advantages, two epochs of minibatches through value
network and policy, the gradient's norm, Adam. Both begin with the same weights and learn from the
same rollout in the same order, and their losses are compared before anything is measured. They take
turns, with two threads each. Rates are by the clock, and by processor time, which tells more on a
machine that has other work. Without PyTorch (`make install-peers`) this learner is alone.
"""

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer

from libs.cli.output import console, show_table
from tests.bench.peers import learning
from tests.bench.peers.turns import LeftOut, Simulator

OURS, THEIRS = "slipstream_learner", "torch_learner"
PRECISIONS = ("fp32", "bfloat16")
SIZES = {64: (16, 8), 512: (16, 32)}
"""Rows and cars of the rollout by the size of a minibatch."""
AGREEMENT = {"fp32": 2e-3, "bfloat16": 5e-2}
"""How far losses may be apart, as a share of theirs or of 1."""
WANTED = 1.3
HEADINGS = ("learner", "precision", "frames/s", "a core", "ratio", "a core", "wanted")


class Entry(NamedTuple):
    """One process."""

    module: str
    precision: str


class Turn(NamedTuple):
    """Frames per second of wall-clock, and per second of processor time."""

    wall: float
    core: float


def main(rounds: int = 5, seconds: float = 2.0, minibatch: list[int] | None = None) -> None:
    """Let all of them learn `rounds` times for `seconds` each and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npz"
        write_weights(weights)
        for batch in minibatch or SIZES:
            rows = list(measure(weights, batch, rounds, seconds))
            show_table(HEADINGS, rows, f"Updates of SHALLOW in minibatches of {batch}, turn about")
    console.print("ratio: ours / theirs; of our bfloat16, to our fp32")


def write_weights(file: Path) -> None:
    """Draw weights, as a new run has them."""
    # TensorFlow takes seconds to import and nothing else here needs it.
    from services.trainer.network import ActorCritic
    from tests.bench.peers.slipstream_learner import BLUEPRINT

    variables = ActorCritic(BLUEPRINT, seed=0).variables
    np.savez(file, allow_pickle=False, **{name: each.numpy() for name, each in variables.items()})


def measure(weights: Path, batch: int, rounds: int, seconds: float) -> Iterator[tuple[str, ...]]:
    """The rows of one size of minibatch."""
    rows, cars = SIZES[batch]
    with ExitStack() as stack:
        learning_now: dict[Entry, Simulator] = {}
        for entry in (Entry(who, how) for who in (OURS, THEIRS) for how in PRECISIONS):
            arguments = (str(weights), str(batch), str(rows), str(cars), entry.precision)
            # PyTorch's threads otherwise wait by spinning: on a machine with other work that took
            # three times the processor time.
            process = Simulator(entry.module, *arguments, environment=["OMP_WAIT_POLICY=passive"])
            try:
                learning_now[entry] = stack.enter_context(process)
            except LeftOut as reason:
                console.print(f"left out: {entry.module}, {entry.precision}: {reason}")
        check_agreement(learning_now)
        turns: dict[Entry, list[Turn]] = {entry: [] for entry in learning_now}
        for _ in range(rounds):
            for entry, process in learning_now.items():
                turns[entry].append(Turn(*process.drive(seconds)))
        yield from shown(learning_now, turns)


def check_agreement(learning_now: Mapping[Entry, Simulator]) -> None:
    """
    See that all compute the same update.

    Raises:
        SystemExit: losses of the first epoch differ.
    """
    reference = learning.losses_of(learning_now[Entry(OURS, "fp32")].about)
    for entry, process in learning_now.items():
        losses = learning.losses_of(process.about)
        if not np.allclose(
            losses, reference, rtol=AGREEMENT[entry.precision], atol=AGREEMENT[entry.precision]
        ):
            raise SystemExit(f"{process.about}: losses are not {reference}, this is no twin")


def shown(
    learning_now: Mapping[Entry, Simulator], turns: Mapping[Entry, list[Turn]]
) -> Iterator[tuple[str, ...]]:
    """Medians over the rounds; ratios to our float32 are taken within a round."""
    for entry, mine in turns.items():
        ours = turns[Entry(OURS, entry.precision if entry.module == THEIRS else "fp32")]
        rounds = list(zip(ours, mine, strict=True))
        if entry.module == OURS:  # bfloat16 to float32
            rounds = [(turn, our) for our, turn in rounds]
        yield (
            learning_now[entry].about.partition(";")[0],
            entry.precision,
            f"{statistics.median(turn.wall for turn in mine):,.0f}",
            f"{statistics.median(turn.core for turn in mine):,.0f}",
            f"{statistics.median(our.wall / their.wall for our, their in rounds):.2f}x",
            f"{statistics.median(our.core / their.core for our, their in rounds):.2f}x",
            f"{WANTED}x" if entry == Entry(THEIRS, "fp32") else "",
        )


if __name__ == "__main__":
    typer.run(main)
