"""
One connection to an S3 store: where it is, and calls that are repeated while it is away.

Failures that pass by themselves (the store restarts, the connection drops) are retried with
back-off; the rest become `PlatformError`s.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import stamina
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from aiohttp import ClientPayloadError
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from libs.common.errors import Conflict, NotFound, StartupFailed, Unavailable

RETRY_FOR_S = 60.0
"""How long a call keeps trying while the store is away; a killed store is back within seconds."""

AddressingStyle = Literal["path", "virtual", "auto"]
Encryption = Literal["", "AES256", "aws:kms"]

_CLOCKS_DIFFER = ("RequestTimeTooSkewed", "RequestExpired")


@dataclass(frozen=True)
class StoreAddress:
    """Where a bucket is and how its store is spoken to."""

    endpoint: str  # empty is Amazon's S3
    access_key: str  # empty takes the profile's, or the machine's own credentials
    secret_key: str = field(repr=False)
    region: str
    bucket: str
    profile: str = ""  # of the machine's AWS configuration
    addressing_style: AddressingStyle = "path"
    encryption: Encryption = ""  # of what is put: by the store's keys, or by KMS
    kms_key_id: str = ""

    @property
    def encryption_arguments(self) -> dict[str, str]:
        """What every call that makes an object is given."""
        arguments = {"ServerSideEncryption": self.encryption, "SSEKMSKeyId": self.kms_key_id}
        return {name: value for name, value in arguments.items() if value}


class S3Connection:
    """The connection. Use as an async context manager."""

    def __init__(self, address: StoreAddress, retry_for_s: float = RETRY_FOR_S) -> None:
        self.address, self._retry_for_s = address, retry_for_s
        self._stack = AsyncExitStack()
        self._client: Any = None

    async def __aenter__(self) -> Self:
        address = self.address
        config = AioConfig(
            # Bodies are not hashed for the signature: that would block the event loop for each
            # model, and what is fetched is compared with its reference anyway.
            s3={"addressing_style": address.addressing_style, "payload_signing_enabled": False},
            connect_timeout=3,
            read_timeout=30,
            max_pool_connections=64,
            retries={"max_attempts": 1},  # stamina retries, once and not at two levels
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = AioSession(profile=address.profile or None).create_client(
            "s3",
            endpoint_url=address.endpoint or None,
            aws_access_key_id=address.access_key or None,
            aws_secret_access_key=address.secret_key or None,
            region_name=address.region,
            config=config,
        )
        try:
            self._client = await self._stack.enter_async_context(client)
        except ProfileNotFound as error:
            raise StartupFailed(f"no profile {address.profile!r} on this machine") from error
        except ValueError as error:
            raise StartupFailed(f"no endpoint of an S3 store: {address.endpoint!r}") from error
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def call(self, operation: str, *, read: bool = True, **arguments: Any) -> Any:
        """
        One call, repeated while the store is away; a body is read whole, if it is to be read.

        Raises:
            NotFound: no such object, bucket or upload.
            Conflict: the store has something else under that name.
            Unavailable: the store stays away, or refuses.
        """
        try:
            async for attempt in stamina.retry_context(
                on=_passes_by_itself, attempts=None, timeout=self._retry_for_s, wait_max=2.0
            ):
                with attempt:
                    answer = await getattr(self._client, operation)(**arguments)
                    if operation == "get_object" and read:
                        async with answer["Body"] as stream:
                            answer["Body"] = await stream.read()
                    return answer
        except ClientError as error:
            raise _translated(error, operation, str(arguments.get("Key", ""))) from error
        except (TimeoutError, BotoCoreError, OSError) as error:
            raise Unavailable(f"the object store does not answer: {error}") from error


async def read_whole(stream: Any, size_bytes: int) -> bytes:
    """So many bytes of a body; none where it breaks off before."""
    pieces, missing = [], size_bytes
    try:
        while missing and (piece := await stream.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
    except (BotoCoreError, ClientPayloadError, OSError, TimeoutError):
        return b""
    return b"" if missing else b"".join(pieces)


def _translated(error: ClientError, operation: str, key: str) -> Exception:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = error.response.get("Error", {}).get("Code", "")
    if code == "NoSuchBucket":
        return NotFound(f"no bucket: {error}")
    if status == 404:
        return NotFound(f"no object {key!r}")
    if code in _CLOCKS_DIFFER:
        return Unavailable(f"the store's clock and this machine's differ too much: {error}")
    if status in (401, 403):
        return Unavailable(f"the store refuses the credentials: {error}")
    if status == 409:
        return Conflict(f"the store refuses {operation}: {error}")
    return Unavailable(f"the store refuses {operation}: {error}")


def _passes_by_itself(error: Exception) -> bool:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return bool(status >= 500 or status == 429)
    return isinstance(error, BotoCoreError | OSError | asyncio.TimeoutError)
