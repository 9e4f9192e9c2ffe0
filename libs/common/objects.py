"""
Objects in an S3 store: checkpoints, models, logs, tracks.

Everything that is put is described by an `ObjectRef` (uri, SHA-256, size), and everything that is
fetched by one is compared with it.

An object may be evicted: then a stub lies in its place, empty but for what it was, and its bytes
are in the remote store alone. Whoever reads it has them brought back first (`recall`).
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from libs.common.config import ServiceSettings
from libs.common.errors import Conflict, InvalidInput, NotFound, Unavailable
from libs.common.events.values import ObjectRef
from libs.common.multipart import PART_BYTES, MultipartUpload, check_received, crc32
from libs.common.s3 import RETRY_FOR_S, S3Connection, StoreAddress, read_whole

CHUNK_BYTES = 256 * 1024

_DIGEST = "sha256"
_EVICTED = "evicted-bytes"

Recall = Callable[[str], Awaitable[None]]
"""Brings the bytes of an evicted object back to their key, or raises why it can't."""


@dataclass(frozen=True)
class Listed:
    """An object as a listing tells it; the etag changes with the content."""

    key: str
    size_bytes: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Found:
    """What lies under a key."""

    reference: ObjectRef
    etag: str
    evicted: bool  # the reference tells of what was there before


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` as (bucket, key)."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise InvalidInput(f"not an object's address: {uri!r}; accepted: s3://bucket/key")
    return bucket, key


class ObjectStore:
    """A client of one bucket. Use as an async context manager."""

    def __init__(
        self,
        address: StoreAddress,
        retry_for_s: float = RETRY_FOR_S,
        recall: Recall | None = None,
    ) -> None:
        self.address, self.bucket = address, address.bucket
        self.connection = S3Connection(address, retry_for_s)
        self._recall = recall

    @classmethod
    def of(cls, settings: ServiceSettings, recall: Recall | None = None) -> Self:
        """The store that the environment names."""
        address = StoreAddress(
            settings.s3_endpoint,
            settings.s3_access_key,
            settings.s3_secret_key,
            settings.s3_region,
            settings.s3_bucket,
        )
        return cls(address, recall=recall)

    async def __aenter__(self) -> Self:
        await self.connection.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.connection.__aexit__(kind, error, trace)

    def uri(self, key: str) -> str:
        """The address of a key in this bucket."""
        return f"s3://{self.bucket}/{key}"

    async def ensure_bucket(self) -> None:
        """Create the bucket where it does not exist yet."""
        try:
            await self.connection.call("head_bucket", Bucket=self.bucket)
        except NotFound:
            try:
                await self.connection.call("create_bucket", Bucket=self.bucket)
            except Conflict as error:
                if "AlreadyOwnedByYou" not in str(error) and "AlreadyExists" not in str(error):
                    raise Unavailable(f"bucket {self.bucket!r} can't be made: {error}") from error

    # -- putting -----------------------------------------------------------------------------

    async def put(self, key: str, data: bytes) -> ObjectRef:
        """Store bytes under a key; an object that is there is replaced."""
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        await self._put(key, data, {_DIGEST: digest})
        return ObjectRef(uri=self.uri(key), sha256=digest, size_bytes=len(data))

    async def put_file(self, key: str, path: Path, size_bytes: int | None = None) -> ObjectRef:
        """Store a file, or its first bytes, under a key; it is never whole in memory."""
        digest, size = await asyncio.to_thread(_measure, path, size_bytes)
        return await self.put_parts(key, _in_thread(_file_parts(path, size)), digest, size)

    async def put_parts(
        self, key: str, parts: AsyncIterator[bytes], sha256: str, size_bytes: int
    ) -> ObjectRef:
        """
        Store a stream of parts of `PART_BYTES`; the store compares each part with its CRC32.

        Raises:
            InvalidInput: the stream is not what was announced; what lay under the key remains.
        """
        if size_bytes > PART_BYTES:
            upload = MultipartUpload(self.connection, self.bucket, key)
            await upload.begin({_DIGEST: sha256})
            try:
                await upload.send(parts, sha256)
            except BaseException:
                await upload.abort()
                raise
            return ObjectRef(uri=self.uri(key), sha256=sha256, size_bytes=size_bytes)
        return await self.put_small(key, b"".join([part async for part in parts]), sha256)

    async def put_small(self, key: str, data: bytes, sha256: str) -> ObjectRef:
        """
        Store bytes that must have this digest; the store compares them with their CRC32.

        Raises:
            InvalidInput: they have another one.
        """
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        if digest != sha256:
            raise InvalidInput(f"{key} has SHA-256 {digest}, but {sha256} was announced")
        checksum = crc32(data)
        answer = await self._put(key, data, {_DIGEST: sha256}, ChecksumCRC32=checksum)
        await check_received(key, data, checksum, answer)
        return ObjectRef(uri=self.uri(key), sha256=sha256, size_bytes=len(data))

    async def evict(self, reference: ObjectRef) -> None:
        """Put a stub in an object's place; its bytes must be somewhere else."""
        metadata = {_DIGEST: reference.sha256, _EVICTED: str(reference.size_bytes)}
        await self._put(split_uri(reference.uri)[1], b"", metadata)

    async def _put(self, key: str, data: bytes, metadata: dict[str, str], **arguments: Any) -> Any:
        arguments |= self.address.encryption_arguments
        return await self.connection.call(
            "put_object",
            Bucket=self.bucket,
            Key=key,
            Body=data,
            Metadata=metadata,
            **arguments,
        )

    # -- fetching ----------------------------------------------------------------------------

    async def parts(self, key: str, size_bytes: int) -> AsyncIterator[bytes]:
        """The bytes of an object of this size, `PART_BYTES` at a time. Raises `NotFound`."""
        start = 0
        while start < size_bytes:
            span = f"bytes={start}-{size_bytes - 1}"
            place: dict[str, Any] = {"Bucket": self.bucket, "Key": key, "Range": span}
            began, answer = start, await self.connection.call("get_object", read=False, **place)
            async with answer["Body"] as stream:
                while part := await read_whole(stream, min(PART_BYTES, size_bytes - start)):
                    yield part
                    start += len(part)
            if start == began:  # a stream that breaks later is gone on with from there
                raise Unavailable(f"{self.uri(key)} breaks off after {start} bytes")

    async def get(self, reference: ObjectRef) -> bytes:
        """
        Fetch an object and verify it.

        Raises:
            NotFound: there is no such object.
            InvalidInput: the object is another than the reference tells.
        """
        bucket, key = split_uri(reference.uri)
        data = await self.get_key(key, bucket=bucket)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        if digest != reference.sha256:
            raise InvalidInput(
                f"{reference.uri} has SHA-256 {digest}, but {reference.sha256} was announced"
            )
        return data

    async def get_key(self, key: str, bucket: str | None = None) -> bytes:
        """Fetch whatever lies under a key. Raises `NotFound`."""
        place: dict[str, Any] = {"Bucket": bucket or self.bucket, "Key": key}
        answer = await self.connection.call("get_object", **place)
        if _is_stub(answer):
            await self._bring_back(key)
            answer = await self.connection.call("get_object", **place)
        data: bytes = answer["Body"]
        return data

    async def chunks(self, key: str, size_bytes: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
        """What lies under a key, piece by piece. Raises `NotFound`."""
        place: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        answer = await self.connection.call("get_object", read=False, **place)
        if _is_stub(answer):
            answer["Body"].close()
            await self._bring_back(key)
            answer = await self.connection.call("get_object", read=False, **place)
        async with answer["Body"] as stream:
            while chunk := await stream.read(size_bytes):
                yield chunk

    async def _bring_back(self, key: str) -> None:
        if self._recall is None:
            raise Unavailable(f"{self.uri(key)} was evicted, its bytes are in the remote store")
        await self._recall(key)

    # -- looking -----------------------------------------------------------------------------

    async def head(self, key: str) -> ObjectRef | None:
        """What lies under a key, or was evicted from there; None where there is nothing."""
        found = await self.look(key)
        return None if found is None else found.reference

    async def look(self, key: str) -> Found | None:
        """As `head`, with whether it was evicted."""
        try:
            answer = await self.connection.call("head_object", Bucket=self.bucket, Key=key)
        except NotFound:
            return None
        metadata: dict[str, str] = answer.get("Metadata", {})
        reference = ObjectRef(
            uri=self.uri(key),
            sha256=metadata.get(_DIGEST, ""),
            size_bytes=int(metadata.get(_EVICTED, answer["ContentLength"])),
        )
        return Found(reference, answer.get("ETag", ""), _is_stub(answer))

    async def keys(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        """Each key below a prefix with its size in bytes, before it was evicted if it was."""
        async for item in self.listing(prefix):
            size_bytes = item.size_bytes
            if size_bytes == 0 and (found := await self.head(item.key)) is not None:
                size_bytes = found.size_bytes
            yield item.key, size_bytes

    async def listing(self, prefix: str) -> AsyncIterator[Listed]:
        """Every object below a prefix as the store has it: an evicted one is empty."""
        token: dict[str, Any] = {}
        while True:
            page = await self.connection.call(
                "list_objects_v2", Bucket=self.bucket, Prefix=prefix, **token
            )
            for item in page.get("Contents", []):
                yield Listed(item["Key"], item["Size"], item.get("ETag", ""), item["LastModified"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        await self.connection.call("delete_object", Bucket=self.bucket, Key=key)


def _is_stub(answer: dict[str, Any]) -> bool:
    return _EVICTED in answer.get("Metadata", {})


def _file_parts(path: Path, size_bytes: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while size_bytes > 0 and (part := file.read(min(PART_BYTES, size_bytes))):
            size_bytes -= len(part)
            yield part


def _measure(path: Path, size_bytes: int | None) -> tuple[str, int]:
    """SHA-256 and number of a file's bytes, of the first `size_bytes` if they are given."""
    size = path.stat().st_size if size_bytes is None else size_bytes
    digest = hashlib.sha256()
    for part in _file_parts(path, size):
        digest.update(part)
    return digest.hexdigest(), size


async def _in_thread(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """A blocking iterator's items, each fetched in a thread."""
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        yield part
