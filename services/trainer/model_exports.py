"""Checkpoints in the formats that others run, made when somebody asks for them."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Literal

from libs.common.bus import Bus
from libs.common.deepracer import layout
from libs.common.deepracer.run_spec import CheckpointChoice
from libs.common.errors import PlatformError
from libs.common.events import CheckpointRef, ModelExported, ObjectRef
from libs.common.objects import ObjectStore, split_uri
from services.trainer.models import Models

Format = Literal["onnx", "openvino", "openvino-fp16"]

METADATA = "model_metadata.json"
GIVING_WAY = ("nice", "-n", "19")
SAID_KEPT = 400
"""Characters of what a process that broke said last."""


class ModelExports:
    """
    One export at a time, in a process that gives way to learners; what was made is kept.

    TensorFlow lives in learner processes alone, and the conversion takes seconds of a processor.
    """

    def __init__(self, bus: Bus, objects: ObjectStore, models: Models) -> None:
        self._bus, self._objects, self._models = bus, objects, models
        self._turn = asyncio.Lock()

    async def export(
        self, run_id: str, choice: CheckpointChoice, kind: Format
    ) -> tuple[CheckpointRef, list[ObjectRef]]:
        """
        A checkpoint of a run and its files in this format.

        Raises:
            NotFound, Conflict, InvalidInput: there is no such run or checkpoint.
            PlatformError: it could not be converted, or does not do what the policy does.
        """
        checkpoint = await self._models.checkpoint(run_id, choice)
        async with self._turn:
            if known := await self._known(run_id, checkpoint, kind):
                return checkpoint, known
            made = await self._make(run_id, checkpoint, kind)
        await self._bus.publish(
            ModelExported(
                id=f"{run_id}.{checkpoint.name}.{kind}",
                run_id=run_id,
                checkpoint=checkpoint,
                format=kind,
                artifacts=tuple(made),
            )
        )
        return checkpoint, made

    async def _known(self, run_id: str, checkpoint: CheckpointRef, kind: str) -> list[ObjectRef]:
        folder = layout.export_file(run_id, checkpoint.number, kind, "")
        keys = [key async for key, _ in self._objects.keys(folder)]
        found = [await self._objects.head(key) for key in keys]
        return [reference for reference in found if reference is not None]

    async def _make(self, run_id: str, checkpoint: CheckpointRef, kind: str) -> list[ObjectRef]:
        with tempfile.TemporaryDirectory(prefix="slipstream-export-") as temporary:
            source, output = Path(temporary) / "model", Path(temporary) / "out"
            source.mkdir()
            for reference in checkpoint.files:
                name = split_uri(reference.uri)[1].rpartition("/")[2]
                data = await self._objects.get(reference)
                await asyncio.to_thread((source / name).write_bytes, data)
            metadata = await self._objects.get_key(layout.model_metadata(run_id))
            await asyncio.to_thread((source / METADATA).write_bytes, metadata)
            files = await _convert(source, checkpoint.name, output, kind)
            return [
                await self._objects.put_file(
                    layout.export_file(run_id, checkpoint.number, kind, file.name), file
                )
                for file in files
            ]


async def _convert(source: Path, name: str, output: Path, kind: str) -> list[Path]:
    """What `slipstream model export` writes: read back and compared before it is handed over."""
    options = ("--output", str(output), "--format", kind, "--checkpoint", name, "--json")
    process = await asyncio.create_subprocess_exec(
        *GIVING_WAY,
        *(sys.executable, "-m", "libs.cli", "model", "export", str(source), *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        told, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = said.decode(errors="replace").strip()[-SAID_KEPT:]
        raise PlatformError(f"{name} could not be exported as {kind}: {last}")
    [made] = json.loads(told)
    return [Path(file) for file in made["files"]]
