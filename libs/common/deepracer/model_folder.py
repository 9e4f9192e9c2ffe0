"""
Model folders of deepracer-for-cloud, the former console and DeepRacer on AWS, as a start for ours.

The three lay the same files into different folders (reference 1.6), so that a file is known by its
own name, wherever below the folder it lies. What only the writer needed (`.meta`, frozen graphs,
traces, metrics, videos) is left where it is.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from libs.common.deepracer.checked import Checked, Findings, quote
from libs.common.deepracer.hyperparameters import Hyperparameters, parse_hyperparameters
from libs.common.deepracer.metadata import ModelMetadata, parse_model_metadata
from libs.common.deepracer.worlds import track_of_world
from libs.common.errors import InvalidInput

METADATA = "model_metadata.json"
HYPERPARAMETERS = "hyperparameters.json"
TRAINING_PARAMS = "training_params.yaml"
REWARDS = ("reward_function.py", "reward.py")
COACH_POINTER, TENSORFLOW_POINTER = ".coach_checkpoint", "checkpoint"
LISTING = "deepracer_checkpoints.json"

SMALL_FILES = (
    METADATA,
    HYPERPARAMETERS,
    TRAINING_PARAMS,
    *REWARDS,
    COACH_POINTER,
    TENSORFLOW_POINTER,
    LISTING,
)
"""Everything that is read beside the checkpoints."""

CHECKPOINT_FILE = re.compile(r"((\d+)_Step-(\d+)\.ckpt)\.(data-00000-of-00001|index)")
NAME_ACCEPTED = "checkpoints named like '13_Step-8044.ckpt', each with .data-00000-of-00001, .index"
DEFAULT_REWARD = "def reward_function(params):\n    return 1.0\n"


@dataclass(frozen=True)
class StoredCheckpoint:
    """One checkpoint by its name, `13_Step-8044.ckpt`."""

    name: str
    number: int
    env_steps: int


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder says; `checkpoints` are in the order of their numbers."""

    metadata: ModelMetadata
    checkpoints: tuple[StoredCheckpoint, ...]
    last: str
    best: str | None
    hyperparameters: Hyperparameters
    reward_function: str
    track: str | None
    clockwise: bool


def find_model_files(paths: Iterable[str]) -> dict[str, str]:
    """
    The paths of the files that are read, by the files' own names.

    Args:
        paths: relative to the folder, with slashes.

    Raises:
        InvalidInput: checkpoints lie in several folders; of other files the highest one counts.
    """
    found: dict[str, str] = {}
    folders = set()
    for path in sorted(paths, key=lambda each: (each.count("/"), each)):
        name = PurePosixPath(path).name
        if CHECKPOINT_FILE.fullmatch(name):
            folders.add(str(PurePosixPath(path).parent))
            found[name] = path
        elif name in SMALL_FILES:
            found.setdefault(name, path)
    if len(folders) > 1:
        raise InvalidInput(
            f"there are checkpoints in {', '.join(sorted(folders))}; accepted: the folder of one "
            "model"
        )
    return found


def read_model_folder(small: Mapping[str, bytes], names: Iterable[str]) -> Checked[ModelFolder]:
    """
    Read what a model folder says; the checkpoints themselves are not opened.

    Args:
        small: the contents of those of `SMALL_FILES` that there are.
        names: of all files.

    Raises:
        InvalidInput: every problem: no metadata, an algorithm that is not ours, no checkpoint.
    """
    findings = Findings()
    metadata = _read_metadata(small.get(METADATA), findings)
    checkpoints = _complete_checkpoints(names, findings)
    findings.raise_problems()
    assert metadata is not None
    track, clockwise = _read_world(small.get(TRAINING_PARAMS), findings)
    return findings.checked(
        ModelFolder(
            metadata=metadata,
            checkpoints=checkpoints,
            last=_last(small, checkpoints, findings),
            best=_best(small, checkpoints, findings),
            hyperparameters=_read_hyperparameters(small.get(HYPERPARAMETERS), findings),
            reward_function=_read_reward(small, findings),
            track=track,
            clockwise=clockwise,
        )
    )


def _read_metadata(data: bytes | None, findings: Findings) -> ModelMetadata | None:
    if data is None:
        findings.problem(f"{METADATA} is missing; accepted: the model's action space")
        return None
    try:
        checked = parse_model_metadata(data)
    except InvalidInput as error:
        findings.include(error.problems)
        return None
    findings.include(warnings=checked.warnings)
    if (algorithm := checked.value.training_algorithm) != "clipped_ppo":
        findings.refuse(f"{METADATA}: training_algorithm", algorithm, "'clipped_ppo'")
    return checked.value


