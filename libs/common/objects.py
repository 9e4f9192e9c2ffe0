"""
Objects in an S3 store: checkpoints, models, logs, tracks.

Everything that is put is described by an `ObjectRef` (uri, SHA-256, size), and everything that is
fetched by one is compared with it. Failures that pass by themselves (the store restarts, the
connection drops) are retried with back-off; the rest become `PlatformError`s.
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import stamina
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from libs.common.config import ServiceSettings
from libs.common.errors import InvalidInput, NotFound, Unavailable
from libs.common.events.values import ObjectRef

RETRY_FOR_S = 60.0
"""How long a call keeps trying while the store is away; a killed store is back within seconds."""

PART_BYTES = 8 * 1024**2
"""Larger objects are sent and fetched in parts of this size (S3 takes at least 5 MiB)."""


@dataclass(frozen=True)
class Listed:
    """An object as a listing tells it; the etag changes with the content."""

    key: str
    size_bytes: int
    etag: str


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` as (bucket, key)."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise InvalidInput(f"not an object's address: {uri!r}; accepted: s3://bucket/key")
    return bucket, key


def _passes_by_itself(error: Exception) -> bool:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return bool(status >= 500 or status == 429)
    return isinstance(error, BotoCoreError | OSError | asyncio.TimeoutError)


class ObjectStore:
    """A client of one bucket. Use as an async context manager."""

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        region: str,
        bucket: str,
        retry_for_s: float = RETRY_FOR_S,
    ) -> None:
        self.bucket, self._retry_for_s = bucket, retry_for_s
        self._client_args: dict[str, Any] = {
            "endpoint_url": endpoint or None,
            "aws_access_key_id": access_key or None,
            "aws_secret_access_key": secret_key or None,
            "region_name": region,
            "config": AioConfig(
                # Bodies are not hashed for the signature: that would block the event loop for
                # each model, and what is fetched is compared with its reference anyway.
                s3={"addressing_style": "path", "payload_signing_enabled": False},
                connect_timeout=3,
                read_timeout=30,
                retries={"max_attempts": 1},  # stamina retries, once and not at two levels
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        }
        self._stack = AsyncExitStack()
        self._client: Any = None

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self:
        """The store that the environment names."""
        return cls(
            settings.s3_endpoint,
            settings.s3_access_key,
            settings.s3_secret_key,
            settings.s3_region,
            settings.s3_bucket,
        )

    async def __aenter__(self) -> Self:
        client = get_session().create_client("s3", **self._client_args)
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def uri(self, key: str) -> str:
        """The address of a key in this bucket."""
        return f"s3://{self.bucket}/{key}"

    async def ensure_bucket(self) -> None:
        """Create the bucket where it does not exist yet."""
        with suppress(NotFound):
            await self._call("head_bucket", Bucket=self.bucket)
            return
        try:
            await self._call("create_bucket", Bucket=self.bucket)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise Unavailable(f"bucket {self.bucket!r} can't be made: {error}") from error

    async def put(self, key: str, data: bytes) -> ObjectRef:
        """Store bytes under a key; an object that is there is replaced."""
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        await self._call(
            "put_object", Bucket=self.bucket, Key=key, Body=data, Metadata={"sha256": digest}
        )
        return ObjectRef(uri=self.uri(key), sha256=digest, size_bytes=len(data))

    async def put_file(self, key: str, path: Path, size_bytes: int | None = None) -> ObjectRef:
        """Store a file, or its first bytes, under a key; it is never whole in memory."""
        digest, size = await asyncio.to_thread(_measure, path, size_bytes)
        return await self.put_parts(key, _in_thread(_file_parts(path, size)), digest, size)

    async def put_parts(
        self, key: str, parts: AsyncIterator[bytes], sha256: str, size_bytes: int
    ) -> ObjectRef:
        """
        Store a stream of parts of `PART_BYTES`; the store compares each part with its MD5.

        Raises:
            InvalidInput: the stream is not what was announced; what lay under the key remains.
        """
        if size_bytes > PART_BYTES:
            await self._put_multipart(key, parts, sha256)
        else:
            data = b"".join([part async for part in parts])
            digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
            _compare(key, digest, sha256)
            await self._call(
                "put_object",
                Bucket=self.bucket,
                Key=key,
                Body=data,
                ContentMD5=_md5(data),
                Metadata={"sha256": sha256},
            )
        return ObjectRef(uri=self.uri(key), sha256=sha256, size_bytes=size_bytes)

    async def _put_multipart(self, key: str, parts: AsyncIterator[bytes], sha256: str) -> None:
        target: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        begun = await self._call("create_multipart_upload", **target, Metadata={"sha256": sha256})
        target["UploadId"] = begun["UploadId"]
        digest = hashlib.sha256()
        sent: list[dict[str, Any]] = []
        try:
            async for part in parts:
                await asyncio.to_thread(digest.update, part)
                number, md5 = len(sent) + 1, await asyncio.to_thread(_md5, part)
                answer = await self._call(
                    "upload_part", **target, PartNumber=number, Body=part, ContentMD5=md5
                )
                sent.append({"PartNumber": number, "ETag": answer["ETag"]})
            _compare(key, digest.hexdigest(), sha256)
            await self._call("complete_multipart_upload", **target, MultipartUpload={"Parts": sent})
        except BaseException:
            with suppress(Exception):
                await self._call("abort_multipart_upload", **target)
            raise

    async def parts(self, key: str, size_bytes: int) -> AsyncIterator[bytes]:
        """The bytes of an object of this size, `PART_BYTES` at a time. Raises `NotFound`."""
        for start in range(0, size_bytes, PART_BYTES):
            last = min(start + PART_BYTES, size_bytes) - 1
            place = {"Bucket": self.bucket, "Key": key, "Range": f"bytes={start}-{last}"}
            yield await self._call("get_object", "Body", **place)

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
        data: bytes = await self._call("get_object", "Body", Bucket=bucket or self.bucket, Key=key)
        return data

    async def chunks(self, key: str, size_bytes: int = 256 * 1024) -> AsyncIterator[bytes]:
        """What lies under a key, piece by piece. Raises `NotFound`."""
        answer = await self._call("get_object", Bucket=self.bucket, Key=key)
        async with answer["Body"] as stream:
            while chunk := await stream.read(size_bytes):
                yield chunk

    async def head(self, key: str) -> ObjectRef | None:
        """What lies under a key, or None."""
        try:
            found = await self._call("head_object", Bucket=self.bucket, Key=key)
        except NotFound:
            return None
        return ObjectRef(
            uri=self.uri(key),
            sha256=found.get("Metadata", {}).get("sha256", ""),
            size_bytes=found["ContentLength"],
        )

    async def keys(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        """Each key below a prefix with its size in bytes."""
        async for item in self.listing(prefix):
            yield item.key, item.size_bytes

    async def listing(self, prefix: str) -> AsyncIterator[Listed]:
        """Every object below a prefix."""
        token: dict[str, str] = {}
        while True:
            page = await self._call("list_objects_v2", Bucket=self.bucket, Prefix=prefix, **token)
            for item in page.get("Contents", []):
                yield Listed(item["Key"], item["Size"], item.get("ETag", ""))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        await self._call("delete_object", Bucket=self.bucket, Key=key)

    async def _call(self, operation: str, body: str = "", **arguments: Any) -> Any:
        """One S3 call, retried while the store is away; `body` names a stream to read whole."""
        try:
            async for attempt in stamina.retry_context(
                on=_passes_by_itself, attempts=None, timeout=self._retry_for_s, wait_max=2.0
            ):
                with attempt:
                    answer = await getattr(self._client, operation)(**arguments)
                    if not body:
                        return answer
                    async with answer[body] as stream:
                        return await stream.read()
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 404:
                raise NotFound(f"no object {arguments.get('Key', '')!r}") from error
            if status in (401, 403):
                raise Unavailable(f"the store refuses the credentials: {error}") from error
            if status == 409:
                raise
            raise Unavailable(f"the store refuses {operation}: {error}") from error
        except (TimeoutError, BotoCoreError, OSError) as error:
            raise Unavailable(f"the object store does not answer: {error}") from error


def _compare(key: str, digest: str, announced: str) -> None:
    if digest != announced:
        raise InvalidInput(f"{key} has SHA-256 {digest}, but {announced} was announced")


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


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
