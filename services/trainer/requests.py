"""Requests that carry an idempotency key: the same one again gives the same run."""

import hashlib

from libs.common.bus import Bus, Records
from libs.common.errors import Conflict, InvalidInput, NotFound
from libs.common.events import Value

BUCKET = "requests"
MOST_KEY_CHARS = 255


class RequestRecord(Value):
    """What a key was used for."""

    digest: str  # SHA-256 of what was asked
    run_id: str  # the run that it made


class Requests:
    """Keys to runs."""

    def __init__(self, records: Records[RequestRecord]) -> None:
        self._records = records

    @classmethod
    async def open(cls, bus: Bus) -> "Requests":
        """The keys that all trainers share."""
        return cls(await bus.records(BUCKET, RequestRecord))

    @staticmethod
    def id_of(key: str) -> str:
        """The key as a word of records. Raises `InvalidInput` where it is too long."""
        if not 0 < len(key) <= MOST_KEY_CHARS:
            raise InvalidInput(
                f"Idempotency-Key of {len(key)} characters; accepted: 1 to {MOST_KEY_CHARS}"
            )
        return f"request-{hashlib.sha256(key.encode()).hexdigest()[:40]}"

    async def find(self, request: str, digest: str) -> str | None:
        """The run that the request made. Raises `Conflict` where it was another request."""
        try:
            known, _ = await self._records.get(request)
        except NotFound:
            return None
        if known.digest != digest:
            raise Conflict(
                f"this Idempotency-Key was used for another request, which made run "
                f"{known.run_id!r}; choose another key"
            )
        return known.run_id

    async def claim(self, request: str, digest: str, run_id: str) -> str:
        """The run that the request is to make: this one, or the one that it made before."""
        try:
            await self._records.create(request, RequestRecord(digest=digest, run_id=run_id))
        except Conflict:
            return await self.find(request, digest) or run_id
        return run_id

    async def release(self, request: str) -> None:
        """The request made no run; its key is free again."""
        await self._records.delete(request)
