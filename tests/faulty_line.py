"""A line to a server that breaks: every connection is reset after some bytes."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

BLOCK_BYTES = 64 * 1024


class FaultyLine:
    """
    Hands connections on to a port of this machine. Use as an async context manager.

    While `breaks_after_bytes` is set, a connection that sent so many bytes is reset, and the next
    one may send half as many more.
    """

    def __init__(self, port: int, breaks_after_bytes: int | None = None) -> None:
        self._port, self.breaks_after_bytes = port, breaks_after_bytes
        self.broken = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            back = asyncio.create_task(_copy(far_reader, writer))
            try:
                with suppress(OSError):
                    await self._hand_on(reader, far_writer)
            finally:
                back.cancel()
                far_writer.transport.abort()
        finally:
            writer.transport.abort()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        while block := await reader.read(BLOCK_BYTES):
            sent += len(block)
            if self.breaks_after_bytes is not None and sent > self.breaks_after_bytes:
                self.broken += 1
                self.breaks_after_bytes += self.breaks_after_bytes // 2
                return
            writer.write(block)
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(BLOCK_BYTES):
            writer.write(block)
            await writer.drain()
