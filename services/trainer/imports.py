"""Models that others trained, taken in as runs that have ended: to start from, evaluate, export."""

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from libs.common.deepracer import layout
from libs.common.deepracer.checked import Checked, Findings, quote
from libs.common.deepracer.folder import check_sizes
from libs.common.deepracer.model_folder import (
    DEFAULT_REWARD,
    SMALL_FILES,
    ModelFolder,
    StoredCheckpoint,
    find_model_files,
    read_model_folder,
)
from libs.common.deepracer.problems import note_errors
from libs.common.deepracer.run_spec import RaceSpec, RunSpec
from libs.common.errors import Conflict, InvalidInput, PlatformError
from libs.common.events import CheckpointRef, CheckpointSaved, ObjectRef, TrackRef
from libs.common.objects import ObjectStore
from libs.common.reward.check import check_reward_function
from services.trainer.import_process import ImportOrder, ImportReport
from services.trainer.run_files import run_files
from services.trainer.run_table import RunTable
from services.trainer.runs import Progress, RunRecord
from services.trainer.tracks_catalogue import TracksCatalogue

CONVERTER = (sys.executable, "-m", "services.trainer.import_process")
REASON = "imported from a model folder"


class Imports:
    """Takes model folders in; what is refused leaves nothing behind."""

    def __init__(self, objects: ObjectStore, table: RunTable, tracks: TracksCatalogue) -> None:
        self._objects, self._table, self._tracks = objects, table, tracks

    async def take(self, paths: Mapping[str, Path], name: str, track: str | None) -> RunRecord:
        """
        Make a run of a model folder.

        Args:
            paths: of the files on this machine, by their paths in the folder.
            track: on which it is evaluated by default; None is the one that the folder names.

        Raises:
            Conflict: a run has the name.
            InvalidInput: every problem of the files, then of the weights in them.
            TooLarge: a file beside the checkpoints is over a run folder's limit.
        """
        self._refuse_taken(name)
        found = find_model_files(paths)
        files = {own: paths[path] for own, path in found.items()}
        model, spec = await asyncio.to_thread(_read, files, name, track)
        where = await self._tracks.resolve_input(spec.track)
        with tempfile.TemporaryDirectory(prefix="slipstream-import-") as folder:
            written = await _convert(files, model.value, Path(folder))
            self._refuse_taken(name)  # the conversion takes seconds
            checkpoints = [
                await self._store(name, stored, made)
                for stored, made in zip(model.value.checkpoints, written, strict=True)
            ]
        return await self._record(spec, where, model, checkpoints)

    def _refuse_taken(self, name: str) -> None:
        if self._table.has(name):
            raise Conflict(f"a run with the name {name!r} exists already; choose another name")

    async def _store(
        self, run_id: str, stored: StoredCheckpoint, files: tuple[Path, ...]
    ) -> CheckpointRef:
        puts = [
            await self._objects.put_file(layout.model_file(run_id, path.name), path)
            for path in files
        ]
        return CheckpointRef(
            name=stored.name,
            number=stored.number,
            env_steps=stored.env_steps,
            files=tuple(puts[:-1]),
            policy=puts[-1],
        )

    async def _record(
        self,
        spec: RunSpec,
        track: TrackRef,
        model: Checked[ModelFolder],
        checkpoints: list[CheckpointRef],
    ) -> RunRecord:
        by_name = {each.name: each for each in checkpoints}
        last = by_name[model.value.last]
        best = by_name[model.value.best] if model.value.best else last
        record = RunRecord(
            spec=spec,
            track=track,
            warnings=model.warnings,
            created_at=datetime.now(UTC),
            progress=Progress(iteration=last.number, env_steps=last.env_steps),
            best=best,
            last=last,
        )
        record = record.queued(await self._put_files(spec)).changed(
            *(_saved(spec.name, checkpoint) for checkpoint in checkpoints)
        )
        await self._table.create(record.over("finished", REASON))
        await self._table.tell(spec.name)
        return await self._table.get(spec.name)

    async def _put_files(self, spec: RunSpec) -> tuple[ObjectRef, ...]:
        files = await asyncio.to_thread(run_files, spec)
        return tuple([await self._objects.put(key, data) for key, data in files.items()])


def _saved(run_id: str, checkpoint: CheckpointRef) -> CheckpointSaved:
    return CheckpointSaved(
        run_id=run_id,
        checkpoint=checkpoint,
        iteration=checkpoint.number,
        artifacts=(*checkpoint.files, checkpoint.policy),
    )


def _read(
    files: Mapping[str, Path], name: str, track: str | None
) -> tuple[Checked[ModelFolder], RunSpec]:
    """The folder's text files, and the run that they amount to."""
    texts = {own: path for own, path in files.items() if own in SMALL_FILES}
    check_sizes({own: path.stat().st_size for own, path in texts.items()})
    small = {own: path.read_bytes() for own, path in texts.items()}
    model = read_model_folder(small, files)
    findings = Findings()
    findings.include(warnings=model.warnings)
    spec = _spec(model.value, name, track, findings)
    return findings.checked(model.value), spec


def _spec(model: ModelFolder, name: str, track: str | None, findings: Findings) -> RunSpec:
    track = track or model.track
    if track is None:
        findings.problem("track: the folder names none; accepted: the name of a track beside it")
    reward = model.reward_function
    if broken := check_reward_function(reward, "reward_function.py"):
        findings.warn(f"{broken[0]}: each step is worth 1 instead")
        reward = DEFAULT_REWARD
    fields = {
        "name": name,
        "track": track or "-",
        "race": RaceSpec(direction="clockwise" if model.clockwise else "counterclockwise"),
        "metadata": model.metadata,
        "hyperparameters": model.hyperparameters,
        "reward_function": reward,
    }
    try:
        spec = RunSpec.model_validate(fields)
    except ValidationError as error:
        note_errors(error, RunSpec, findings)
        raise InvalidInput(findings.problems) from error
    findings.raise_problems()
    return spec


async def _convert(
    files: Mapping[str, Path], model: ModelFolder, folder: Path
) -> tuple[tuple[Path, ...], ...]:
    """The checkpoints as a run has them, each with its frozen policy, in a folder."""
    source, output = folder / "source", folder / "output"
    source.mkdir()
    output.mkdir()
    for own, path in files.items():
        if own not in SMALL_FILES:
            (source / own).symlink_to(path.resolve())
    names = tuple(stored.name for stored in model.checkpoints)
    order = ImportOrder(folder=source, output=output, metadata=model.metadata, checkpoints=names)
    process = await asyncio.create_subprocess_exec(*CONVERTER, stdin=PIPE, stdout=PIPE)
    said, _ = await process.communicate(order.model_dump_json().encode())
    try:
        report = ImportReport.model_validate_json(said)
    except ValidationError:
        code = process.returncode
        raise PlatformError(
            f"checkpoints {quote(names)} broke their reader (exit code {code})"
        ) from None
    if report.problems:
        raise InvalidInput(report.problems)
    return report.files
