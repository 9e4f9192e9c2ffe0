"""
Uploads in parts: several on their way at once, and resumed where a crash has left them.

The store compares each part with its MD5 as it comes, the whole is compared with the announced
SHA-256 before the object appears.
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from libs.common.errors import InvalidInput, NotFound, PlatformError
from libs.common.s3 import S3Connection

PART_BYTES = 8 * 1024**2
"""Larger objects are sent and fetched in parts of this size (S3 takes 5 MiB to 5 GiB)."""

MOST_PARTS = 10_000
"""S3's own limit: 78 GiB of parts."""

PARTS_AT_ONCE = 3


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
        address = self._connection.address
        place = {name: self._target[name] for name in ("Bucket", "Key")}
        begun = await self._connection.call(
            "create_multipart_upload",
            **place,
            Metadata=metadata,
            **address.encryption_arguments,
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
        digest, etags = hashlib.sha256(), dict[int, str]()
        try:
            async with asyncio.TaskGroup() as group:
                async for part in parts:
                    if (number := len(etags) + 1) > MOST_PARTS:
                        raise InvalidInput(
                            f"{self._key} is larger than {MOST_PARTS} parts of {PART_BYTES} bytes"
                        )
                    etags[number] = ""
                    await self._throttle.slots.acquire()
                    group.create_task(self._send_part(number, part, etags))
                    await asyncio.to_thread(digest.update, part)
        except ExceptionGroup as failures:
            raise _first(failures) from failures
        if digest.hexdigest() != sha256:
            raise InvalidInput(
                f"{self._key} has SHA-256 {digest.hexdigest()}, but {sha256} was announced"
            )
        done = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())]
        await self._connection.call(
            "complete_multipart_upload", **self._target, MultipartUpload={"Parts": done}
        )

    async def abort(self) -> None:
        """Let the store forget what was sent; that it can't be told is no error."""
        with suppress(PlatformError):
            await self._connection.call("abort_multipart_upload", **self._target)

    async def _send_part(self, number: int, part: bytes, etags: dict[int, str]) -> None:
        try:
            md5 = await asyncio.to_thread(_md5, part)
            if self._there.get(number) == md5.hex():
                self.resumed_parts += 1
                etags[number] = f'"{md5.hex()}"'
            else:
                await self._throttle.wait_for(len(part))
                answer = await self._connection.call(
                    "upload_part",
                    **self._target,
                    PartNumber=number,
                    Body=part,
                    ContentMD5=base64.b64encode(md5).decode(),
                )
                etags[number] = answer["ETag"]
            self._on_sent(len(part))
        finally:
            self._throttle.slots.release()


def content_md5(data: bytes) -> str:
    """As the header `Content-MD5` has it: the store compares what came with it."""
    return base64.b64encode(_md5(data)).decode()


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    """One of several parts' failures: one that a reader can mend, if there is one."""
    for failure in failures.exceptions:
        if isinstance(failure, PlatformError):
            return failure
    return failures.exceptions[0]
