"""Packages a checkpoint: two archives, in a folder and in the store."""

import asyncio
import hashlib
from pathlib import Path

from libs.common.deepracer import layout
from libs.common.errors import Unavailable
from libs.common.events import CheckpointRef, ModelPackaged, ObjectRef
from libs.common.objects import ObjectStore
from services.submitter.model import car_tree, virtual_tree
from services.submitter.store import ModelStore
from services.submitter.tarball import pack, write_whole


class Packager:
    """The same checkpoint again gives the same archives, which are then left alone."""

    def __init__(self, objects: ObjectStore, models: ModelStore, folder: Path) -> None:
        self._objects, self._models, self._folder = objects, models, folder
        self._one_at_a_time = asyncio.Lock()

    async def package(self, run_id: str, checkpoint: CheckpointRef) -> ModelPackaged:
        """
        Package a checkpoint and return the event that tells of it.

        Raises:
            NotFound: a file of the checkpoint is gone.
            Unavailable: the store is away, or the folder can't be written.
        """
        async with self._one_at_a_time:
            model = await self._models.load(run_id, checkpoint)
            car = await asyncio.to_thread(pack, car_tree(model))
            virtual = await asyncio.to_thread(pack, virtual_tree(model))
            folder, stem = self._folder / run_id, f"{run_id}-{checkpoint.number}"
            await _write(folder / f"{stem}-car.tar.gz", car)
            await _write(folder / f"{stem}-virtual.tar.gz", virtual)
            artifacts = (
                await self._put(layout.car_archive(run_id), car),
                await self._put(virtual_archive(run_id), virtual),
            )
        return ModelPackaged(
            id=_identity(run_id, checkpoint, artifacts),
            run_id=run_id,
            checkpoint=checkpoint,
            target=folder.as_uri(),
            artifacts=artifacts,
        )

    async def _put(self, key: str, data: bytes) -> ObjectRef:
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        there = await self._objects.head(key)
        if there is not None and there.sha256 == digest:
            return there
        return await self._objects.put(key, data)


def virtual_archive(run_id: str) -> str:
    """Key of the virtual model, beside the car's archive."""
    return f"{layout.run_prefix(run_id)}/output/virtual-model.tar.gz"


async def _write(path: Path, data: bytes) -> None:
    try:
        await asyncio.to_thread(write_whole, path, data)
    except OSError as error:
        raise Unavailable(f"{path} can't be written: {error}") from error


def _identity(run_id: str, checkpoint: CheckpointRef, artifacts: tuple[ObjectRef, ...]) -> str:
    """The same package has the same id: it is told once."""
    parts = (run_id, checkpoint.name, *(artifact.sha256 for artifact in artifacts))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
