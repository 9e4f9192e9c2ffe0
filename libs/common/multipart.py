"""
Uploads in parts: several on their way at once, and resumed where a crash has left them.

The store compares each part with its CRC32 as it comes and says so (one that does not know it has
its MD5 compared with ours), the whole is compared with the announced SHA-256 before the object
appears.
"""

import asyncio
import base64
import hashlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from libs.common.errors import InvalidInput, NotFound, PlatformError, Unavailable
from libs.common.s3 import S3Connection

PART_BYTES = 5 * 1024**2
"""Larger objects are sent and fetched in parts of this size: the least that S3 takes."""

MOST_PARTS = 10_000
"""S3's own limit: 48 GiB of parts."""

PARTS_AT_ONCE = 4


class Throttle:
    """Parts of all uploads that are in memory at once, and their rate; shared between uploads."""

    def __init__(
        self,
        parts_at_once: int = PARTS_AT_ONCE,
        admit: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self.slots = asyncio.Semaphore(parts_at_once)
        self._admit = admit

    async def wait_for(self, size_bytes: int) -> None:
        """Until so many bytes may be sent."""
        if self._admit is not None:
            await self._admit(size_bytes)


class MultipartUpload:
    """One object on its way. `begin` or `resume`, then `send`; `abort` where it is given up."""

    def __init__(
        self,
        connection: S3Connection,
        bucket: str,
        key: str,
        *,
        upload_id: str = "",  # of one that was begun before
        throttle: Throttle | None = None,
        on_sent: Callable[[int], None] = lambda size_bytes: None,
    ) -> None:
        self._connection, self._key = connection, key
        self._target: dict[str, Any] = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
        self._throttle, self._on_sent = throttle or Throttle(), on_sent
        self._there: dict[int, str] = {}  # part number -> etag, of an upload that is resumed
        self.resumed_parts = 0  # that did not have to be sent again

    async def begin(self, metadata: dict[str, str]) -> str:
        """Announce the upload and return its id."""
        encryption: dict[str, Any] = self._connection.address.encryption_arguments
        place: dict[str, Any] = {name: self._target[name] for name in ("Bucket", "Key")}
        begun = await self._connection.call(
            "create_multipart_upload",
            **place,
            Metadata=metadata,
            ChecksumAlgorithm="CRC32",
            **encryption,
        )
        self._target["UploadId"] = begun["UploadId"]
        return str(begun["UploadId"])

    async def resume(self) -> bool:
        """Take up an upload that was begun before; False where the store has forgotten it."""
        marker: dict[str, Any] = {}
        while True:
            try:
                page = await self._connection.call("list_parts", **self._target, **marker)
            except NotFound:
                return False
            for part in page.get("Parts", []):
                self._there[part["PartNumber"]] = part["ETag"].strip('"')
            if not page.get("IsTruncated"):
                return True
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}

    async def send(self, parts: AsyncIterator[bytes], sha256: str) -> None:
        """
        Send what is not there yet and make the object appear.

        Raises:
            InvalidInput: the stream is not what was announced, or longer than S3 takes.
            Unavailable: the store went away; the parts that it has are kept.
        """
        digest, done = hashlib.sha256(), dict[int, dict[str, Any]]()
        try:
            async with asyncio.TaskGroup() as group:
                async for part in parts:
                    if (number := len(done) + 1) > MOST_PARTS:
                        raise InvalidInput(
                            f"{self._key} is larger than {MOST_PARTS} parts of {PART_BYTES} bytes"
                        )
                    done[number] = {}
                    await self._throttle.slots.acquire()
                    group.create_task(self._send_part(number, part, done))
                    await asyncio.to_thread(digest.update, part)
        except ExceptionGroup as failures:
            raise _first(failures) from failures
        if digest.hexdigest() != sha256:
            raise InvalidInput(
                f"{self._key} has SHA-256 {digest.hexdigest()}, but {sha256} was announced"
            )
        parts_sent = [{"PartNumber": number, **part} for number, part in sorted(done.items())]
        await self._connection.call(
            "complete_multipart_upload", **self._target, MultipartUpload={"Parts": parts_sent}
        )

    async def abort(self) -> None:
        """Let the store forget what was sent; that it can't be told is no error."""
        with suppress(PlatformError):
            await self._connection.call("abort_multipart_upload", **self._target)

    async def _send_part(self, number: int, part: bytes, done: dict[int, dict[str, Any]]) -> None:
        try:
            if (known := self._there.get(number)) and known == await asyncio.to_thread(_md5, part):
                self.resumed_parts += 1
                done[number] = {"ETag": f'"{known}"', "ChecksumCRC32": crc32(part)}
            else:
                await self._throttle.wait_for(len(part))
                checksum = await asyncio.to_thread(crc32, part)
                place = {**self._target, "PartNumber": number, "ChecksumCRC32": checksum}
                answer = await self._connection.call("upload_part", **place, Body=part)
                await check_received(f"part {number} of {self._key}", part, checksum, answer)
                done[number] = {"ETag": answer["ETag"], "ChecksumCRC32": checksum}
            self._on_sent(len(part))
        finally:
            self._throttle.slots.release()


def crc32(data: bytes) -> str:
    """As the header `x-amz-checksum-crc32` has it: the store compares what came with it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


async def check_received(what: str, data: bytes, checksum: str, answer: Mapping[str, Any]) -> None:
    """
    See in a store's answer that it got these bytes.

    Raises:
        Unavailable: it got others, or does not say what it got.
    """
    if (told := answer.get("ChecksumCRC32")) is not None:
        if told != checksum:
            raise Unavailable(f"{what} arrived with the CRC32 {told}, it is {checksum}")
        return
    etag = str(answer.get("ETag", "")).strip('"')
    if etag != await asyncio.to_thread(_md5, data) and "ServerSideEncryption" not in answer:
        raise Unavailable(f"{what} arrived with the MD5 {etag}")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    """One of several parts' failures: one that a reader can mend, if there is one."""
    for failure in failures.exceptions:
        if isinstance(failure, PlatformError):
            return failure
    return failures.exceptions[0]
