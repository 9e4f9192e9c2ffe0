"""The logger's HTTP API: journals, as they are written."""

from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Path, Query
from fastapi.responses import StreamingResponse

from libs.common.deepracer.simtrace import TRACE_FIELDS
from libs.common.events import RUN_ID_PATTERN
from services.logger.playback import Level, Selection, event_types
from services.logger.text_log import LogKind, TextLog

if TYPE_CHECKING:
    from services.logger.service import Logger

RunId = Annotated[str, Path(pattern=RUN_ID_PATTERN, description="or `platform`")]
After = Annotated[int, Query(ge=0, description="lines of the journal that are left out")]
Fields = Annotated[int, Query(description="of a `SIM_TRACE_LOG:` line: 19, 17, 16 or 15")]
Events = Annotated[list[str], Query(description="`RunEnded` or `evt.run.ended.v1`; any of them")]


def add_routes(app: FastAPI, logger: "Logger") -> None:
    """Add `/v1/journal`."""

    @app.get("/v1/journal/{run_id}", tags=["journal"], response_class=StreamingResponse)
    async def journal(
        run_id: RunId,
        after: After = 0,
        service: str = "",
        level: Level | None = None,
        event: Events = [],  # noqa: B006
        follow: bool = False,
    ) -> StreamingResponse:
        """The events of a run as JSON lines; with `follow` also those to come."""
        selection = Selection(service, level, event_types(event))
        lines = await logger.play(run_id, selection, after, follow)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    @app.get("/v1/journal/{run_id}/{kind}.log", tags=["journal"], response_class=StreamingResponse)
    async def text_log(
        run_id: RunId,
        kind: LogKind,
        after: After = 0,
        fields: Fields = TRACE_FIELDS[0],
        follow: bool = False,
    ) -> StreamingResponse:
        """The run's training as DeepRacer's simulator or trainer prints it."""
        lines = await logger.play(run_id, TextLog(kind, fields), after, follow)
        return StreamingResponse(lines, media_type="text/plain")
