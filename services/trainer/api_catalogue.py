"""The REST API: tracks, starters, health. Models and what came of them are in `api_models.py`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response

from libs.common.deepracer.metadata import NeuralNetwork
from libs.common.tracks.exports import export
from services.trainer.documents import (
    Health,
    ServiceHealth,
    StarterDocument,
    TrackDocument,
    TrackList,
    TrackShape,
)
from services.trainer.knobs import Algorithm, Knob, Preset, Version, knobs
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
    """What there is: tracks to drive on, folders to begin with, services that live."""
    router = APIRouter()
    _add_tracks(router, trainer)

    @router.get("/starters", tags=["models"], summary="Run folders to begin with")
    def list_starters() -> list[StarterDocument]:
        return [StarterDocument(name=name, files=files) for name, files in starters().items()]

    @router.get(
        "/hyperparameters",
        tags=["models"],
        summary="Every hyperparameter with its range, and what a preset has for such a model",
    )
    def list_hyperparameters(
        preset: Preset = "deepracer",
        neural_network: NeuralNetwork = "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
        training_algorithm: Algorithm = "clipped_ppo",
        version: Version = "5",
    ) -> list[Knob]:
        return knobs(preset, neural_network, training_algorithm, version)

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
