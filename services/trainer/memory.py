"""
What a learner needs to go on exactly where it was: weights as they learn, Adam's moments, counts.

A checkpoint has the exported weights in DeepRacer's form. That is what everyone else needs, and
not enough to go on: the policy that learns may be another one (`policy_averaging`), and Adam knows
how far to step by its moments, which take hundreds of steps to build up again. They are three to
four times the size of a checkpoint's weights.
"""

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from libs.common.errors import InvalidInput

Memory = dict[str, NDArray[np.generic]]
"""Arrays by `weights/NAME`, `exported/NAME`, `moment/NAME`, `square/NAME` and single words."""


def memory_path(folder: Path, number: int) -> Path:
    """The file beside the checkpoint of this number."""
    return folder / f"memory_{number}.npz"


def write_memory(path: Path, memory: Memory) -> Path:
    """Write all arrays into one file, which is returned."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **memory)
    return path


def read_memory(path: Path, like: Memory) -> Memory:
    """
    The arrays of a file.

    Args:
        like: what is expected, by name, shape and type.

    Raises:
        InvalidInput: it is broken, or it is another network's.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            memory = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        raise InvalidInput(f"{path.name} can't be read: {error}") from error
    check_memory(memory, like, path.name)
    return memory


def check_memory(memory: Memory, like: Memory, where: str) -> None:
    """
    Compare names, shapes and types.

    Raises:
        InvalidInput: each array that is missing or other than expected.
    """
    problems = [
        f"{where}: {name} is {_told(memory.get(name))}; accepted: {_told(array)}"
        for name, array in like.items()
        if _told(memory.get(name)) != _told(array)
    ]
    if problems:
        raise InvalidInput(problems)


def named(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> Memory:
    """Arrays with this word before their names."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def _told(array: NDArray[np.generic] | None) -> str:
    return "missing" if array is None else f"{array.dtype} {array.shape}"
