"""The REST API: tracks, models, health."""

import asyncio
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from libs.common.tracks.exports import export
from services.trainer.api_forms import MODEL_BODY, read_model_form
from services.trainer.documents import (
    Health,
    ModelDocument,
    ModelList,
    ModelSummary,
    RunDocument,
    ServiceHealth,
    StarterDocument,
    TrackDocument,
    TrackList,
    TrackShape,
)
from services.trainer.starters import starters

if TYPE_CHECKING:
    from services.trainer.service import Trainer

BYTES = "application/octet-stream"
TRACK_FILES = (
    ("npy", "track.npy", BYTES),
    ("svg", "track.svg", "image/svg+xml"),
    ("png", "preview.png", "image/png"),
)
"""Kind, path and media type of what a track can be downloaded as."""

NPY_BODY = {
    "requestBody": {
        "required": True,
        "content": {BYTES: {"schema": {"type": "string", "format": "binary"}}},
    }
}


def catalogue_router(trainer: "Trainer") -> APIRouter:
    """What there is: tracks to drive on, models that were trained, services that live."""
    router = APIRouter()
    _add_tracks(router, trainer)
    _add_models(router, trainer)

    @router.get("/health", tags=["health"], summary="The last heartbeat of every service")
    async def health() -> Health:
        services = [ServiceHealth.of(beat, age_s) for beat, age_s in trainer.heartbeats.all()]
        ok = all(service.ready and not service.silent for service in services)
        return Health(ok=ok, services=services)

    return router


def _add_tracks(router: APIRouter, trainer: "Trainer") -> None:
    @router.get("/tracks", tags=["tracks"], summary="List tracks")
    async def list_tracks() -> TrackList:
        return TrackList(items=[TrackDocument.of(entry) for entry in await trainer.tracks.all()])

    @router.post(
        "/tracks",
        status_code=201,
        tags=["tracks"],
        summary="Import a track: an .npy file of six columns, or of a centre line",
        openapi_extra=NPY_BODY,
    )
    async def import_track(
        request: Request,
        response: Response,
        name: Annotated[str, Query(examples=["my_track"])],
        width_m: Annotated[
            float | None, Query(description="Of the road round a centre line; else 1.067")
        ] = None,
    ) -> TrackDocument:
        entry, new = await trainer.tracks.add(name, await request.body(), width_m)
        response.status_code = 201 if new else 200
        return TrackDocument.of(entry)

    @router.get("/tracks/{name}", tags=["tracks"], summary="A track with its lines")
    async def show_track(name: str) -> TrackShape:
        notes = (await trainer.tracks.find(name)).notes
        return await asyncio.to_thread(TrackShape.of, await trainer.tracks.load(name), notes)

    @router.delete(
        "/tracks/{name}", status_code=204, tags=["tracks"], summary="Forget an imported track"
    )
    async def delete_track(name: str) -> None:
        await trainer.delete_track(name)

    for kind, path, media_type in TRACK_FILES:
        _add_track_file(router, trainer, kind, path, media_type)


def _add_track_file(
    router: APIRouter, trainer: "Trainer", kind: str, path: str, media_type: str
) -> None:
    @router.get(
        f"/tracks/{{name}}/{path}",
        tags=["tracks"],
        summary=f"The track as {path.rpartition('.')[2]}",
        response_class=Response,
        responses={200: {"content": {media_type: {}}}},
    )
    async def download_track(name: str) -> Response:
        track = await trainer.tracks.load(name)
        return Response(await asyncio.to_thread(export, track, kind), media_type=media_type)


def _add_models(router: APIRouter, trainer: "Trainer") -> None:
    @router.get("/starters", tags=["models"], summary="Run folders to begin with")
    def list_starters() -> list[StarterDocument]:
        return [StarterDocument(name=name, files=files) for name, files in starters().items()]

    @router.get("/models", tags=["models"], summary="List runs that have a checkpoint")
    async def list_models() -> ModelList:
        return ModelList(items=[ModelSummary.of(record) for record in trainer.models.runs()])

    @router.post(
        "/models",
        status_code=201,
        tags=["models"],
        summary="Import a model folder of another trainer, as a run to start from",
        openapi_extra=MODEL_BODY,
    )
    async def import_model(request: Request) -> RunDocument:
        async with read_model_form(request) as (paths, fields):
            record = await trainer.imports.take(paths, fields.name, fields.track)
        return RunDocument.of(record)

    @router.get("/models/{run_id}", tags=["models"], summary="The checkpoints and files of a run")
    async def show_model(run_id: str) -> ModelDocument:
        record = await trainer.table.get(run_id)
        checkpoints = await trainer.models.checkpoints(record)
        files = await trainer.models.files(run_id)
        return ModelDocument.with_files(record, checkpoints, files)

    @router.get(
        "/models/{run_id}/files/{path:path}",
        tags=["models"],
        summary="Download a file of a run",
        response_class=StreamingResponse,
        responses={200: {"content": {BYTES: {}}}},
    )
    async def download_file(run_id: str, path: str) -> StreamingResponse:
        key, size_bytes = await trainer.models.find_file(run_id, path)
        headers = {"Content-Length": str(size_bytes)}
        chunks = trainer.objects.chunks(key)
        return StreamingResponse(chunks, media_type=BYTES, headers=headers)
