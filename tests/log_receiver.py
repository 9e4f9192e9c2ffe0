"""An HTTP server that keeps what it is sent: the other side of log forwarders."""

import asyncio
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from tests.servers import free_port


class LogReceiver:
    """Keeps the body of each POST by its path; answers `refusals` of them with 503 first."""

    def __init__(self, answer: dict[str, object], refusals: int = 0) -> None:
        self.answer, self.refusals = answer, refusals
        self.bodies: list[tuple[str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.refused = 0
        app = FastAPI()

        @app.post("/{path:path}")
        async def take(path: str, request: Request) -> Response:
            body = await request.body()
            if self.refused < self.refusals:
                self.refused += 1
                return Response("too busy", 503)
            self.bodies.append((path, body))
            self.headers.append(dict(request.headers))
            return JSONResponse(self.answer)

        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._server = uvicorn.Server(
            uvicorn.Config(app, port=port, log_config=None, lifespan="off")
        )

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # uvicorn has no event for it
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        await self._task
