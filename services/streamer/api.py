"""The routes: the page, its live stream, and the same figures for programs."""

import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.sse import format_sse_event
from fastapi.staticfiles import StaticFiles

from libs.common.errors import NotFound
from libs.common.events import RUN_ID_PATTERN
from services.streamer.api_broadcasts import add_broadcasts
from services.streamer.assets import PAGE, plotly_script
from services.streamer.catalogue import RunList
from services.streamer.curves import CurveRows
from services.streamer.heartbeats import ServicesShown, Targets
from services.streamer.relay import add_relay
from services.streamer.scoreboard import Figures
from services.streamer.shown import Shown
from services.streamer.track_shape import TrackShape
from services.streamer.viewers import Viewer

if TYPE_CHECKING:
    from services.streamer.service import Streamer

RunId = Annotated[str, Path(pattern=RUN_ID_PATTERN, examples=["starter-1"])]

RECONNECT_MS = 1000
EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}},
    404: {"description": "No such run"},
}
REVALIDATE = {"Cache-Control": "no-cache"}  # by its ETag: an update of the page shows at once
# The page loads nothing from elsewhere; plotly writes style attributes.
POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'"


class Hello(Shown):
    """First on every stream: the server's clock, epoch seconds, for durations that tick."""

    now_s: float
    run_id: str | None


class ScoreboardShown(Shown):
    """Figures and curves of one run as of the stream's `sequence`."""

    sequence: int
    figures: Figures
    curves: CurveRows


class _Revalidated(StaticFiles):
    """Files that a browser asks about each time, instead of guessing how long they keep."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(REVALIDATE)
        return response


def add_routes(app: FastAPI, streamer: "Streamer") -> None:
    """Add all routes of the streamer to its HTTP server."""
    _add_page(app)
    _add_figures(app, streamer)
    _add_pictures(app, streamer)
    _add_live(app, streamer)
    add_broadcasts(app, streamer)
    add_relay(app, streamer.relay)


PAGES = {
    "/": "index.html",
    "/runs/{run_id}": "index.html",
    "/manage": "manage.html",
    "/models": "models.html",
    "/races": "races.html",
    "/compare": "compare.html",
    "/overlay/{run_id}": "overlay.html",
    "/classic/{run_id}": "classic.html",
}


def _add_page(app: FastAPI) -> None:
    def page(name: str) -> Callable[[], FileResponse]:
        headers = {**REVALIDATE, "Content-Security-Policy": POLICY}
        return lambda: FileResponse(PAGE / name, headers=headers)

    for path, name in PAGES.items():
        app.add_api_route(path, page(name), include_in_schema=False, response_model=None)

    @app.get("/static/plotly.min.js", include_in_schema=False)
    async def plotly() -> FileResponse:
        return FileResponse(plotly_script(), media_type="text/javascript", headers=REVALIDATE)

    app.mount("/static", _Revalidated(directory=PAGE), name="static")


def _add_figures(app: FastAPI, streamer: "Streamer") -> None:
    @app.get("/v1/runs", tags=["runs"], summary="What is running first, then the newest")
    async def runs(limit: Annotated[int, Query(ge=1, le=10_000)] = 200) -> RunList:
        return streamer.runs(limit)

    @app.get("/v1/prometheus", tags=["health"], summary="Every replica's /metrics (http_sd)")
    async def prometheus() -> list[Targets]:
        return streamer.targets()

    @app.get("/v1/services", tags=["health"], summary="Every service's heartbeat")
    async def services() -> ServicesShown:
        return streamer.services()

    @app.get("/v1/runs/{run_id}/scoreboard", tags=["runs"], summary="Figures and curves")
    async def scoreboard(run_id: RunId) -> ScoreboardShown:
        board = (await streamer.watched(run_id)).scoreboard
        curves, _ = board.curves.since(None)
        return ScoreboardShown(sequence=board.sequence, figures=board.figures(), curves=curves)


def _add_pictures(app: FastAPI, streamer: "Streamer") -> None:
    @app.get("/v1/runs/{run_id}/track", tags=["runs"], summary="The shape of its track, metres")
    async def track(run_id: RunId) -> TrackShape:
        return await streamer.track(run_id)

    @app.get(
        "/v1/runs/{run_id}/camera.jpg",
        tags=["runs"],
        summary="What the first car's camera saw last",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, 404: {"description": "No picture yet"}},
    )
    async def camera(run_id: RunId) -> Response:
        watch = await streamer.watched(run_id)
        watch.touch()
        if watch.camera.seen is None:
            raise NotFound(f"no picture of run {run_id!r} yet; one comes when a simulator drives")
        headers = {"Cache-Control": "no-store"}
        return Response(watch.camera.seen.jpeg, media_type="image/jpeg", headers=headers)


def _add_live(app: FastAPI, streamer: "Streamer") -> None:
    """
    The streams. A viewer is a dependency so that it is let go with the request, whatever ended it.
    """

    async def viewer_of_run(
        run_id: RunId,
        saliency: Annotated[bool, Query(description="What in the pictures weighs most")] = False,
    ) -> AsyncIterator[Viewer]:
        async with streamer.viewer(run_id, saliency=saliency) as viewer:
            yield viewer

    async def viewer_of_list() -> AsyncIterator[Viewer]:
        async with streamer.viewer(None) as viewer:
            yield viewer

    @app.get("/v1/live", response_class=StreamingResponse, responses=EVENT_STREAM, tags=["live"])
    async def live_list(viewer: Annotated[Viewer, Depends(viewer_of_list)]) -> Response:
        """The runs and services, as they change."""
        return _stream(streamer, viewer, None)

    @app.get(
        "/v1/live/{run_id}", response_class=StreamingResponse, responses=EVENT_STREAM, tags=["live"]
    )
    async def live_run(
        run_id: RunId, viewer: Annotated[Viewer, Depends(viewer_of_run)]
    ) -> Response:
        """Everything of one run: all of it first, then what changes."""
        return _stream(streamer, viewer, run_id)


def _stream(streamer: "Streamer", viewer: Viewer, run_id: str | None) -> StreamingResponse:
    # FastAPI's EventSourceResponse logs a traceback when a viewer leaves while it sends; this one
    # is cancelled quietly. Keep-alive is the topic `services`.
    events = _events(viewer, run_id, streamer.settings.push_every_s)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(viewer: Viewer, run_id: str | None, every_s: float) -> AsyncIterator[bytes]:
    hello = Hello(now_s=time.time(), run_id=run_id)
    yield format_sse_event(event="hello", data_str=hello.model_dump_json(), retry=RECONNECT_MS)
    async for push in viewer.pushes(every_s):
        yield format_sse_event(event=push.topic, data_str=push.data, id=str(push.sequence))
