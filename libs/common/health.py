"""`/healthz` and `/readyz`, and how a PlatformError looks over HTTP (RFC 9457)."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from libs.common.errors import InvalidInput, PlatformError

PROBLEM_JSON = "application/problem+json"


def add_health(
    app: FastAPI, missing: Callable[[], list[str]], problems: Callable[[], list[str]]
) -> None:
    """
    Add the two probes.

    `/healthz` answers while the event loop turns; `/readyz` answers 503 with what is wrong until
    both return an empty list. It has `started` where nothing is `missing`: what else is a problem
    lies outside, and whoever starts the stack need not wait for it.
    """

    @app.get("/healthz", tags=["health"], summary="The event loop answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], summary="Bus connected, subscriptions bound")
    async def readyz(response: Response) -> dict[str, Any]:
        not_there = missing()
        wrong = not_there + problems()
        response.status_code = 503 if wrong else 200
        return {"ready": not wrong, "started": not not_there, "missing": wrong}


def problem(status: int, title: str, detail: str, errors: list[str] | None = None) -> JSONResponse:
    """A problem-details document."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return JSONResponse(body, status, media_type=PROBLEM_JSON)


def add_problem_details(app: FastAPI) -> None:
    """Answer every error as problem details, with all problems of an invalid input."""

    @app.exception_handler(PlatformError)
    async def platform(_: Request, error: PlatformError) -> JSONResponse:
        errors = error.problems if isinstance(error, InvalidInput) else None
        return problem(error.status_code, error.title, str(error), errors)

    @app.exception_handler(RequestValidationError)
    async def validation(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            f" (got {str(item.get('input'))[:80]!r})"
            for item in error.errors()
        ]
        return problem(422, InvalidInput.title, "; ".join(errors), errors)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), str(error.detail))
