"""
Objects in an S3 store: checkpoints, models, logs, tracks.

Everything that is put is described by an `ObjectRef` (uri, SHA-256, size), and everything that is
fetched by one is compared with it. Failures that pass by themselves (the store restarts, the
connection drops) are retried with back-off; the rest become `PlatformError`s.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
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
        self, endpoint: str, access_key: str, secret_key: str, region: str, bucket: str
    ) -> None:
        self.bucket = bucket
        self._client_args: dict[str, Any] = {
            "endpoint_url": endpoint or None,
            "aws_access_key_id": access_key or None,
            "aws_secret_access_key": secret_key or None,
            "region_name": region,
            "config": AioConfig(
                s3={"addressing_style": "path"},
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

    async def put_file(self, key: str, path: Path) -> ObjectRef:
        """Store a file under a key."""
        return await self.put(key, await asyncio.to_thread(path.read_bytes))

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
        token: dict[str, str] = {}
        while True:
            page = await self._call("list_objects_v2", Bucket=self.bucket, Prefix=prefix, **token)
            for item in page.get("Contents", []):
                yield item["Key"], item["Size"]
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
                on=_passes_by_itself, attempts=None, timeout=RETRY_FOR_S, wait_max=2.0
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
            raise
        except (TimeoutError, BotoCoreError, OSError) as error:
            raise Unavailable(f"the object store does not answer: {error}") from error
