"""How a run is sent to `POST /v1/runs`: as JSON or as a form."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from libs.common.deepracer.checked import quote
from libs.common.errors import InvalidInput
from libs.common.health import PROBLEM_JSON
from services.trainer.submissions import (
    Draft,
    ImportFields,
    draft_of_form,
    draft_of_json,
    fields_of_import,
)

JSON = "application/json"
FORM = "multipart/form-data"
MOST_PARTS = 64


async def read_draft(request: Request) -> Draft:
    """
    What was sent, decoded.

    Raises:
        InvalidInput: another content type, malformed JSON, a malformed form, unknown fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        return await asyncio.to_thread(draft_of_json, await request.body())
    if kind == FORM:
        return await _read_form(request)
    raise InvalidInput(f"content type {quote(kind)}; accepted: {JSON}, {FORM}")


async def _read_form(request: Request) -> Draft:
    try:
        async with request.form(max_files=MOST_PARTS, max_fields=MOST_PARTS) as form:
            return draft_of_form(await _files_in(form), _fields_in(form))
    except HTTPException as error:
        raise InvalidInput(f"the form: {error.detail}") from error


@asynccontextmanager
async def read_model_form(request: Request) -> AsyncIterator[tuple[dict[str, Path], ImportFields]]:
    """
    The files of a model folder on this machine, by their paths in it, and what was said beside.

    Raises:
        InvalidInput: another content type, a malformed form, unknown fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise InvalidInput(f"content type {quote(kind)}; accepted: {FORM}")
    with tempfile.TemporaryDirectory(prefix="slipstream-upload-") as folder:
        try:
            async with request.form(max_files=MOST_PARTS, max_fields=MOST_PARTS) as form:
                fields = fields_of_import(_fields_in(form))
                paths = await asyncio.to_thread(_keep_files, form, Path(folder))
        except HTTPException as error:
            raise InvalidInput(f"the form: {error.detail}") from error
        yield paths, fields


def _keep_files(form: FormData, folder: Path) -> dict[str, Path]:
    """Numbered files, so that no name that was sent leads anywhere."""
    paths: dict[str, Path] = {}
    for number, (field, part) in enumerate(form.multi_items()):
        if isinstance(part, UploadFile):
            path = paths[part.filename or field] = folder / str(number)
            with path.open("wb") as file:
                shutil.copyfileobj(part.file, file)
    return paths


async def _files_in(form: FormData) -> dict[str, bytes]:
    """Contents by file name; a part without one goes by its field's."""
    files: dict[str, bytes] = {}
    for field, part in form.multi_items():
        if isinstance(part, UploadFile):
            name = part.filename or field
            if name in files:
                raise InvalidInput(f"the form: file {quote(name)} is there twice")
            files[name] = await part.read()
    return files


def _fields_in(form: FormData) -> dict[str, str]:
    """Text fields; one that is left empty was not given."""
    return {field: part for field, part in form.multi_items() if isinstance(part, str) and part}


_REWARD = (
    "def reward_function(params):\n"
    "    off = params['distance_from_center'] / params['track_width']\n"
    "    return 1.0 - off if params['all_wheels_on_track'] else 1e-3\n"
)
_METADATA = (
    '{"action_space": [{"steering_angle": -20, "speed": 1.5, "index": 0},'
    ' {"steering_angle": 0, "speed": 2.5, "index": 1},'
    ' {"steering_angle": 20, "speed": 1.5, "index": 2}], "version": "5"}'
)
_FILES = {
    "reward_function.py": _REWARD,
    "model_metadata.json": _METADATA,
    "hyperparameters.json": '{"preset": "sprint"}',
    "run.yaml": "track: loop\nlimits: {max_seconds: 600}\n",
}
_OVERRIDES = {
    "name": {"type": "string", "description": "Unique; made of the folder's where left out"},
    "track": {"type": "string"},
    "seed": {"type": "integer"},
    "priority": {"type": "integer", "description": "Higher goes first; 0 where left out"},
}

QUEUE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {
                            "type": "object",
                            "description": "The run folder: text by file name",
                            "additionalProperties": {"type": "string"},
                        },
                        "spec": {"type": "object", "description": "A RunSpec, instead of files"},
                        **_OVERRIDES,
                    },
                },
                "examples": {
                    "folder": {
                        "summary": "A run folder",
                        "value": {"files": _FILES, "name": "my-first", "track": "loop"},
                    }
                },
            },
            FORM: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        },
                        **_OVERRIDES,
                    },
                }
            },
        },
    }
}

MODEL_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["files", "name"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        },
                        "name": {"type": "string", "description": "Of the run that it becomes"},
                        "track": {
                            "type": "string",
                            "description": "Where it is evaluated; else the one the folder names",
                        },
                    },
                }
            }
        },
    }
}

_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "string"}},
    },
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {PROBLEM_JSON: {"schema": _PROBLEM}}}
    for status, text in {
        404: "Nothing has that name",
        409: "The present state does not allow it",
        413: "Too large",
        422: "Every problem of the request, in `errors`",
        503: "The trainer, the bus or the store is not there at the moment",
    }.items()
}
"""The problem details (RFC 9457) that every route may answer with."""