def _complete_checkpoints(names: Iterable[str], findings: Findings) -> tuple[StoredCheckpoint, ...]:
    """Those with both files; of a number that is there twice the one with more steps."""
    parts: dict[StoredCheckpoint, set[str]] = {}
    for name in names:
        if match := CHECKPOINT_FILE.fullmatch(name):
            stored = StoredCheckpoint(match[1], int(match[2]), int(match[3]))
            parts.setdefault(stored, set()).add(match[4])
    half = sorted(each.name for each, kinds in parts.items() if len(kinds) < 2)
    for name in half:
        findings.warn(f"{name} lacks its data or its index and is left out")
    order = sorted((each.number, each.env_steps, each.name) for each in parts)
    whole = {n: StoredCheckpoint(name, n, steps) for n, steps, name in order if name not in half}
    if not whole:
        findings.problem(f"there is no whole checkpoint; accepted: {NAME_ACCEPTED}")
    return tuple(whole.values())


def _last(
    small: Mapping[str, bytes], checkpoints: Sequence[StoredCheckpoint], findings: Findings
) -> str:
    """The first of the pointers that names a checkpoint that is there, else the newest one."""
    tensorflow = re.search(
        r'^model_checkpoint_path: "(?:.*/)?([^"/]+)"',
        _text(small, TENSORFLOW_POINTER),
        re.MULTILINE,
    )
    pointers = {
        COACH_POINTER: _text(small, COACH_POINTER).strip(),
        LISTING: _listed(small, "last_checkpoint"),
        TENSORFLOW_POINTER: tensorflow[1] if tensorflow else "",
    }
    return _first_there(pointers, checkpoints, findings) or checkpoints[-1].name


def _best(
    small: Mapping[str, bytes], checkpoints: Sequence[StoredCheckpoint], findings: Findings
) -> str | None:
    return _first_there({LISTING: _listed(small, "best_checkpoint")}, checkpoints, findings)


def _first_there(
    pointers: Mapping[str, str], checkpoints: Sequence[StoredCheckpoint], findings: Findings
) -> str | None:
    there = {each.name for each in checkpoints}
    for file, name in pointers.items():
        if name in there:
            return name
        if name:
            findings.warn(f"{file} names {quote(name)}, which is not there: it is passed over")
    return None


def _listed(small: Mapping[str, bytes], entry: str) -> str:
    listing = _mapping(small.get(LISTING))
    named = listing.get(entry)
    name = named.get("name") if isinstance(named, Mapping) else None
    return name if isinstance(name, str) else ""


def _read_hyperparameters(data: bytes | None, findings: Findings) -> Hyperparameters:
    """Those of the model where they are ours too: a start needs none of them."""
    if data is None:
        findings.warn(f"there is no {HYPERPARAMETERS}: DeepRacer's defaults are taken")
        return Hyperparameters()
    try:
        checked = parse_hyperparameters(data)
    except InvalidInput as error:
        findings.warn(f"{error.problems[0]}: DeepRacer's defaults are taken")
        return Hyperparameters()
    findings.include(warnings=checked.warnings)
    return checked.value


def _read_reward(small: Mapping[str, bytes], findings: Findings) -> str:
    sources = (_text(small, name) for name in REWARDS)
    source = next((text for text in sources if text.strip()), "")
    if not source:
        findings.warn(f"there is no {REWARDS[0]}: each step is worth 1")
    return source or DEFAULT_REWARD


def _read_world(data: bytes | None, findings: Findings) -> tuple[str | None, bool]:
    """The track, and whether it is driven clockwise; DeepRacer on AWS ends names in a direction."""
    try:
        params = yaml.safe_load(data or b"")
    except (yaml.YAMLError, UnicodeDecodeError):
        findings.warn(f"{TRAINING_PARAMS} can't be read and is passed over")
        return None, False
    world = params.get("WORLD_NAME") if isinstance(params, Mapping) else None
    if not isinstance(world, str) or not world:
        return None, False
    route = re.sub(r"_c?cw$", "", world)
    said = str(params.get("TRACK_DIRECTION_CLOCKWISE", False)).lower() == "true"
    return track_of_world(route), said or world.endswith("_cw")


def _text(small: Mapping[str, bytes], name: str) -> str:
    return small.get(name, b"").decode("utf-8-sig", "replace")


def _mapping(data: bytes | None) -> Mapping[str, Any]:
    try:
        raw = json.loads(data or b"{}")
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}
