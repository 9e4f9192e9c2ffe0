"""The uploader's HTTP API: how each object stands, and the local store as a cache."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from libs.common.errors import PlatformError
from libs.common.events import RUN_ID_PATTERN
from services.uploader.cache import Moved, Wish
from services.uploader.ledger import State

if TYPE_CHECKING:
    from services.uploader.service import Uploader

NDJSON = "application/x-ndjson"
DAY_S = 86_400
OfRun = Annotated[str, Field(pattern=f"^$|{RUN_ID_PATTERN}", description="empty is all")]


class Document(BaseModel):
    """What the API tells."""

    model_config = ConfigDict(frozen=True, from_attributes=True, extra="forbid")


class Total(Document):
    """The objects of one state."""

    objects: int
    size_bytes: int


class UploadDocument(Document):
    """How one object stands."""

    key: str
    run_id: str
    size_bytes: int
    sha256: str
    state: State
    reason: str
    tries: int
    changed_at: float


class TransferDocument(Document):
    """A copy that is being made."""

    key: str
    size_bytes: int
    sent_bytes: int


class UploadsDocument(Document):
    """How the mirror stands."""

    remote: str
    problem: str  # empty where the remote can be used
    totals: dict[State, Total]
    transfers: list[TransferDocument]
    uploads: list[UploadDocument]


class CacheDocument(Document):
    """How full the local store is."""

    objects: int
    size_bytes: int
    evicted_objects: int
    evicted_bytes: int
    protected_objects: int
    max_bytes: int


class EvictRequest(Document):
    """Which objects are to go."""

    run: OfRun = ""
    older_than_days: float = Field(0.0, ge=0)
    to_bytes: int = Field(0, ge=0, description="stop when no more than this is held")
    dry_run: bool = False


class PullRequest(Document):
    """Which objects are to come back."""

    prefix: str = Field("", max_length=1024, description="as `runs/my-run/`; empty is all")


class MovedDocument(Document):
    """An object that went or came back; `problem` where it could not."""

    key: str
    size_bytes: int
    problem: str = ""


def add_routes(app: FastAPI, uploader: "Uploader") -> None:
    """Add `/v1/uploads` and `/v1/cache`."""

    @app.get("/v1/uploads", tags=["uploads"])
    def uploads(
        state: Annotated[list[State], Query()] = [],  # noqa: B006
        run: Annotated[str, Query(pattern=f"^$|{RUN_ID_PATTERN}")] = "",
        limit: Annotated[int, Query(ge=0, le=10_000)] = 100,
    ) -> UploadsDocument:
        """How the mirror stands, and the objects of these states that changed last."""
        totals = uploader.ledger.totals()
        transfers = list(uploader.mirror.transfers.values()) if uploader.has_remote else []
        return UploadsDocument(
            remote=uploader.place,
            problem="; ".join(uploader.problems()),
            totals={
                state: Total(objects=count, size_bytes=size)
                for state, (count, size) in totals.items()
            },
            transfers=[TransferDocument.model_validate(each) for each in transfers],
            uploads=[
                UploadDocument.model_validate(each)
                for each in uploader.ledger.uploads(state, run, limit)
            ],
        )

    @app.get("/v1/cache", tags=["cache"])
    async def cache() -> CacheDocument:
        """How full the local store is."""
        return CacheDocument.model_validate(await uploader.cache.status())

    @app.post("/v1/cache/evict", tags=["cache"], response_class=StreamingResponse)
    async def evict(wish: EvictRequest) -> StreamingResponse:
        """Give up objects that the remote has, the oldest first; a JSON line for each."""
        older_than = timedelta(seconds=wish.older_than_days * DAY_S)
        moved = uploader.cache.evict(Wish(wish.run, older_than, wish.to_bytes, wish.dry_run))
        return StreamingResponse(_lines(moved), media_type=NDJSON)

    @app.post("/v1/cache/pull", tags=["cache"], response_class=StreamingResponse)
    async def pull(wish: PullRequest) -> StreamingResponse:
        """Bring back what the remote has and the local store has not; a JSON line for each."""
        return StreamingResponse(_lines(uploader.cache.pull(wish.prefix)), media_type=NDJSON)


async def _lines(moved: AsyncIterator[Moved]) -> AsyncIterator[bytes]:
    """A line for each; what ends them early is the last one's problem."""
    try:
        async for each in moved:
            yield MovedDocument.model_validate(each).model_dump_json().encode() + b"\n"
    except PlatformError as error:
        last = MovedDocument(key="", size_bytes=0, problem=str(error))
        yield last.model_dump_json().encode() + b"\n"
