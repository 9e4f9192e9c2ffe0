"""Checkpoints and models as they lie in the store, in DeepRacer's layout."""

import re
from dataclasses import dataclass

from libs.common.deepracer import layout
from libs.common.deepracer.run_spec import CheckpointChoice
from libs.common.errors import InvalidInput, NotFound
from libs.common.events import CheckpointRef, ObjectRef
from libs.common.objects import ObjectStore, split_uri
from services.submitter.checkpoint_list import CheckpointList, parse_checkpoint_list
from services.submitter.model import Model

_INDEX = re.compile(r"((\d+)_Step-(\d+)\.ckpt)\.index")


@dataclass(frozen=True)
class _Found:
    """A checkpoint by its files' names."""

    name: str
    number: int
    env_steps: int


class ModelStore:
    """Reads runs' models."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def find(self, run_id: str, choice: CheckpointChoice) -> CheckpointRef:
        """
        One checkpoint of a run; where no best one was chosen, the last one is it.

        Raises:
            NotFound: the run has none.
            InvalidInput: it has none of that number; those that there are are named.
        """
        folder = f"{layout.model_folder(run_id)}/"
        names = [key.removeprefix(folder) async for key, _ in self._objects.keys(folder)]
        found = sorted(_checkpoints(names), key=lambda one: one.number)
        if not found:
            raise NotFound(f"run {run_id!r} has no checkpoint in the store")
        chosen = _choose(run_id, found, choice, await self._list(run_id))
        files = [name for name in names if name.startswith(f"{chosen.name}.")]
        return CheckpointRef(
            name=chosen.name,
            number=chosen.number,
            env_steps=chosen.env_steps,
            files=tuple([await self._refer(run_id, name) for name in sorted(files)]),
            policy=await self._refer(run_id, f"model_{chosen.number}.pb"),
        )

    async def load(self, run_id: str, checkpoint: CheckpointRef) -> Model:
        """
        Everything that belongs to a checkpoint.

        Raises:
            NotFound: a file is gone. InvalidInput: a file is another than was announced.
        """
        return Model(
            checkpoint=checkpoint.name,
            number=checkpoint.number,
            policy=await self._objects.get(checkpoint.policy),
            metadata=await self._objects.get_key(layout.model_metadata(run_id)),
            checkpoint_files={
                name: await self._objects.get(reference)
                for reference in checkpoint.files
                if (name := _name(reference)).startswith(f"{checkpoint.name}.")
            },
            checkpoints=await self._list(run_id),
            others=await self._others(run_id),
        )

    async def _list(self, run_id: str) -> CheckpointList:
        try:
            data = await self._objects.get_key(layout.deepracer_checkpoints(run_id))
        except NotFound:
            return CheckpointList()
        return parse_checkpoint_list(data)

    async def _others(self, run_id: str) -> dict[str, bytes]:
        """The run's own files, which an import reads too."""
        keys = (
            layout.reward_function(run_id),
            layout.hyperparameters(run_id),
            layout.ip_hyperparameters(run_id),
            layout.training_params(run_id),
        )
        folder = f"{layout.run_prefix(run_id)}/"
        there = [key for key in keys if await self._objects.head(key) is not None]
        return {key.removeprefix(folder): await self._objects.get_key(key) for key in there}

    async def _refer(self, run_id: str, filename: str) -> ObjectRef:
        key = layout.model_file(run_id, filename)
        found = await self._objects.head(key)
        if found is None:
            raise NotFound(f"no object {key!r}, which belongs to a checkpoint of run {run_id!r}")
        return found


def _checkpoints(names: list[str]) -> list[_Found]:
    matches = filter(None, map(_INDEX.fullmatch, names))
    return [_Found(match[1], int(match[2]), int(match[3])) for match in matches]


def _choose(
    run_id: str, found: list[_Found], choice: CheckpointChoice, listing: CheckpointList
) -> _Found:
    """`found` in the order of the numbers."""
    if isinstance(choice, int):
        for one in found:
            if one.number == choice:
                return one
        known = ", ".join(str(one.number) for one in found)
        raise InvalidInput(
            f"run {run_id!r} has no checkpoint {choice}; accepted: best, last, {known}"
        )
    entry = (choice == "best" and listing.best_checkpoint) or listing.last_checkpoint
    named = [one for one in found if entry and one.name == entry.name]
    return named[0] if named else found[-1]


def _name(reference: ObjectRef) -> str:
    return split_uri(reference.uri)[1].rpartition("/")[2]
