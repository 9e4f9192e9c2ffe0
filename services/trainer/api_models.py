"""The REST API: models, where they come from, and the races between them."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from services.trainer import pages
from services.trainer.api_forms import MODEL_BODY, read_model_form
from services.trainer.differences import differences
from services.trainer.documents import RunDocument
from services.trainer.league import RankBy, boards, places
from services.trainer.lineage import Lineage, lineage
from services.trainer.model_documents import (
    BoardDocument,
    BoardList,
    DifferencesDocument,
    ExportDocument,
    ExportRequest,
    ModelDocument,
    ModelList,
    ModelSummary,
)
from services.trainer.scores import scores_of

if TYPE_CHECKING:
    from services.trainer.service import Trainer

BYTES, VIDEO = "application/octet-stream", "video/mp4"
MOST_COMPARED = 10


def models_router(trainer: "Trainer") -> APIRouter:
    """What was trained: checkpoints, files, descent."""
    router = APIRouter(prefix="/models", tags=["models"])

    @router.get("", summary="List runs that have a checkpoint, the newest first")
    async def list_models(
        name: Annotated[str, Query(description="A part of their names")] = "",
        limit: pages.Limit = pages.DEFAULT,
        cursor: str | None = None,
    ) -> ModelList:
        matching = (record for record in trainer.models.runs() if name in record.run_id)
        items, following = pages.page(matching, limit, cursor)
        return ModelList(items=[ModelSummary.of(item) for item in items], next=following)

    @router.post(
        "",
        status_code=201,
        summary="Import a model folder of another trainer, as a run to start from",
        openapi_extra=MODEL_BODY,
    )
    async def import_model(request: Request) -> RunDocument:
        async with read_model_form(request) as (paths, fields):
            record = await trainer.imports.take(paths, fields.name, fields.track)
        return RunDocument.of(record)

    @router.get("/{run_id}", summary="The checkpoints and files of a run")
    async def show_model(run_id: str) -> ModelDocument:
        record = await trainer.table.get(run_id)
        checkpoints = await trainer.models.checkpoints(record)
        asked = {each.evaluation_id: each.rules for each in await trainer.evaluations.all(run_id)}
        scores = scores_of(record, await trainer.models.evaluations(record), asked)
        files = await trainer.models.files(run_id)
        return ModelDocument.with_files(record, checkpoints, scores, files)

    @router.get(
        "/{run_id}/files/{path:path}",
        summary="Download a file of a run",
        response_class=StreamingResponse,
        responses={200: {"content": {BYTES: {}}}},
    )
    async def download_file(run_id: str, path: str) -> StreamingResponse:
        key, size_bytes = await trainer.models.find_file(run_id, path)
        headers = {"Content-Length": str(size_bytes)}
        chunks = trainer.objects.chunks(key)
        media_type = VIDEO if path.endswith(".mp4") else BYTES  # browsers play what says it is one
        return StreamingResponse(chunks, media_type=media_type, headers=headers)

    @router.post(
        "/{run_id}/exports",
        summary="Write a checkpoint as ONNX or OpenVINO; again gives the same, at once",
    )
    async def export_model(run_id: str, asked: ExportRequest) -> ExportDocument:
        made = await trainer.exports.export(run_id, asked.checkpoint, asked.format)
        return ExportDocument.of(run_id, *made)

    @router.get("/{run_id}/lineage", summary="Which runs it came of and which came of it")
    async def show_lineage(run_id: str) -> Lineage:
        return lineage(await trainer.table.get(run_id), trainer.table.all())

    return router


def races_router(trainer: "Trainer") -> APIRouter:
    """The local league, and runs beside each other."""
    router = APIRouter(tags=["races"])

    @router.get("/races", summary="List the boards of the local league, the newest entry first")
    async def list_boards() -> BoardList:
        return BoardList(items=boards(await trainer.evaluations.of_all_runs()))

    @router.get("/races/{board_id}", summary="A board and the models on it, the best first")
    async def show_board(board_id: str, by: RankBy = "best_lap") -> BoardDocument:
        board, placed = places(await trainer.evaluations.of_all_runs(), board_id, by)
        return BoardDocument(board=board, by=by, places=placed)

    @router.get("/differences", summary="The settings that runs differ in")
    async def show_differences(
        run: Annotated[list[str], Query(min_length=2, max_length=MOST_COMPARED)],
    ) -> DifferencesDocument:
        specs = [(await trainer.table.get(name)).spec for name in run]
        found, compared = differences(specs)
        return DifferencesDocument(runs=run, compared=compared, differences=found)

    return router
