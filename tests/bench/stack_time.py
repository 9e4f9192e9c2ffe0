"""
Where the time goes from `slipstream train` to a model that is evaluated, through the whole stack.

    python -m tests.bench.stack_time --network FAST --runs 3
    python -m tests.bench.stack_time --runs 3 --iterations 1 --no-spare

Starts a stack of its own, trains the starter with each seed and prints when each milestone of the
run was reached, in seconds since the command was given, as the events of its journal tell.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import stamina.instrumentation
from rich.console import Console
from rich.table import Table

from libs.common.events import (
    CheckpointSaved,
    EvaluationEnded,
    IterationEnded,
    LogWritten,
    Message,
    ModelPackaged,
    RunEnded,
    RunQueued,
    RunStarted,
)
from tests.e2e.conftest import starter_with
from tests.e2e.embedded import EmbeddedStack

NETWORK = "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"
LIMITS = {"target_evaluations": 2, "max_seconds": 600}
READY = "learner is ready"
MILESTONES: tuple[tuple[str, type[Message]], ...] = (
    ("queued", RunQueued),
    ("claimed", RunStarted),
    ("first iteration", IterationEnded),
    ("first checkpoint stored", CheckpointSaved),
    ("first evaluation", EvaluationEnded),
    ("run ended", RunEnded),
    ("packed for the car", ModelPackaged),
)
EVALUATED = "evaluated once more"
PROCESSORS = "(seconds of processors until its end)"


def drive(stack: EmbeddedStack, folder: Path, seed: int) -> dict[str, float]:
    """One run; seconds from the command to each milestone, and those of processors by its end."""
    began_s, used_s = time.time(), processor_s(stack)
    run_id = stack.start(folder, "--seed", str(seed))
    port = stack.processes()["trainer"]["port"]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=60) as api:
        while api.get(f"/runs/{run_id}").json()["ended_at"] is None:
            time.sleep(0.2)
        used_s = processor_s(stack) - used_s
        asked_s = time.time()
        request = api.post(f"/runs/{run_id}/evaluations", json={"trials": 5}).json()
        while (told := api.get(f"/runs/{run_id}/evaluations/{request['id']}").json())[
            "status"
        ] == "pending":
            time.sleep(0.1)
        evaluated_s = time.time() - asked_s
    assert told["status"] == "ended", told
    reached = {PROCESSORS: used_s}
    for event in stack.wait_for_journal(run_id, RunEnded, ModelPackaged):
        at_s = event.at.timestamp() - began_s
        for name, kind in MILESTONES:
            if isinstance(event, kind):
                reached.setdefault(name, at_s)
        if isinstance(event, LogWritten) and event.message == "ready to learn":
            reached.setdefault(READY, at_s)
    return reached | {EVALUATED: reached["run ended"] + evaluated_s}


def processor_s(stack: EmbeddedStack) -> float:
    """What all processes of the stack have used of processors since they began."""
    used_s = 0.0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(stack.state) in process.environ().get("DR_STATE_DIR", ""):
                used_s += sum(process.cpu_times())  # those of children that are over included
    return used_s


def wait_for_spare(stack: EmbeddedStack) -> None:
    """Return when the trainer's spare learner waits for its order: it no longer works."""
    trainer = psutil.Process(int(stack.processes()["trainer"]["pid"]))
    while True:
        spares = trainer.children()
        before = [sum(spare.cpu_times()[:2]) for spare in spares]
        time.sleep(1)
        if spares and before == [sum(spare.cpu_times()[:2]) for spare in spares]:
            return


def report(runs: Sequence[dict[str, float]], console: Console) -> None:
    """A row for each milestone, a column for each run."""
    table = Table("seconds since the command", *map(str, range(len(runs))), "median")
    names = sorted({name for run in runs for name in run}, key=lambda name: _median(runs, name))
    for name in names:
        cells = [f"{run[name]:.1f}" if name in run else "-" for run in runs]
        table.add_row(name, *cells, f"{_median(runs, name):.1f}")
    console.print(table)


def _median(runs: Sequence[dict[str, float]], name: str) -> float:
    return statistics.median(run[name] for run in runs if name in run)


def main() -> None:
    """Parse the arguments, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default=NETWORK)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--iterations", type=int, help="end each run after so many")
    parser.add_argument("--no-spare", action="store_true", help="each learner starts cold")
    arguments = parser.parse_args()
    stamina.instrumentation.set_on_retry_hooks([])
    with tempfile.TemporaryDirectory() as scratch:
        limits = {"max_iterations": arguments.iterations} if arguments.iterations else LIMITS
        folder = starter_with(Path(scratch) / "starter", limits)
        file = folder / "model_metadata.json"
        metadata = json.loads(file.read_text()) | {"neural_network": arguments.network}
        file.write_text(json.dumps(metadata))
        spares = "0" if arguments.no_spare else "1"
        stack = EmbeddedStack(Path(scratch), DR_TRAINER_WARM_LEARNERS=spares)
        stack.up()
        try:
            runs = []
            for seed in range(arguments.runs):
                if not arguments.no_spare:
                    wait_for_spare(stack)
                runs.append(drive(stack, folder, seed))
                report(runs[-1:], Console(width=100))
        finally:
            stack.down()
    report(runs, Console(width=100))


if __name__ == "__main__":
    main()
