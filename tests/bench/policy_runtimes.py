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
HEADINGS = ("runtime", "pictures/s", "a core", "ratio", "a core")


class Turn(NamedTuple):
    """Pictures per second of wall-clock, and per second of processor time."""

    wall: float
    core: float


def main(rounds: int = 5, seconds: float = 0.5) -> None:
    """Let all of them infer `rounds` times for `seconds` each and print tables."""
    with tempfile.TemporaryDirectory() as folder:
        write_exports(Path(folder))
        for batch in BATCHES:
            table = list(measure(Path(folder), batch, rounds, seconds))
            show_table(HEADINGS, table, f"Exported SHALLOW, {batch} at once, turn about")
    console.print("ratio: the first / this one")


def measure(folder: Path, batch: int, rounds: int, seconds: float) -> Iterator[tuple[str, ...]]:
    """The rows of one number of pictures."""
    with ExitStack() as stack:
        running: dict[str, Simulator] = {}
        for runtime in RUNTIMES:
            process = Simulator("policy_runtime", runtime, str(folder), str(batch))
            try:
                running[runtime] = stack.enter_context(process)
            except LeftOut as reason:
                console.print(f"left out: {runtime}: {reason}", markup=False)
        check_agreement(running)
        turns: dict[str, list[Turn]] = {runtime: [] for runtime in running}
        for _ in range(rounds):
            for runtime, process in running.items():
                turns[runtime].append(Turn(*process.drive(seconds)))
        yield from rows(running, turns)


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


def check_agreement(running: Mapping[str, Simulator]) -> None:
    """
    See that all tell the same.

    Raises:
        SystemExit: probabilities differ.
    """
    told = {runtime: probabilities(process) for runtime, process in running.items()}
    reference = next(iter(told.values()))
    for runtime, mine in told.items():
        if not np.allclose(mine, reference, rtol=0, atol=TOLERANCE):
            raise SystemExit(f"{runtime} tells {mine}, not {reference}")


def probabilities(process: Simulator) -> list[float]:
    """Those of the first picture, which a process tells with its name."""
    return [float(word) for word in process.about.rpartition(";")[2].split()]


def rows(
    running: Mapping[str, Simulator], turns: Mapping[str, Sequence[Turn]]
) -> Iterator[tuple[str, ...]]:
    """Medians over the rounds; ratios are taken within a round, to the first runtime."""
    first = next(iter(turns.values()))
    for runtime, mine in turns.items():
        rounds = list(zip(first, mine, strict=True))
        yield (
            running[runtime].about.partition(";")[0],
            f"{statistics.median(turn.wall for turn in mine):,.0f}",
            f"{statistics.median(turn.core for turn in mine):,.0f}",
            f"{statistics.median(one.wall / this.wall for one, this in rounds):.2f}x",
            f"{statistics.median(one.core / this.core for one, this in rounds):.2f}x",
        )


if __name__ == "__main__":
    typer.run(main)
