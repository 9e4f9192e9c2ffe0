"""
What viewers cost a run: its speed with and without pages that are open, in one stack.

    python -m tests.bench.viewers_cost [--viewers 50] [--iterations 12]

Trains the starter's network `ROUNDS` times alone and as often while so many viewers take the run's
live stream, in turns, each with a seed of its own, and compares the median steps per second of the
whole runs. Of the viewers one reads nothing: it must delay nobody.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from statistics import median

import httpx
import stamina.instrumentation
from rich.console import Console
from rich.table import Table

from libs.common.tasks import end
from tests.e2e.conftest import starter_with
from tests.e2e.embedded import EmbeddedStack

ROUNDS = 3


async def watch(base_url: str, run_id: str, *, reads: bool, seen: list[int], number: int) -> None:
    """Take the stream of a run until cancelled."""
    async with (
        httpx.AsyncClient(base_url=base_url, timeout=None, trust_env=False) as http,
        http.stream("GET", f"/v1/live/{run_id}") as answer,
    ):
        answer.raise_for_status()
        if not reads:
            await asyncio.Event().wait()
        async for piece in answer.aiter_bytes():
            seen[number] += len(piece)


async def run_watched(
    stack: EmbeddedStack, folder: Path, name: str, turn: int, viewers: int
) -> float:
    """Steps per second of one run with so many viewers."""
    port = stack.processes()["streamer"]["port"]
    options = "--name", name, "--seed", f"{turn}"
    run_id = await asyncio.to_thread(stack.start, folder, *options)
    seen = [0] * viewers
    await asyncio.to_thread(stack.wait_for_steps, run_id, 1)
    pages = [
        asyncio.create_task(
            watch(f"http://127.0.0.1:{port}", run_id, reads=number > 0, seen=seen, number=number)
        )
        for number in range(viewers)
    ]
    run = await asyncio.to_thread(stack.wait_for_end, run_id)
    await end(*pages)
    if viewers:
        assert min(seen[1:]) > 0, "a viewer saw nothing"
    progress = run["progress"]
    return float(progress["env_steps"] / progress["elapsed_s"])


async def measure(viewers: int, iterations: int) -> Table:
    """All rounds, in turns."""
    table = Table("viewers", "steps/s (median)", "of none")
    with tempfile.TemporaryDirectory(prefix="slipstream-") as name:
        stack = EmbeddedStack(Path(name) / "stack")
        stack.up()
        speeds: dict[int, list[float]] = {0: [], viewers: []}
        try:
            for turn in range(ROUNDS):
                for count in speeds:
                    folder = starter_with(
                        Path(name) / f"{turn}-{count}", {"max_iterations": iterations}
                    )
                    speeds[count].append(
                        await run_watched(stack, folder, f"v{count}-{turn}", turn, count)
                    )
        finally:
            stack.down()
    for count, found in speeds.items():
        table.add_row(
            f"{count}", f"{median(found):.0f}", f"{median(found) / median(speeds[0]):.2f}"
        )
    return table


def main() -> None:
    """Measure and print."""
    stamina.instrumentation.set_on_retry_hooks([])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--iterations", type=int, default=12)
    arguments = parser.parse_args()
    Console().print(asyncio.run(measure(arguments.viewers, arguments.iterations)))


if __name__ == "__main__":
    main()
