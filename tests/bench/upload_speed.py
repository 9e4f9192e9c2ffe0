"""
How fast the uploader mirrors one large object, and in how much memory.

    python -m tests.bench.upload_speed [--gigabytes 1] [--small 0]

The peer in the same run is a plain multipart upload by aiobotocore, straight from a file and with
as many parts of the same size at once; it reads no first store, compares no digest and remembers
nothing. Both send the same bytes to the same server; each is run `ROUNDS` times, in turns. With
`--small` so many objects of a few bytes are mirrored after that, for the memory of a long backlog.
"""

import argparse
import asyncio
import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from libs.common.bus import Bus
from libs.common.events import ArtifactReplicated
from libs.common.multipart import PART_BYTES
from libs.common.objects import ObjectStore
from libs.common.tasks import end
from tests.mirror_stage import remote_variables, saved
from tests.servers import NatsServer, S3Server, ServerSettings
from tests.service_process import ServiceProcess

ROUNDS = 3
PARTS_AT_ONCE = 4
PATIENCE_S = 600
PUTS_AT_ONCE = 32
EMBEDDED = ServerSettings(kind="embedded")  # a container would put a proxy into what is measured


def pieces(path: Path) -> Iterator[bytes]:
    """The parts of a file."""
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            yield part


async def upload_plainly(remote: ObjectStore, key: str, path: Path) -> float:
    """Seconds of the peer."""
    began = time.perf_counter()
    call = remote.connection.call
    place: dict[str, Any] = {"Bucket": remote.bucket, "Key": key}
    upload = (await call("create_multipart_upload", **place))["UploadId"]
    slots, etags = asyncio.Semaphore(PARTS_AT_ONCE), dict[int, str]()

    async def send(number: int, part: bytes) -> None:
        answer = await call("upload_part", **place, UploadId=upload, PartNumber=number, Body=part)
        etags[number] = answer["ETag"]
        slots.release()

    async with asyncio.TaskGroup() as group:
        for number, part in enumerate(pieces(path), 1):
            await slots.acquire()
            group.create_task(send(number, part))
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())]
    await call(
        "complete_multipart_upload", **place, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    return time.perf_counter() - began


class Mirroring:
    """The uploader, and the most memory that it was seen to hold."""

    def __init__(self, bus: Bus, local: ObjectStore, remote: ObjectStore, pid: int) -> None:
        self._bus, self._local, self._remote = bus, local, remote
        self._process, self.peak_bytes = psutil.Process(pid), 0

    async def mirror(self, key: str) -> float:
        """Seconds from the announcement of an object until it is told to be in the remote store."""
        reference = await self._local.head(key)
        assert reference is not None
        told = self._bus.follow("bench", classes=[ArtifactReplicated])
        began = time.perf_counter()
        await self._bus.publish(saved("bench", 1, reference))
        async with asyncio.timeout(PATIENCE_S), aclosing(told):
            async for item in told:
                message = item.message
                if isinstance(message, ArtifactReplicated) and message.source == reference:
                    break
        return time.perf_counter() - began

    async def watch_memory(self) -> None:
        """Look at it, for ever."""
        while True:
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)
            await asyncio.sleep(0.1)

    async def wait_for_all(self, prefix: str, count: int) -> None:
        """Return when the remote has so many objects below a prefix."""
        async with asyncio.timeout(PATIENCE_S * 6):
            while True:
                there = [1 async for _ in self._remote.listing(f"backup/{prefix}")]
                if len(there) == count:
                    return
                await asyncio.sleep(10.0)  # a listing of a large bucket takes its time


async def fill(local: ObjectStore, count: int) -> None:
    """Put small objects that no event tells of."""
    numbers = iter(range(count))

    async def work_off() -> None:
        for number in numbers:
            await local.put(f"runs/small/{number:06d}", str(number).encode())

    async with asyncio.TaskGroup() as group:
        for _ in range(PUTS_AT_ONCE):
            group.create_task(work_off())


async def run(gigabytes: float, small: int) -> Table:
    """Measure and tell."""
    table = Table("what", "seconds", "MB/s", "of the peer", "peak memory")
    with tempfile.TemporaryDirectory(prefix="slipstream-") as name:
        folder = Path(name)
        path, block = folder / "large", hashlib.sha512(b"seed").digest() * 16384
        size = int(gigabytes * 1e9)
        with path.open("wb") as file:
            for start in range(0, size, len(block)):
                file.write(block[: size - start])
        for server_name in ("nats", "near", "far"):
            (folder / server_name).mkdir()
        nats = NatsServer(folder / "nats", EMBEDDED)
        near, far = (S3Server(folder / each, EMBEDDED) for each in ("near", "far"))
        for server in (nats, near, far):
            server.start()
        try:
            await _measure(table, folder, path, size, nats, near, far, small)
        finally:
            for server in (near, far, nats):
                server.kill()
    return table


async def _measure(
    table: Table,
    folder: Path,
    path: Path,
    size_bytes: int,
    nats: NatsServer,
    near: S3Server,
    far: S3Server,
    small: int,
) -> None:
    variables = remote_variables(far, "far") | {
        "DR_UPLOADER_PARTS_AT_ONCE": str(PARTS_AT_ONCE),
        "DR_UPLOADER_RECONCILE_S": "1",
    }
    service = ServiceProcess("uploader", nats, near, folder, bucket="near", **variables)
    async with ObjectStore(near.address("near")) as local, ObjectStore(far.address("far")) as there:
        await local.ensure_bucket()
        await there.ensure_bucket()
        for turn in range(ROUNDS):
            await local.put_file(f"bench/{turn}", path)
        with service:
            bus = await Bus.connect(nats.url, "trainer")
            mirroring = Mirroring(bus, local, there, service.process.pid)
            watch = asyncio.create_task(mirroring.watch_memory())
            ours, plain = [], []
            for turn in range(ROUNDS):
                ours.append(await mirroring.mirror(f"bench/{turn}"))
                plain.append(await upload_plainly(there, f"plain/{turn}", path))
            size_mb, peer_s = size_bytes / 1e6, median(plain)
            for what, seconds in (("plain", peer_s), ("uploader", median(ours))):
                memory = f"{mirroring.peak_bytes / 1e6:.0f} MB" if what == "uploader" else ""
                table.add_row(
                    f"{what}, one object of {size_mb:.0f} MB",
                    f"{seconds:.2f}",
                    f"{size_mb / seconds:.0f}",
                    f"{peer_s / seconds:.2f}",
                    memory,
                )
            if small:
                await fill(local, small)
                began = time.perf_counter()
                await mirroring.wait_for_all("runs/small/", small)
                seconds = time.perf_counter() - began
                memory = f"{mirroring.peak_bytes / 1e6:.0f} MB"
                table.add_row(f"{small} small objects", f"{seconds:.0f}", "", "", memory)
            await end(watch)
            await bus.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--small", type=int, default=0)
    arguments = parser.parse_args()
    Console(width=120).print(asyncio.run(run(arguments.gigabytes, arguments.small)))


if __name__ == "__main__":
    main()
