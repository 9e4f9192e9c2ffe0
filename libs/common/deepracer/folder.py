"""
Run folders: from files to a `RunSpec`, in our form and in that of 2019.

| ours                 | 2019                      |
| -------------------- | ------------------------- |
| reward_function.py   | reward.py                 |
| model_metadata.json  | model_metadata.json       |
| hyperparameters.json | training-parameters.env   |
| run.yaml             |                           |

Every problem of every file is named at once. The reward function is only read here; whether it
works is told by `libs.common.reward.check`, which has to run it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

from pydantic import ValidationError

from libs.common.deepracer.checked import Checked, Findings, quote
from libs.common.deepracer.hyperparameters import Hyperparameters, parse_hyperparameters
from libs.common.deepracer.metadata import ModelMetadata, parse_model_metadata
from libs.common.deepracer.problems import note_errors
from libs.common.deepracer.run_file import RunFile, parse_run_file
from libs.common.deepracer.run_spec import RunSpec
from libs.common.deepracer.sandbox_2019 import parse_training_parameters
from libs.common.deepracer.syntax import decode_text, parse_json_object
from libs.common.errors import InvalidInput, NotFound, TooLarge

MAX_FILE_BYTES = 2**20
MAX_FOLDER_BYTES = 5 * 2**20

METADATA = "model_metadata.json"
REWARD = "reward_function.py"
HYPERPARAMETERS = "hyperparameters.json"
RUN_FILE = "run.yaml"
REWARD_2019 = "reward.py"
PARAMETERS_2019 = "training-parameters.env"

OUR_FILES = (REWARD, METADATA, HYPERPARAMETERS)
"""Needed in our form; `run.yaml` may be left out where the track is named otherwise."""

FILES_2019 = (REWARD_2019, METADATA, PARAMETERS_2019)

RUN_FILES = frozenset({*OUR_FILES, RUN_FILE, *FILES_2019})
"""Every file that is read."""

T = TypeVar("T")


@dataclass
class _Parts:
    """What a folder says, in either form; None where a file is missing or broken."""

    reward_function: str | None
    metadata: ModelMetadata | None
    hyperparameters: Hyperparameters | None
    run_file: RunFile | None
    track_key: str  # where the folder would name its track


def read_run_folder(
    files: Mapping[str, bytes],
    *,
    name: str | None = None,
    track: str | None = None,
    default_name: str | None = None,
) -> Checked[RunSpec]:
    """
    The run that the files of a folder describe.

    Args:
        files: contents by file name. Names that are not known are ignored with a warning.
        name: goes before the name that the folder gives.
        track: goes before the track that the folder names.
        default_name: the run's name where nothing else names it.

    Raises:
        InvalidInput: every problem of every file.
        TooLarge: a file, or all files together, are over the limit.
    """
    check_sizes({file: len(data) for file, data in files.items()})
    findings = Findings()
    _check_paths(files, findings)
    read = _read_2019 if _is_of_2019(files, findings) else _read_ours
    parts = read(files, findings)
    _apply(parts, name, track, default_name, findings)
    findings.raise_problems()
    return findings.checked(_assemble(parts, findings))


def read_run_directory(
    path: Path, *, name: str | None = None, track: str | None = None
) -> Checked[RunSpec]:
    """As `read_run_folder`, for a folder on disk; its own name is the run's default name."""
    files = load_directory(path)
    default_name = run_name_of(path.resolve().name)
    spec = read_run_folder(files.value, name=name, track=track, default_name=default_name)
    return Checked(spec.value, files.warnings + spec.warnings)


