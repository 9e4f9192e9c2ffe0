"""A run's checkpoints in the object store, in DeepRacer's layout."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from libs.common.bus import Bus
from libs.common.deepracer import layout
from libs.common.events import (
    BestCheckpointChosen,
    CheckpointRef,
    CheckpointSaved,
    ObjectRef,
    TrialResult,
)
from libs.common.objects import ObjectStore, split_uri
from services.trainer.learner import SavedCheckpoint
from services.trainer.memory import memory_path
from services.trainer.order import LearnerOrder

KEPT = 4
"""Newest checkpoints that stay in the store beside the best one, as DeepRacer keeps them."""


class CheckpointStore:
    """Keeps and fetches checkpoints; remembers which is the last and which the best."""

    def __init__(self, order: LearnerOrder, bus: Bus, objects: ObjectStore) -> None:
        self._run_id, self._bus, self._objects = order.run_id, bus, objects
        self._best_by = order.spec.evaluation.best_by
        self._kept: list[CheckpointRef] = [order.resume] if order.resume is not None else []
        self._best: CheckpointRef | None = None
        self._entries: dict[str, dict[str, Any]] = {}

    async def keep(
        self, saved: SavedCheckpoint, iteration: int, curves: Sequence[Path] = ()
    ) -> CheckpointRef:
        """
        Store a checkpoint, tell it, and forget those that are too old.

        `curves` are event files for TensorBoard, which are stored too and stay where they are.
        """
        memory = [saved.memory] if saved.memory is not None else []
        files = [await self._put(path) for path in (*saved.files, saved.state, *memory)]
        policy = await self._put(saved.policy)
        checkpoint = CheckpointRef(
            name=saved.name,
            number=saved.number,
            env_steps=saved.env_steps,
            files=tuple(files),
            policy=policy,
        )
        pointer = layout.coach_checkpoint(self._run_id)
        extra = [
            await self._objects.put(pointer, saved.name.encode()),
            await self._note("last_checkpoint", checkpoint, None),
            *[await self._put_curve(path) for path in curves],
        ]
        await self._bus.publish(
            CheckpointSaved(
                run_id=self._run_id,
                checkpoint=checkpoint,
                iteration=iteration,
                artifacts=(*files, policy, *extra),
            )
        )
        self._kept.append(checkpoint)
        await asyncio.to_thread(_remove, saved)
        await self._forget_old()
        return checkpoint

    @property
    def newest(self) -> CheckpointRef | None:
        """The checkpoint that was stored last."""
        return self._kept[-1] if self._kept else None

    def has(self, number: int) -> bool:
        """Whether a checkpoint of this number is in the store."""
        return any(kept.number == number for kept in self._kept)

    async def choose_best(
        self, checkpoint: CheckpointRef, trials: tuple[TrialResult, ...], metric: float
    ) -> None:
        """Make a checkpoint the best one and tell it."""
        self._best = checkpoint
        listing = await self._note("best_checkpoint", checkpoint, metric)
        await self._bus.publish(
            BestCheckpointChosen(
                run_id=self._run_id,
                checkpoint=checkpoint,
                trials=trials,
                metric=metric,
                best_by=self._best_by,
                artifacts=(listing,),
            )
        )

    async def recall_best(self) -> tuple[TrialResult, ...]:
        """The trials of the best checkpoint of earlier attempts; empty where there is none."""
        trials: tuple[TrialResult, ...] = ()
        classes = (BestCheckpointChosen,)
        async for received in self._bus.follow(self._run_id, classes=classes, live=False):
            if isinstance(event := received.message, BestCheckpointChosen):
                self._best, trials = event.checkpoint, event.trials
                self._entries["best_checkpoint"] = _entry(event.checkpoint, event.metric)
        return trials

    async def fetch(
        self, checkpoint: CheckpointRef, folder: Path, *, with_memory: bool = True
    ) -> str:
        """Bring a checkpoint's files into a folder; returns its name."""
        for reference in checkpoint.files:
            path = folder / Path(split_uri(reference.uri)[1]).name
            if path == memory_path(folder, checkpoint.number) and not with_memory:
                continue
            data = await self._objects.get(reference)
            await asyncio.to_thread(path.write_bytes, data)
        return checkpoint.name

    async def _put(self, path: Path) -> ObjectRef:
        return await self._objects.put_file(layout.model_file(self._run_id, path.name), path)

    async def _put_curve(self, path: Path) -> ObjectRef:
        return await self._objects.put_file(layout.board_file(self._run_id, path.name), path)

    async def _note(self, entry: str, checkpoint: CheckpointRef, metric: float | None) -> ObjectRef:
        self._entries[entry] = _entry(checkpoint, metric)
        data = json.dumps(self._entries, indent=2).encode()
        return await self._objects.put(layout.deepracer_checkpoints(self._run_id), data)

    async def _forget_old(self) -> None:
        while len(self._kept) > KEPT:
            old = self._kept.pop(0)
            if self._best is not None and old.name == self._best.name:
                continue
            for reference in (*old.files, old.policy):
                await self._objects.delete(split_uri(reference.uri)[1])


def _entry(checkpoint: CheckpointRef, metric: float | None) -> dict[str, Any]:
    """One entry of `deepracer_checkpoints.json`."""
    shown = -1.0 if metric is None else metric
    return {"name": checkpoint.name, "avg_eval_metric": shown, "time_stamp": time.time()}


def _remove(saved: SavedCheckpoint) -> None:
    for path in (*saved.files, saved.state, saved.policy, saved.memory):
        if path is not None:
            path.unlink(missing_ok=True)
