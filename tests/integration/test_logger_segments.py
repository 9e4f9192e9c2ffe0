"""Journals in parts: closed, compressed, stored, given up when they are safe, and still read."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

import httpx
import pytest
import zstandard

from libs.common.bus import Bus
from libs.common.deepracer import layout
from libs.common.events import LogArchived, LogWritten
from libs.common.journal_reading import (
    journal_path,
    read_entries,
    read_events,
    segment_folder,
)
from libs.common.objects import ObjectStore
from libs.common.segments import AWAY, COMPRESSED, segments_of
from tests.conftest import Connect
from tests.mirror_stage import Stage, wait
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess

LINES = 400
SEGMENT_BYTES = 20_000


@pytest.fixture
def logger(
    nats_server: NatsServer, s3_server: S3Server, objects: ObjectStore, tmp_path: Path
) -> ServiceProcess:
    """Not started yet."""
    return ServiceProcess(
        "logger",
        nats_server,
        s3_server,
        tmp_path,
        bucket=objects.bucket,
        DR_LOGGER_ACK_WAIT_S="1",
        DR_LOGGER_BATCH="16",
        DR_LOGGER_SEGMENT_BYTES=str(SEGMENT_BYTES),
        DR_LOGGER_RETENTION_CHECK_S="0.2",
    )


def log_line(number: int) -> LogWritten:
    text = random.Random(number).randbytes(60).hex()
    return LogWritten(
        id=f"line-{number}",
        run_id="r1",
        service="trainer",
        instance="a",
        level="info",
        message=text,
    )


async def flood(bus: Bus) -> None:
    for number in range(LINES):
        await bus.publish(log_line(number))


@wait
async def wait_for_lines(path: Path) -> None:
    there = {entry.id for entry in read_entries(path)}
    assert there >= {f"line-{number}" for number in range(LINES)}


@wait
async def wait_for_stored(path: Path) -> list[LogArchived]:
    """The events that tell of the closed parts, as soon as each is told."""
    told = [e for e in read_events(path) if isinstance(e, LogArchived) and e.kind == "segment"]
    names = {event.artifacts[0].uri.rpartition("/")[2] for event in told}
    closed = {f"{segment.name}{COMPRESSED}" for segment in segments_of(segment_folder(path))}
    assert closed == names
    return told


@wait
async def wait_for_given_up(path: Path) -> None:
    assert any(segment.suffix == AWAY for segment in segments_of(segment_folder(path)))


async def test_a_journal_in_parts_has_each_event_once_whatever_is_killed(
    connect: Connect, logger: ServiceProcess, objects: ObjectStore, tmp_path: Path
) -> None:
    trainer, path = await connect("trainer"), journal_path(tmp_path / "journal", "r1")
    with logger:
        flooding = asyncio.create_task(flood(trainer))
        for parts in (1, 2):
            await wait_for_parts(path, parts)
            logger.kill()
            await asyncio.to_thread(logger.start)
        await flooding
        await wait_for_lines(path)
        told = await wait_for_stored(path)
    counted = Counter(entry.id for entry in read_entries(path))
    assert set(counted.values()) == {1}
    stored = b""
    for event in sorted(told, key=lambda event: event.artifacts[0].uri):
        packed = await objects.get(event.artifacts[0])
        with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
            stored += reader.read()
    lines = [line.data for line in read_entries(path)]
    assert stored.splitlines() == lines[: stored.count(b"\n")]


@wait
async def wait_for_parts(path: Path, number: int) -> None:
    assert len(segments_of(segment_folder(path))) >= number


async def test_parts_are_given_up_only_when_the_remote_has_them_and_are_read_all_the_same(
    stage: Stage, connect: Connect, logger: ServiceProcess, tmp_path: Path
) -> None:
    trainer, path = await connect("trainer"), journal_path(tmp_path / "journal", "r1")
    logger.set(DR_LOGGER_RETAIN_RUN_BYTES=str(SEGMENT_BYTES))
    with logger:
        await flood(trainer)
        await wait_for_lines(path)
        await wait_for_stored(path)
        assert all(segment.suffix == COMPRESSED for segment in segments_of(segment_folder(path)))
        with stage.uploader:
            await wait_for_given_up(path)
            first = segments_of(segment_folder(path))[0]
            key = layout.journal_file("r1", f"{first.name}{COMPRESSED}")
            assert await stage.remote.head(f"backup/{key}") is not None
        async with httpx.AsyncClient(timeout=60) as http:
            answer = await http.get(f"{logger.url}/v1/journal/r1", params={"event": "LogWritten"})
        wanted = [log_line(number).message for number in range(LINES)]
        assert [line["message"] for line in map(json.loads, answer.text.splitlines())] == wanted