def read_run_document(data: bytes, *, default_name: str | None = None) -> Checked[RunSpec]:
    """
    The run that one JSON document describes: a `RunSpec` as the REST API takes it.

    Raises:
        InvalidInput: every problem, by the path of its key.
        TooLarge: the document is over the limit of a folder.
    """
    check_sizes({"the document": len(data)}, most_of_one=MAX_FOLDER_BYTES)
    raw = parse_json_object(data, "the document")
    if default_name is not None:
        raw = {"name": default_name, **raw}
    findings = Findings()
    try:
        return findings.checked(RunSpec.model_validate(raw))
    except ValidationError as error:
        note_errors(error, RunSpec, findings)
        raise InvalidInput(findings.problems) from error


def load_directory(path: Path) -> Checked[dict[str, bytes]]:
    """
    The files of a folder on disk that are read; the others are named in a warning.

    Raises:
        NotFound: there is no such folder.
        InvalidInput: a file that is no plain file, lies outside the folder, or can't be read.
        TooLarge: see `read_run_folder`.
    """
    if not path.is_dir():
        raise NotFound(f"no run folder at {str(path)!r}; accepted: a folder with {_forms()}")
    findings = Findings()
    entries = sorted(path.iterdir())
    known = [entry for entry in entries if entry.name in RUN_FILES]
    _warn_of_ignored((entry.name for entry in entries if entry not in known), findings)
    for entry in known:
        _check_entry(entry, path, findings)
    findings.raise_problems()
    check_sizes({entry.name: entry.stat().st_size for entry in known})
    return findings.checked({entry.name: _read_bytes(entry) for entry in known})


def run_name_of(text: str) -> str:
    """The text made into a name that a run may have."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return words[:63].rstrip("-") or "run"


def check_sizes(sizes: Mapping[str, int], most_of_one: int = MAX_FILE_BYTES) -> None:
    """
    Compare sizes in bytes by file name with the limits.

    Raises:
        TooLarge: with the size and the limit.
    """
    for file, size in sizes.items():
        if size > most_of_one:
            raise TooLarge(f"{quote(file)} has {size:,} bytes; accepted: up to {most_of_one:,}")
    if (total := sum(sizes.values())) > MAX_FOLDER_BYTES:
        raise TooLarge(f"the files have {total:,} bytes; accepted: up to {MAX_FOLDER_BYTES:,}")


def _check_paths(files: Iterable[str], findings: Findings) -> None:
    for file in files:
        if _climbs(file):
            findings.problem(f"file name {quote(file)}; accepted: a name inside the folder")
    _warn_of_ignored((file for file in files if file not in RUN_FILES), findings)


def _climbs(file: str) -> bool:
    """Whether a name is absolute or leads out of the folder, on any system."""
    paths = (PurePosixPath(file), PureWindowsPath(file))
    anchored = any(path.anchor for path in paths)
    return anchored or "\0" in file or any(".." in path.parts for path in paths)


def _warn_of_ignored(names: Iterable[str], findings: Findings) -> None:
    ignored = sorted(names)
    if ignored:
        shown = ", ".join(quote(name) for name in ignored[:10])
        more = f" and {len(ignored) - 10} more" if len(ignored) > 10 else ""
        findings.warn(f"ignored, not part of a run folder: {shown}{more}")


def _is_of_2019(files: Iterable[str], findings: Findings) -> bool:
    """
    Which of the two forms the files are of.

    Raises:
        InvalidInput: of neither, or of both; with the problems found before.
    """
    ours = sorted({REWARD, HYPERPARAMETERS, RUN_FILE} & set(files))
    old = sorted({REWARD_2019, PARAMETERS_2019} & set(files))
    if ours and old:
        findings.problem(
            f"two forms of run folder are mixed: {', '.join(ours)} and {', '.join(old)}; "
            f"accepted: {_forms()}"
        )
    if not ours and not old:
        findings.problem(
            f"no run folder: our form lacks {_missing(OUR_FILES, files)}, "
            f"the form of 2019 lacks {_missing(FILES_2019, files)}"
        )
    if bool(ours) == bool(old):
        findings.raise_problems()
    return bool(old)


def _missing(wanted: Iterable[str], files: Iterable[str]) -> str:
    return ", ".join(file for file in wanted if file not in files)


def _forms() -> str:
    return f"{', '.join((*OUR_FILES, RUN_FILE))}, or {', '.join(FILES_2019)}"


def _read_ours(files: Mapping[str, bytes], findings: Findings) -> _Parts:
    parse_metadata = partial(parse_model_metadata, allow_2019=False)
    has_run_file = RUN_FILE in files
    reward_function = _parse(files, REWARD, _parse_text, findings)
    metadata = _parse(files, METADATA, parse_metadata, findings)
    parse_for_model = partial(parse_hyperparameters, metadata=metadata)
    return _Parts(
        reward_function=reward_function,
        metadata=metadata,
        hyperparameters=_parse(files, HYPERPARAMETERS, parse_for_model, findings),
        run_file=_parse(files, RUN_FILE, parse_run_file, findings) if has_run_file else RunFile(),
        track_key=f"{RUN_FILE}: track",
    )


def _read_2019(files: Mapping[str, bytes], findings: Findings) -> _Parts:
    parameters = _parse(files, PARAMETERS_2019, parse_training_parameters, findings)
    hyperparameters, run_file = parameters or (None, None)
    return _Parts(
        reward_function=_parse(files, REWARD_2019, _parse_text, findings),
        metadata=_parse(files, METADATA, parse_model_metadata, findings),
        hyperparameters=hyperparameters,
        run_file=run_file,
        track_key=f"{PARAMETERS_2019}: world_name",
    )


def _parse(
    files: Mapping[str, bytes],
    file: str,
    parse: Callable[[bytes, str], Checked[T]],
    findings: Findings,
) -> T | None:
    """One file's value; None where it is missing or broken, of which `findings` then tells."""
    if file not in files:
        findings.problem(f"{file} is missing")
        return None
    try:
        checked = parse(files[file], file)
    except InvalidInput as error:
        findings.include(error.problems)
        return None
    findings.include(warnings=checked.warnings)
    return checked.value


