"""
From what a client sent to a run that may be queued: every problem of it is named at once.

Two things may be sent, as JSON or as a form: the files of a run folder, or a specification.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from libs.common.deepracer.checked import Checked, Findings
from libs.common.deepracer.folder import read_run_document, read_run_folder, run_name_of
from libs.common.deepracer.hyperparameters import Hyperparameters, check_hyperparameters
from libs.common.deepracer.metadata import ModelMetadata, check_model_metadata
from libs.common.deepracer.problems import note_errors
from libs.common.deepracer.run_spec import (
    TRACK_PATTERN,
    CheckpointChoice,
    RunSpec,
    StartSpec,
)
from libs.common.deepracer.support import check_supported
from libs.common.deepracer.syntax import parse_json_object
from libs.common.errors import InvalidInput
from libs.common.events import StartRun
from libs.common.names import RUN_ID_PATTERN
from libs.common.reward.check import check_reward_function
from services.trainer.problems import Problems

REWARD_FILES = ("reward_function.py", "reward.py")
DEFAULT_NAME = "run"
STAMP = re.compile(r"-\d{8}-\d{6}(-[0-9a-f]{4})?$")
STAMP_CHARS = len("-20251122-101500-abcd")

Body = TypeVar("Body", bound=BaseModel)


class Overrides(BaseModel):
    """What goes before the values of the run folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(None, pattern=RUN_ID_PATTERN)
    track: str | None = Field(None, pattern=TRACK_PATTERN)
    seed: int | None = Field(None, ge=0, lt=2**31)
    priority: int = Field(0, ge=-1000, le=1000)


class _JsonBody(Overrides):
    files: dict[str, str] | None = None
    spec: dict[str, Any] | None = None


class ImportFields(BaseModel):
    """What is said beside the files of a model folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=RUN_ID_PATTERN)
    track: str | None = Field(None, pattern=TRACK_PATTERN)


class CloneRequest(Overrides):
    """What the new run has other than the one it is made of, and where it begins."""

    hyperparameters: dict[str, Any] = {}
    action_space: Any = None  # as in `model_metadata.json`
    checkpoint: CheckpointChoice = "best"


@dataclass(frozen=True)
class Draft:
    """What was sent, not read yet."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    spec: Mapping[str, Any] | None = None
    overrides: Overrides = Overrides()

    def digest(self) -> str:
        """SHA-256 of what is asked for, however it was encoded."""
        files = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        asked = {"files": files, "spec": self.spec, "fields": self.overrides.model_dump()}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Submission:
    """A run that somebody wants: read and checked, not yet queued."""

    spec: RunSpec
    warnings: tuple[str, ...] = ()
    priority: int = 0
    request: str | None = None  # what it came by: the same twice is one run

    def named(self, name: str) -> "Submission":
        """The same under another name."""
        return replace(self, spec=self.spec.model_copy(update={"name": name}))


def draft_of_json(body: bytes) -> Draft:
    """
    A JSON body: `{"files": {name: text}}` or `{"spec": {…}}`, and overrides beside it.

    Raises:
        InvalidInput: malformed JSON, unknown keys, neither or both of the two.
    """
    sent = _validated(_JsonBody, parse_json_object(body, "the body"))
    if (sent.files is None) == (sent.spec is None):
        raise InvalidInput('the body: accepted: either "files" or "spec"')
    overrides = Overrides(**sent.model_dump(include=set(Overrides.model_fields)))
    files = {name: text.encode() for name, text in (sent.files or {}).items()}
    return Draft(files=files, spec=sent.spec, overrides=overrides)


def draft_of_form(files: Mapping[str, bytes], fields: Mapping[str, str]) -> Draft:
    """A form: files by name, and overrides as text. Raises `InvalidInput`."""
    return Draft(files=files, overrides=_validated(Overrides, fields))


def fields_of_import(fields: Mapping[str, str]) -> ImportFields:
    """The text fields of a form with a model folder. Raises `InvalidInput`."""
    return _validated(ImportFields, fields)


def prepare(draft: Draft, taken: Callable[[str], bool]) -> Submission:
    """
    Read and check everything; blocking, for a second or so: the reward function is tried.

    `taken` tells whether a run has a name; where the client gave none, a free one is made.

    Raises:
        InvalidInput: every problem of every part. TooLarge: a file over its limit.
    """
    problems = Problems()
    checked: Checked[RunSpec] | None = None
    with problems.noted():
        checked = _read(draft)
    # Where the race can't be read: functions that avoid objects need some, the others don't mind.
    problems.note(*_check_reward(draft, checked is None or checked.value.race.has_objects))
    if checked is not None:
        with problems.noted():
            check_supported(checked.value)
    problems.raise_all()
    assert checked is not None
    spec = checked.value
    name = draft.overrides.name or _stamped(spec.name, taken)
    seed = spec.seed if draft.overrides.seed is None else draft.overrides.seed
    spec = spec.model_copy(update={"name": name, "seed": seed})
    return Submission(spec, checked.warnings, draft.overrides.priority)


