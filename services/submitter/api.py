"""The submitter's HTTP API."""

from typing import TYPE_CHECKING

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from libs.common.deepracer.run_spec import CheckpointChoice
from libs.common.events import RUN_ID_PATTERN, CheckpointRef, ModelPackaged, ObjectRef

if TYPE_CHECKING:
    from services.submitter.service import Submitter


class PackageRequest(BaseModel):
    """Which model is wanted."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"run": "starter-1", "checkpoint": "best"}]}
    )

    run: str = Field(pattern=RUN_ID_PATTERN)
    checkpoint: CheckpointChoice = "best"


class Package(BaseModel):
    """Where a packaged model is."""

    run: str
    checkpoint: CheckpointRef
    folder: str  # file:///…, holds the archives of every checkpoint that was packaged
    archives: tuple[ObjectRef, ...]  # in the store: the car's, then the virtual league's


def add_routes(app: FastAPI, submitter: "Submitter") -> None:
    """Add `/v1/packages`."""

    @app.post("/v1/packages", tags=["packages"], status_code=201)
    async def package(request: PackageRequest) -> Package:
        """Package a checkpoint for the car and for the virtual league; again gives the same."""
        return _document(await submitter.package(request.run, request.checkpoint))


def _document(event: ModelPackaged) -> Package:
    return Package(
        run=event.run_id,
        checkpoint=event.checkpoint,
        folder=event.target,
        archives=event.artifacts,
    )
