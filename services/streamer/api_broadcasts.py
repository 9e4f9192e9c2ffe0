"""The routes of broadcasts, and the camera as a stream of pictures for the simplest viewers."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, Path, Request
from fastapi.responses import FileResponse, StreamingResponse

from libs.common.errors import NotFound
from libs.common.events import RUN_ID_PATTERN, FilmWish
from services.streamer.broadcast import BroadcastRequest, BroadcastShown
from services.streamer.films import FilmShown, FilmsShown
from services.streamer.relay import check_origin
from services.streamer.run_watch import RunWatch

if TYPE_CHECKING:
    from services.streamer.service import Streamer

RunId = Annotated[str, Path(pattern=RUN_ID_PATTERN, examples=["starter-1"])]
Piece = Annotated[str, Path(pattern=r"^index(\.m3u8|\d+\.ts)$")]

BOUNDARY = "slipstream-picture"
LOOK_S = 0.05
TYPES = {"m3u8": "application/vnd.apple.mpegurl", "ts": "video/mp2t"}


def add_broadcasts(app: FastAPI, streamer: "Streamer") -> None:
    """Add `/v1/runs/{run}/broadcasts`, `/v1/broadcasts` and the camera as MJPEG."""

    async def ours(request: Request) -> None:
        check_origin(request)

    @app.post(
        "/v1/runs/{run_id}/broadcasts",
        status_code=201,
        tags=["video"],
        summary="Show a run as video: UDP, RTMP(S) or HLS",
        dependencies=[Depends(ours)],
    )
    async def begin(run_id: RunId, asked: BroadcastRequest) -> BroadcastShown:
        return await streamer.broadcast(run_id, asked)

    @app.post(
        "/v1/runs/{run_id}/films",
        status_code=202,
        tags=["video"],
        summary="Have a past episode made into an MP4, from its logged poses",
        dependencies=[Depends(ours)],
    )
    async def film(run_id: RunId, wish: FilmWish) -> FilmShown:
        return await streamer.film(run_id, wish)

    @app.get("/v1/runs/{run_id}/films", tags=["video"], summary="The films of a run")
    async def films(run_id: RunId) -> FilmsShown:
        return await streamer.films(run_id)

    @app.get("/v1/broadcasts", tags=["video"], summary="What is on the air, and how it goes")
    async def broadcasts() -> list[BroadcastShown]:
        return streamer.air.shown()

    @app.delete(
        "/v1/broadcasts/{name}",
        status_code=204,
        tags=["video"],
        summary="Go off the air",
        dependencies=[Depends(ours)],
    )
    async def close(name: str) -> None:
        await streamer.air.close(name)

    @app.get("/v1/broadcasts/{name}/{piece}", tags=["video"], summary="HLS: playlist and pieces")
    async def piece_of(name: str, piece: Piece) -> FileResponse:
        path = streamer.air.folder(name) / piece
        if not await asyncio.to_thread(path.is_file):
            raise NotFound(f"broadcast {name!r} has no {piece}; it begins within some seconds")
        headers = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}
        return FileResponse(path, media_type=TYPES[piece.rpartition(".")[2]], headers=headers)

    @app.get(
        "/v1/runs/{run_id}/camera.mjpg",
        tags=["video"],
        summary="The first car's camera as MJPEG",
        response_class=StreamingResponse,
    )
    async def camera(run_id: RunId) -> StreamingResponse:
        watch = await streamer.watched(run_id)
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return StreamingResponse(_pictures(streamer, watch), media_type=kind)


async def _pictures(streamer: "Streamer", watch: RunWatch) -> AsyncIterator[bytes]:
    """Each new picture; a slow viewer gets the newest one when it comes round."""
    last = None
    while not streamer.stopping:
        watch.touch()
        seen = watch.camera.seen
        if seen is not None and seen is not last:
            last = seen
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(seen.jpeg)}"
            yield head.encode() + b"\r\n\r\n" + seen.jpeg + b"\r\n"
        await asyncio.sleep(LOOK_S)