def _parse_text(data: bytes, where: str) -> Checked[str]:
    return Checked(decode_text(data, where))


def _apply(
    parts: _Parts,
    name: str | None,
    track: str | None,
    default_name: str | None,
    findings: Findings,
) -> None:
    """Put names from outside in their place, and see that none is missing."""
    named = {"name": name, "track": track}
    try:
        RunFile.model_validate(named)
    except ValidationError as error:
        note_errors(error, RunFile, findings)
    if parts.run_file is None:
        return
    name = name or parts.run_file.name or default_name
    track = track or parts.run_file.track
    if name is None:
        findings.problem(f"{RUN_FILE}: name is missing; accepted: a name there or with the request")
    if track is None:
        findings.problem(
            f"{parts.track_key} is missing; accepted: a track's name there or with the request"
        )
    parts.run_file = parts.run_file.model_copy(update={"name": name, "track": track})


def _assemble(parts: _Parts, findings: Findings) -> RunSpec:
    """The files together. Raises `InvalidInput` where one does not go with another."""
    said = dict(parts.run_file or RunFile())
    said["metadata"] = parts.metadata
    said["hyperparameters"] = parts.hyperparameters
    said["reward_function"] = parts.reward_function
    try:
        return RunSpec.model_validate(said)
    except ValidationError as error:
        note_errors(error, RunSpec, findings)
        raise InvalidInput(findings.problems) from error


def _check_entry(entry: Path, folder: Path, findings: Findings) -> None:
    if not entry.resolve().is_relative_to(folder.resolve()):
        findings.problem(f"{entry.name} leads out of the folder; accepted: a file inside it")
    elif not entry.is_file():
        findings.problem(f"{entry.name} is no plain file; accepted: a file")


def _read_bytes(entry: Path) -> bytes:
    try:
        return entry.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{entry.name} can't be read: {error.strerror}") from error
