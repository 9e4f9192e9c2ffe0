"""The REST API: runs and their evaluations. What there is besides is in the routers beside it."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from libs.common.bus import Received
from libs.common.errors import Unavailable
from libs.common.events import EpisodeEnded
from services.trainer import pages
from services.trainer.api_catalogue import catalogue_router
from services.trainer.api_forms import QUEUE_BODY, RESPONSES, read_draft
from services.trainer.api_models import models_router, races_router
from services.trainer.body_limit import MAX_MODEL_BYTES, BodyLimit
from services.trainer.documents import (
    CheckDocument,
    EvaluationDocument,
    EvaluationList,
    EvaluationRequest,
    RunDocument,
    RunPage,
    StopRequest,
)
from services.trainer.run_events import run_events
from services.trainer.runs import RunRecord, Status
from services.trainer.submissions import CloneRequest

if TYPE_CHECKING:
    from services.trainer.service import Trainer

IdempotencyKey = Annotated[
    str | None,
    Header(description="The same key with the same request again gives the run it made"),
]


def add_routes(app: FastAPI, trainer: "Trainer") -> None:
    """Everything below `/v1`; it answers 503 until the service is ready."""

    def ready() -> None:
        if not trainer.ready:
            raise Unavailable("the trainer is starting or stopping; try again in a moment")

    app.add_middleware(BodyLimit, larger={"/v1/models": MAX_MODEL_BYTES})
    makers = (runs_router, evaluations_router, models_router, races_router, catalogue_router)
    for make in makers:
        router = make(trainer)
        app.include_router(router, prefix="/v1", dependencies=[Depends(ready)], responses=RESPONSES)


def runs_router(trainer: "Trainer") -> APIRouter:
    """Queue, list, show, follow, stop, resume, clone, delete."""
    router = APIRouter(prefix="/runs", tags=["runs"])

    async def run(run_id: str) -> RunRecord:
        return await trainer.table.get(run_id)

    @router.post("", status_code=201, summary="Queue a run", openapi_extra=QUEUE_BODY)
    async def queue_run(
        request: Request, response: Response, idempotency_key: IdempotencyKey = None
    ) -> RunDocument:
        record, new = await trainer.submit(await read_draft(request), idempotency_key)
        response.status_code = 201 if new else 200
        return RunDocument.of(record)

    @router.post("/check", summary="Check a run folder as for a run, and queue nothing")
    async def check_run(request: Request) -> CheckDocument:
        submission = await trainer.check(await read_draft(request))
        return CheckDocument(name=submission.spec.name, warnings=submission.warnings)

    @router.get("", summary="List runs, the newest first")
    async def list_runs(
        status: Status | None = None,
        track: str | None = None,
        name: Annotated[str, Query(description="A part of their names")] = "",
        limit: pages.Limit = pages.DEFAULT,
        cursor: str | None = None,
    ) -> RunPage:
        records = trainer.table.all()
        matching = (r for r in records if status in (None, r.status))
        on_track = (r for r in matching if track in (None, r.track.name))
        named = (r for r in on_track if name in r.run_id)
        items, following = pages.page(named, limit, cursor)
        return RunPage(items=[RunDocument.of(item) for item in items], next=following)

    @router.get("/{run_id}", summary="Show a run")
    async def show_run(record: Annotated[RunRecord, Depends(run)]) -> RunDocument:
        return RunDocument.of(record)

    @router.get(
        "/{run_id}/events",
        summary="Follow a run: its events so far, then those to come, until it ends",
        response_class=EventSourceResponse,
    )
    async def follow_run(
        record: Annotated[RunRecord, Depends(run)],
        columns: Annotated[bool, Query(description="Episodes with all their steps")] = False,
        last_event_id: Annotated[int, Header(ge=0)] = 0,
    ) -> AsyncIterator[ServerSentEvent]:
        events = run_events(
            trainer.bus, trainer.table, record, last_event_id, trainer.stop_requested
        )
        async for received in events:
            yield _sent(received, columns)

    @router.post("/{run_id}/stop", summary="End a run, with a last checkpoint")
    async def stop_run(
        run_id: str, body: Annotated[StopRequest | None, Body()] = None
    ) -> RunDocument:
        reason = (body or StopRequest()).reason
        return RunDocument.of(await trainer.queue.stop(run_id, reason))

    @router.post("/{run_id}/resume", summary="Queue an ended run again, from its last checkpoint")
    async def resume_run(run_id: str) -> RunDocument:
        return RunDocument.of(await trainer.queue.resume(run_id))

    @router.post(
        "/{run_id}/clone", status_code=201, summary="A new run from a checkpoint of this one"
    )
    async def clone_run(
        record: Annotated[RunRecord, Depends(run)],
        body: Annotated[CloneRequest | None, Body(openapi_examples=CLONE_EXAMPLES)] = None,
    ) -> RunDocument:
        return RunDocument.of(await trainer.clone(record, body or CloneRequest()))

    @router.delete("/{run_id}", status_code=204, summary="Forget a run and its objects")
    async def delete_run(run_id: str) -> None:
        await trainer.delete(run_id)

    return router


def evaluations_router(trainer: "Trainer") -> APIRouter:
    """Have checkpoints driven, and see what came of it."""
    router = APIRouter(prefix="/runs/{run_id}/evaluations", tags=["evaluations"])

    @router.post("", status_code=202, summary="Evaluate a checkpoint")
    async def evaluate(
        run_id: str,
        body: Annotated[
            EvaluationRequest | None, Body(openapi_examples=EVALUATION_EXAMPLES)
        ] = None,
    ) -> EvaluationDocument:
        asked = body or EvaluationRequest()
        record = await trainer.evaluations.ask(
            run_id,
            asked.checkpoint,
            asked.trials,
            asked.track,
            asked.rules,
            asked.opponents,
        )
        return EvaluationDocument.of(record)

    @router.get("", summary="List the evaluations of a run")
    async def list_evaluations(run_id: str) -> EvaluationList:
        records = await trainer.evaluations.all(run_id)
        return EvaluationList(items=[EvaluationDocument.of(record) for record in records])

    @router.get("/{evaluation_id}", summary="Show an evaluation")
    async def show_evaluation(run_id: str, evaluation_id: str) -> EvaluationDocument:
        return EvaluationDocument.of(await trainer.evaluations.get(run_id, evaluation_id))

    return router


def _sent(received: Received, columns: bool) -> ServerSentEvent:
    message = received.message
    short = isinstance(message, EpisodeEnded) and not columns
    text = message.model_dump_json(exclude={"columns"}) if short else received.data.decode()
    return ServerSentEvent(event=message.type_name, id=str(received.sequence), raw_data=text)


CLONE_EXAMPLES: Any = {
    "slower": {
        "summary": "Another learning rate, from the best checkpoint",
        "value": {"name": "starter-2", "hyperparameters": {"lr": 0.0001}},
    },
    "actions": {
        "summary": "Two actions, from checkpoint 12",
        "value": {
            "checkpoint": 12,
            "action_space": [
                {"steering_angle": -20, "speed": 2},
                {"steering_angle": 20, "speed": 2},
            ],
        },
    },
}
EVALUATION_EXAMPLES: Any = {
    "best": {"summary": "The best checkpoint", "value": {"checkpoint": "best", "trials": 5}},
    "number": {"summary": "A checkpoint by number", "value": {"checkpoint": 12, "trials": 3}},
}
