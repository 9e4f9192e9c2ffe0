"""Reading a run folder from this machine, as far as sending it needs."""

import itertools
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from libs.common.errors import InvalidInput, NotFound

MAX_NAME = 63
"""Characters of a run's name, as `RUN_ID_PATTERN` has it."""

MAX_FOLDER_BYTES = 5_000_000
"""A run folder is text; what is larger is the wrong folder. The service has its own limit."""


def read_run_folder(folder: Path) -> dict[str, str]:
    """
    The text of every file of the folder, by name; sub-folders and hidden files are left out.

    Raises:
        NotFound: no such folder.
        InvalidInput: it is empty, too large, or has a file that is no text; each is named.
    """
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder; a run folder has at least a reward_function.py")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    if not paths:
        raise InvalidInput(f"{folder} is empty; a run folder has at least a reward_function.py")
    size_bytes = sum(path.stat().st_size for path in paths)
    if size_bytes > MAX_FOLDER_BYTES:
        raise InvalidInput(
            f"{folder} holds {size_bytes / 1e6:.1f} MB; a run folder is text, "
            f"at most {MAX_FOLDER_BYTES / 1e6:g} MB of it"
        )
    files = {path.name: _read_text(path) for path in paths}
    binary = [name for name, text in files.items() if text is None]
    if binary:
        raise InvalidInput([f"{folder / name} is not UTF-8 text" for name in binary])
    return {name: text for name, text in files.items() if text is not None}


def suggest_name(folder: Path, files: Mapping[str, str], taken: Collection[str]) -> str:
    """
    A free name for a run: that of its `run.yaml`, else the folder's, with a number where taken.

    A `run.yaml` that can't be read suggests nothing; the service says what is wrong with it.
    """
    base = _name_in(files.get("run.yaml", "")) or _slug(folder.resolve().name)
    if base not in taken:
        return base
    numbered = (f"{base[: MAX_NAME - 6]}-{number}" for number in itertools.count(2))
    return next(name for name in numbered if name not in taken)


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def _name_in(run_file: str) -> str | None:
    try:
        content = yaml.safe_load(run_file)
    except yaml.YAMLError:
        return None
    name = content.get("name") if isinstance(content, dict) else None
    return name if isinstance(name, str) and name else None


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_NAME]
    return slug or "run"