def prepare_clone(spec: RunSpec, request: CloneRequest, taken: Callable[[str], bool]) -> Submission:
    """
    A new run that begins with a checkpoint of another one.

    Raises:
        InvalidInput: hyperparameters or actions that are not accepted.
    """
    problems = Problems()
    hyperparameters = Checked(spec.hyperparameters)
    metadata = Checked(spec.metadata)
    with problems.noted():
        hyperparameters = _cloned_hyperparameters(spec, request.hyperparameters)
    with problems.noted():
        metadata = _cloned_metadata(spec, request.action_space)
    problems.raise_all()
    changes = {
        "name": request.name or _stamped(spec.name, taken),
        "track": request.track or spec.track,
        "seed": spec.seed if request.seed is None else request.seed,
        "hyperparameters": hyperparameters.value,
        "metadata": metadata.value,
        "start": StartSpec(run=spec.name, checkpoint=request.checkpoint),
    }
    warnings = hyperparameters.warnings + metadata.warnings
    return Submission(spec.model_copy(update=changes), warnings, request.priority)


def _cloned_metadata(spec: RunSpec, action_space: Any) -> Checked[ModelMetadata]:
    """The same network with other actions, where there are others."""
    if action_space is None:
        return Checked(spec.metadata)
    own = {"action_space", "action_space_type"}
    kept = spec.metadata.model_dump(mode="json", exclude=own, exclude_none=True)
    return check_model_metadata({**kept, "action_space": action_space}, "action_space")


def _cloned_hyperparameters(spec: RunSpec, given: Mapping[str, Any]) -> Checked[Hyperparameters]:
    """Those of the run, with what is given before them."""
    before = {} if "preset" in given else spec.hyperparameters.model_dump(exclude_defaults=True)
    if "num_episodes_between_training" in given and "horizon" not in given:
        before.pop("horizon", None)  # who asks for episodes does not want the horizon
    if given.get("horizon") is not None:
        before.pop("num_episodes_between_training", None)
    return check_hyperparameters({**before, **given}, "hyperparameters", spec.metadata)


def submission_of(command: StartRun) -> Submission:
    """
    A run that came over the bus; blocking: the reward function is tried.

    Raises:
        InvalidInput: every problem of it.
    """
    spec, problems = command.spec, Problems()
    if command.run_id != spec.name:
        problems.note(f"run_id {command.run_id!r}; accepted: the run's name, {spec.name!r}")
    objects = spec.race.has_objects
    problems.note(*check_reward_function(spec.reward_function, "reward_function", objects=objects))
    problems.raise_all()
    digest = hashlib.sha256(spec.model_dump_json().encode()).hexdigest()
    return Submission(spec, priority=command.priority, request=f"command-{digest}")


def _read(draft: Draft) -> Checked[RunSpec]:
    overrides = draft.overrides
    if draft.spec is not None:
        given = {"name": overrides.name, "track": overrides.track}
        raw = {**draft.spec, **{key: value for key, value in given.items() if value is not None}}
        return read_run_document(json.dumps(raw).encode(), default_name=DEFAULT_NAME)
    files, folder = _unwrapped(draft.files)
    return read_run_folder(
        files,
        name=overrides.name,
        track=overrides.track,
        default_name=run_name_of(folder or DEFAULT_NAME),
    )


def _unwrapped(files: Mapping[str, bytes]) -> tuple[Mapping[str, bytes], str | None]:
    """Without the folder that all names begin with, as browsers send them, and that folder."""
    folders = {name.partition("/")[0] for name in files if "/" in name}
    if len(folders) != 1 or not all("/" in name for name in files) or folders & {"", ".", ".."}:
        return files, None
    return {name.partition("/")[2]: data for name, data in files.items()}, folders.pop()


def _check_reward(draft: Draft, objects: bool) -> list[str]:
    """Problems of the reward function, whatever else is wrong; a missing one is told elsewhere."""
    if draft.spec is not None:
        source, file = draft.spec.get("reward_function"), "reward_function"
    else:
        files, _ = _unwrapped(draft.files)
        file = next((name for name in REWARD_FILES if name in files), "")
        source = _text(files.get(file, b""))
    if not isinstance(source, str) or not source.strip():
        return []
    return check_reward_function(source, file, objects=objects)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""


def _stamped(base: str, taken: Callable[[str], bool]) -> str:
    """`starter-20251122-101500`, with four more characters where that is taken."""
    stem = STAMP.sub("", base)  # a clone's base has one already
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    name = f"{stem[: 63 - STAMP_CHARS].rstrip('-')}-{stamp}"
    return f"{name}-{secrets.token_hex(2)}" if taken(name) else name


def _validated(model: type[Body], raw: Mapping[str, Any]) -> Body:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        findings = Findings()
        note_errors(error, model, findings)
        raise InvalidInput(findings.problems) from error
