"""
Foreign logs into the same journal: the forward protocol of Fluentd and Fluent Bit, as an input.

Docker's fluentd log driver speaks it, and so do the containers of the 2019 sandbox, whose records
have `container_name`, `source` and `log`. Each record becomes a log line, of the run that it names
as `run_id` or of the platform. A chunk that asks for it is acknowledged when all of it is stored.

Specification: https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1
"""

import asyncio
import gzip
import hashlib
import io
import json
import re
import struct
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

import msgpack

from libs.common.errors import InvalidInput
from libs.common.events import PLATFORM, RUN_ID_PATTERN, LogWritten
from libs.common.log import get_log
from services.logger.playback import Level

READ_BYTES = 64 * 1024
MOST_BYTES = 64 * 1024**2
"""Of one message, and of what a compressed one unpacks to."""
EVENT_TIME = 0  # the extension type of a time with nanoseconds
AT_ONCE = 64

LEVELS: dict[str, Level] = {
    **{level: level for level in get_args(Level)},
    "warn": "warning",
    "err": "error",
    "fatal": "critical",
    "notice": "info",
    "trace": "debug",
}
_OWN = {"log", "message", "run_id", "level", "severity", "container_name", "container_id"}


class Chunk(NamedTuple):
    """One message: records with their times, and what the sender calls it."""

    tag: str
    records: list[tuple[datetime, dict[str, Any]]]
    name: str  # to be acknowledged; empty where the sender does not ask


class FluentInput:
    """A TCP server. `publish` stores an event and returns when it is safe."""

    def __init__(self, publish: Callable[[LogWritten], Awaitable[object]]) -> None:
        self._publish, self._log = publish, get_log()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that it got. Raises `OSError`."""
        self._server = await asyncio.start_server(self._serve, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no more; what was not acknowledged comes again to the next logger."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError):
                await self._receive(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unpacker = _unpacker()
        try:
            while data := await reader.read(READ_BYTES):
                unpacker.feed(data)
                for message in unpacker:
                    chunk = read_chunk(message)
                    await self._store(chunk)
                    if chunk.name:
                        writer.write(msgpack.packb({"ack": chunk.name}))
                        await writer.drain()
        except (ValueError, msgpack.UnpackException, InvalidInput) as error:
            peer = writer.get_extra_info("peername")
            self._log.warning("a fluent connection is closed", peer=str(peer), reason=str(error))

    async def _store(self, chunk: Chunk) -> None:
        lines = list(log_lines(chunk))
        for start in range(0, len(lines), AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for line in lines[start : start + AT_ONCE]:
                    group.create_task(_awaited(self._publish(line)))


def read_chunk(message: Any) -> Chunk:
    """
    Any of the protocol's four forms.

    Raises:
        InvalidInput: it is none of them.
    """
    if not isinstance(message, list) or len(message) < 2 or not isinstance(message[0], str):
        raise InvalidInput(f"no message of the forward protocol: {str(message)[:80]!r}")
    tag, content, *rest = message
    if isinstance(content, bytes | str):
        option = rest[0] if rest else {}
        entries = _unpacked(content, _option(option).get("compressed") == "gzip")
    elif isinstance(content, list):
        option, entries = rest[0] if rest else {}, content
    else:
        option, entries = rest[1] if len(rest) > 1 else {}, [[content, rest[0] if rest else None]]
    return Chunk(tag, [_record(entry) for entry in entries], str(_option(option).get("chunk", "")))


def log_lines(chunk: Chunk) -> Iterator[LogWritten]:
    """A log line for each record; the same chunk gives the same ids."""
    for number, (at, record) in enumerate(chunk.records):
        text = record.get("log", record.get("message", ""))
        container = str(record.get("container_id", ""))
        name = str(record.get("container_name", "")).strip("/") or chunk.tag
        level = str(record.get("level", record.get("severity", "info"))).lower()
        run_id = str(record.get("run_id", ""))
        fields = {key: _plain(value) for key, value in record.items() if key not in _OWN}
        named = f"{chunk.name} {number}" if chunk.name else uuid.uuid4().hex
        yield LogWritten(
            id=hashlib.sha256(named.encode()).hexdigest()[:32],
            at=at,
            run_id=run_id if re.match(RUN_ID_PATTERN, run_id) else PLATFORM,
            service=name,
            instance=container[:12] or name,
            level=LEVELS.get(level, "info"),
            message=str(_plain(text)).rstrip("\r\n"),
            fields={"tag": chunk.tag, **fields},
        )


def _unpacker() -> Any:
    return msgpack.Unpacker(
        raw=False,
        unicode_errors="replace",
        strict_map_key=False,
        max_buffer_size=MOST_BYTES,
        ext_hook=msgpack.ExtType,
    )


def _unpacked(content: bytes | str, is_compressed: bool) -> list[Any]:
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    if is_compressed:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise InvalidInput(f"a compressed message of more than {MOST_BYTES} bytes")
    unpacker = _unpacker()
    unpacker.feed(data)
    return list(unpacker)


def _record(entry: Any) -> tuple[datetime, dict[str, Any]]:
    if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], dict):
        raise InvalidInput(f"no entry of the forward protocol: {str(entry)[:80]!r}")
    return _moment(entry[0]), entry[1]


def _moment(value: Any) -> datetime:
    if isinstance(value, msgpack.ExtType) and value.code == EVENT_TIME and len(value.data) == 8:
        seconds, nanoseconds = struct.unpack(">II", value.data)
        return datetime.fromtimestamp(seconds + nanoseconds / 1e9, UTC)
    if isinstance(value, int | float):
        with suppress(OverflowError, OSError, ValueError):
            return datetime.fromtimestamp(value, UTC)
    raise InvalidInput(f"no time of the forward protocol: {str(value)[:80]!r}")


def _option(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value


async def _awaited(awaitable: Awaitable[object]) -> None:
    await awaitable
