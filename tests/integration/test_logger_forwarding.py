"""Logs that come from elsewhere, and events that go elsewhere."""

import asyncio
import gzip
import json
import struct
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest
from fluent.sender import FluentSender

from libs.common.events import LogWritten
from libs.common.journal_reading import (
    journal_path,
    read_events,
)
from libs.common.objects import ObjectStore
from tests.conftest import Connect
from tests.driven import episode
from tests.log_receiver import LogReceiver
from tests.mirror_stage import wait
from tests.servers import NatsServer, S3Server, free_port
from tests.service_process import ServiceProcess

MIDDAY = datetime(2019, 9, 20, 12, tzinfo=UTC)


@pytest.fixture
def logger(
    nats_server: NatsServer, s3_server: S3Server, objects: ObjectStore, tmp_path: Path
) -> ServiceProcess:
    """Not started yet."""
    return ServiceProcess("logger", nats_server, s3_server, tmp_path, bucket=objects.bucket)


def lines_of(tmp_path: Path, run_id: str, service: str) -> list[LogWritten]:
    path = journal_path(tmp_path / "journal", run_id)
    events = read_events(path) if path.exists() else ()
    return [one for one in events if isinstance(one, LogWritten) and one.service == service]


@wait
async def wait_for_lines(
    tmp_path: Path, run_id: str, service: str, messages: list[str]
) -> list[LogWritten]:
    found = lines_of(tmp_path, run_id, service)
    assert sorted(line.message for line in found) == sorted(messages)
    return found


async def test_a_containers_log_is_in_the_journal_of_the_run_that_it_names(
    logger: ServiceProcess, tmp_path: Path
) -> None:
    port = free_port()
    logger.set(DR_LOGGER_FLUENT_PORT=str(port))
    record = {
        "container_id": "4f" * 32,
        "container_name": "/dr-training",
        "source": "stdout",
        "log": "Training> Episode=1\r",
    }
    with logger:
        sender = FluentSender("docker", host="127.0.0.1", port=port, nanosecond_precision=True)
        for text in ("one", "two"):
            assert await asyncio.to_thread(
                sender.emit_with_time, None, 5.5, {**record, "log": text}
            )
        assert await asyncio.to_thread(
            sender.emit, "x", {**record, "run_id": "r1", "level": "WARN", "epoch": 3}
        )
        sender.close()
        lines = await wait_for_lines(tmp_path, "platform", "dr-training", ["one", "two"])
        (mine,) = await wait_for_lines(tmp_path, "r1", "dr-training", ["Training> Episode=1"])
    assert {line.instance for line in lines} == {"4f4f4f4f4f4f"}
    assert lines[0].at == datetime.fromtimestamp(5.5, UTC)
    assert lines[0].fields == {"tag": "docker", "source": "stdout"}
    assert (mine.level, mine.fields["epoch"]) == ("warning", 3)


def packed(chunk: str, *texts: str, compressed: bool) -> bytes:
    """A message in PackedForward mode, as Fluent Bit sends."""
    moment = msgpack.ExtType(0, struct.pack(">II", int(MIDDAY.timestamp()), 500_000_000))
    entries = b"".join(msgpack.packb([moment, {"log": text}]) for text in texts)
    option: dict[str, Any] = {"chunk": chunk, "size": len(texts)}
    if compressed:
        entries, option["compressed"] = gzip.compress(entries), "gzip"
    return msgpack.packb(["app", entries, option])


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_chunk_is_acknowledged_when_it_is_stored_and_is_there_once_if_it_comes_again(
    logger: ServiceProcess, tmp_path: Path, compressed: bool
) -> None:
    port = free_port()
    logger.set(DR_LOGGER_FLUENT_PORT=str(port))
    with logger:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            message = packed("chunk-1", "a", "b", compressed=compressed)
            writer.write(message[:20])
            await writer.drain()
            writer.write(message[20:])
            async with asyncio.timeout(20):
                answer = msgpack.unpackb(await reader.read(100))
            assert answer == {"ack": "chunk-1"}
            writer.close()
            await writer.wait_closed()
        await wait_for_lines(tmp_path, "platform", "app", ["a", "b"])


