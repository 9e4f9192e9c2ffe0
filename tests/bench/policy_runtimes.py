"""
Which runtime drives an exported policy: inferences of SHALLOW a second, for 1, 8 and 64 pictures.

    python -m tests.bench.policy_runtimes [--rounds 5] [--seconds 0.5]

Each runtime is a process of its own with two threads, float32, and reads the export that a user
gets: TensorFlow and OpenVINO `model_0.pb`, onnxruntime `model_0.onnx`. Before anything is measured
all of them have to tell the same probabilities. They take turns; rates are by the clock and by
processor time. What is not installed (`make install-peers`) is named as left out.
"""

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer

from libs.cli.output import console, show_table
from tests.bench.peers.turns import LeftOut, Simulator

RUNTIMES = ("openvino", "onnxruntime", "tensorflow")
"""The first is the one that was chosen (docs/decisions/0003)."""
BATCHES = (1, 8, 64)
TOLERANCE = 1e-5
HEADINGS = ("runtime", "pictures", "pictures/s", "a core", "ratio", "a core")


class Entry(NamedTuple):
    """One process."""

    runtime: str
    batch: int


class Turn(NamedTuple):
    """Pictures per second of wall-clock, and per second of processor time."""

    wall: float
    core: float


def main(rounds: int = 5, seconds: float = 0.5) -> None:
    """Let all of them infer `rounds` times for `seconds` each and print a table."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        write_exports(Path(folder))
        running: dict[Entry, Simulator] = {}
        for entry in (Entry(runtime, batch) for batch in BATCHES for runtime in RUNTIMES):
            process = Simulator("policy_runtime", entry.runtime, folder, str(entry.batch))
            try:
                running[entry] = stack.enter_context(process)
            except LeftOut as reason:
                console.print(f"left out: {entry.runtime}: {reason}", markup=False)
        check_agreement(running)
        turns: dict[Entry, list[Turn]] = {entry: [] for entry in running}
        for _ in range(rounds):
            for entry, process in running.items():
                turns[entry].append(Turn(*process.drive(seconds)))
        show_table(HEADINGS, rows(running, turns), "Exported SHALLOW, turn about; first / this")


def write_exports(folder: Path) -> None:
    """A new run's policy, as `slipstream model export` writes it."""
    # TensorFlow takes seconds to import and nothing else here needs it.
    from services.trainer.exports import export_policy
    from services.trainer.network import ActorCritic
    from tests.bench.peers.slipstream_learner import BLUEPRINT

    weights = ActorCritic(BLUEPRINT, seed=0).export_weights()
    head = f"{BLUEPRINT.policy_head}/kernel"
    weights[head] *= 100  # a new policy gives all actions nearly the same chance
    export_policy(weights, BLUEPRINT, "0_Step-0.ckpt", folder, ["pb", "onnx"])


def check_agreement(running: Mapping[Entry, Simulator]) -> None:
    """
    See that all tell the same.

    Raises:
        SystemExit: probabilities differ.
    """
    told = {entry: probabilities(process) for entry, process in running.items()}
    reference = next(iter(told.values()))
    for entry, mine in told.items():
        if not np.allclose(mine, reference, rtol=0, atol=TOLERANCE):
            raise SystemExit(f"{entry} tells {mine}, not {reference}")


def probabilities(process: Simulator) -> list[float]:
    """Those of the first picture, which a process tells with its name."""
    return [float(word) for word in process.about.rpartition(";")[2].split()]


def rows(
    running: Mapping[Entry, Simulator], turns: Mapping[Entry, Sequence[Turn]]
) -> Iterator[tuple[str, ...]]:
    """Medians over the rounds; ratios are taken within a round, to the first runtime."""
    for entry, mine in turns.items():
        chosen = turns.get(Entry(RUNTIMES[0], entry.batch), mine)
        rounds = list(zip(chosen, mine, strict=True))
        yield (
            running[entry].about.partition(";")[0],
            str(entry.batch),
            f"{statistics.median(turn.wall for turn in mine):,.0f}",
            f"{statistics.median(turn.core for turn in mine):,.0f}",
            f"{statistics.median(first.wall / this.wall for first, this in rounds):.2f}x",
            f"{statistics.median(first.core / this.core for first, this in rounds):.2f}x",
        )


if __name__ == "__main__":
    typer.run(main)
