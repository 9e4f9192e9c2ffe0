"""
How fast the logger writes: a backlog drained, and what one event waits until it is on the disk.

    python -m tests.bench.journal_speed

The peer in the same run is a plain loop without deduplication, journals of runs or health: it
fetches from JetStream, appends to one file, syncs it and acknowledges. Both drain the same number
of stored log lines; the publisher has ended by then. Then events are published at 1,000 a second,
and each is timed from its `at` until its line is seen in the journal.
"""

import asyncio
import itertools
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig
from rich.console import Console
from rich.table import Table

from libs.common.bus import Bus
from libs.common.events import Event, LogWritten
from libs.common.journal_reading import (
    identify,
    journal_path,
)
from tests.servers import NatsServer, S3Server, ServerSettings
from tests.service_process import ServiceProcess

EVENTS = 60_000
RUNS = 4
RATE, RATE_FOR_S = 1_000, 10
PEER_BATCH = 512
EMBEDDED = ServerSettings(kind="embedded")  # a container would put a proxy into what is measured


def log_line(number: int, run: str) -> LogWritten:
    """A line as services write them."""
    return LogWritten(
        id=f"{run}-{number}",
        run_id=run,
        service="trainer",
        instance="bench-1",
        level="info",
        message="iteration ended",
        fields={"iteration": number, "reward": 12.5, "file": "runs/bench/model/1_Step-1024.ckpt"},
    )


async def fill(client: Client, prefix: str) -> None:
    """Store the backlog: sent without waiting for each, counted by the stream in the end."""
    js = client.jetstream()
    before = (await js.stream_info(Event.stream)).state.messages
    for number in range(EVENTS):
        line = log_line(number, f"{prefix}-{number % RUNS}")
        await client.publish(
            line.subject(line.run_id), line.encode(), headers={"Nats-Msg-Id": line.id}
        )
        if number % 1000 == 0:
            await client.flush()
    await client.flush()
    while (await js.stream_info(Event.stream)).state.messages < before + EVENTS:  # noqa: ASYNC110
        await asyncio.sleep(0.1)  # the server has no event for it


async def drain_plainly(client: Client, folder: Path) -> float:
    """Seconds of the peer."""
    js = client.jetstream()
    config = ConsumerConfig(
        durable_name="plain", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=4 * PEER_BATCH
    )
    await js.add_consumer(Event.stream, config)
    subscription = await js.pull_subscribe_bind(stream=Event.stream, consumer="plain")
    began, count = time.perf_counter(), 0
    with (folder / "plain.jsonl").open("ab", buffering=0) as file:
        while count < EVENTS:
            raws = await subscription.fetch(PEER_BATCH, 2.0)
            file.write(b"".join(raw.data + b"\n" for raw in raws))
            await asyncio.to_thread(os.fsync, file.fileno())
            for raw in raws:
                await raw.ack()
            count += len(raws)
    return time.perf_counter() - began


async def wait_for_lines(folder: Path, prefix: str, wanted: int) -> None:
    """Until the journals of these runs have so many lines."""
    paths = [journal_path(folder, f"{prefix}-{run}") for run in range(RUNS)]
    read = dict.fromkeys(paths, (0, 0))  # bytes, lines
    while sum(lines for _, lines in read.values()) < wanted:
        for path in paths:
            if path.exists():
                with path.open("rb") as file:
                    at, lines = read[path]
                    file.seek(at)
                    data = file.read()
                    read[path] = (at + len(data), lines + data.count(b"\n"))
        await asyncio.sleep(0.02)


async def latencies_s(bus: Bus, folder: Path) -> list[float]:
    """From an event's `at` to its line, for events at a steady rate."""
    path = journal_path(folder, "steady")
    sent: dict[str, float] = {}
    waited: list[float] = []

    async def publish() -> None:
        began = time.perf_counter()
        tasks = set()
        for number in range(RATE * RATE_FOR_S):
            line = log_line(number, "steady")
            sent[line.id] = line.at.timestamp()
            tasks.add(task := asyncio.create_task(bus.publish(line)))
            task.add_done_callback(tasks.discard)
            if (ahead := began + (number + 1) / RATE - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
        await asyncio.gather(*tasks)

    async def look() -> None:
        while not path.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # nor has the disk
        rest = b""
        with path.open("rb") as file:
            while len(waited) < RATE * RATE_FOR_S:
                data, now_s = rest + file.read(), datetime.now(UTC).timestamp()
                *lines, rest = data.split(b"\n")
                for line in lines:
                    if (names := identify(line)) is not None:
                        waited.append(now_s - sent[names[1]])
                await asyncio.sleep(0.005)

    await asyncio.gather(publish(), look())
    return sorted(waited)


async def measure(servers: tuple[NatsServer, S3Server], state: Path) -> Table:
    """Fill, drain twice, then the steady rate."""
    bus = await Bus.connect(servers[0].url, "trainer", "bench")
    client = await nats.connect(servers[0].url)
    await fill(client, "one")
    plain_s = await drain_plainly(client, state)
    began = time.perf_counter()
    logger = ServiceProcess("logger", *servers, state, bucket="bench")
    with logger:
        started_s = time.perf_counter() - began
        await wait_for_lines(state / "journal", "one", EVENTS)
        # It begins before it is ready; the probe that tells is a tenth of a second late.
        whole_s = time.perf_counter() - began
        began = time.perf_counter()
        await fill(client, "two")
        filled_s = time.perf_counter() - began
        await wait_for_lines(state / "journal", "two", EVENTS)
        beside_s = time.perf_counter() - began
        waited = await latencies_s(bus, state / "journal")
    await client.close()
    await bus.close()
    table = Table("what", "figure")
    table.add_row("plain loop, events a second", f"{EVENTS / plain_s:,.0f}")
    drained_s = whole_s - started_s
    table.add_row(
        "logger, the same backlog", f"{EVENTS / drained_s:,.0f}, {plain_s / drained_s:.2f} of it"
    )
    table.add_row(
        "logger beside a publisher",
        f"{EVENTS / beside_s:,.0f} (published at {EVENTS / filled_s:,.0f})",
    )
    for share, rank in itertools.zip_longest((50, 99), (0.5, 0.99)):
        table.add_row(
            f"event to journal at {RATE}/s, p{share}",
            f"{1000 * waited[int(rank * (len(waited) - 1))]:.0f} ms",
        )
    return table


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        for name in ("nats", "s3"):
            (state / name).mkdir()
        servers = NatsServer(state / "nats", EMBEDDED), S3Server(state / "s3", EMBEDDED)
        for server in servers:
            server.start()
        try:
            table = asyncio.run(measure(servers, state))
        finally:
            for server in servers:
                server.kill()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