GARBAGE = (b"GET / HTTP/1.1\r\n\r\n", msgpack.packb(["tag", [["no time", {}]]]), b"\xc1")


async def test_what_is_no_message_closes_its_connection_and_nothing_else(
    logger: ServiceProcess, tmp_path: Path
) -> None:
    port = free_port()
    logger.set(DR_LOGGER_FLUENT_PORT=str(port))
    with logger:
        for garbage in GARBAGE:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            async with asyncio.timeout(20):
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
            writer.close()
        sender = FluentSender("after", host="127.0.0.1", port=port)
        assert await asyncio.to_thread(sender.emit, None, {"message": "still here"})
        sender.close()
        await wait_for_lines(tmp_path, "platform", "after", ["still here"])
    assert logger.log.read_text().count("a fluent connection is closed") == len(GARBAGE)


@wait
async def wait_for_documents(receiver: LogReceiver, ids: set[str]) -> dict[str, dict[str, Any]]:
    """Documents of a bulk receiver by their ids."""
    found = {}
    for path, body in receiver.bodies:
        assert path == "_bulk"
        lines = [json.loads(line) for line in body.splitlines()]
        for head, document in zip(lines[::2], lines[1::2], strict=True):
            found[head["create"]["_id"]] = {**document, "_index": head["create"]["_index"]}
    assert ids <= found.keys()
    return found


async def test_every_event_goes_to_opensearch_also_after_it_was_away(
    connect: Connect, logger: ServiceProcess
) -> None:
    trainer, simulator = await connect("trainer"), await connect("simulator")
    line = LogWritten(
        run_id="r1", service="trainer", instance="a", level="info", message="x", fields={"n": 1}
    )
    driven = episode(1)
    async with LogReceiver({"errors": False, "items": []}, refusals=2) as receiver:
        logger.set(
            DR_LOGGER_OPENSEARCH_URL=receiver.url,
            DR_LOGGER_OPENSEARCH_USER="me",
            DR_LOGGER_OPENSEARCH_PASSWORD="secret",
        )
        with logger:
            await trainer.publish(line)
            await simulator.publish(driven)
            found = await wait_for_documents(receiver, {line.id, driven.id})
        assert receiver.refused == 2
        assert receiver.headers[0]["authorization"].startswith("Basic ")
    assert found[line.id]["_index"] == "slipstream-evt-log-written-v1"
    assert found[line.id]["fields"] == {"n": "1"}
    assert datetime.fromisoformat(found[line.id]["@timestamp"]) == line.at
    assert found[driven.id]["reward"] == driven.reward
    assert "columns" not in found[driven.id]


@wait
async def wait_for_values(receiver: LogReceiver, count: int) -> list[Any]:
    streams = [s for _, body in receiver.bodies for s in json.loads(body)["streams"]]
    mine = [s for s in streams if s["stream"].get("service") == "trainer"]
    assert sum(len(stream["values"]) for stream in mine) == count
    return mine


async def test_every_event_goes_to_loki(connect: Connect, logger: ServiceProcess) -> None:
    trainer = await connect("trainer")
    lines = [
        LogWritten(run_id="r1", service="trainer", instance="a", level="info", message=text)
        for text in ("one", "two")
    ]
    async with LogReceiver({}) as receiver:
        logger.set(DR_LOGGER_LOKI_URL=receiver.url)
        with logger:
            for line in lines:
                await trainer.publish(line)
            streams = await wait_for_values(receiver, 2)
    assert {path for path, _ in receiver.bodies} == {"loki/api/v1/push"}
    labels = {"job": "slipstream", "service": "trainer", "type": "evt.log.written.v1"}
    assert all(stream["stream"] == {**labels, "level": "info"} for stream in streams)
    values = sorted(value for stream in streams for value in stream["values"])
    assert [json.loads(text)["message"] for _, text in values] == ["one", "two"]
    assert int(values[0][0]) // 1000 == int(lines[0].at.timestamp() * 1e6)
