"""
How kernels are compiled: to code that runs without the interpreter's lock and is kept on disk.

numba looks for changes in a kernel's own file only: one that calls a kernel of another file would
go on with what that was. So the code is kept in a folder that is named after all of the
simulator's sources, and any change of them begins an empty one; `make clean` removes the old ones.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

HERE = Path(__file__).parent


def fingerprint(folder: Path) -> str:
    """What tells one state of the Python files in a folder from another, 16 hex digits."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        source = file.read_bytes()
        digest.update(f"{file.name} {len(source)}\n".encode() + source)
    return digest.hexdigest()[:16]


KEPT_IN = Path(numba.config.CACHE_DIR or HERE / "__pycache__") / f"kernels-{fingerprint(HERE)}"


def kernel(function: F) -> F:
    """Compile a function at its first call."""
    return _compile(function)


def inlined_kernel(function: F) -> F:
    """The same, into whatever kernel calls it."""
    return _compile(function, inline="always")


def _compile(function: F, **options: Any) -> F:
    # numba reads the setting as it decorates; others who use numba in this process have theirs.
    others, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(KEPT_IN)
    try:
        compiled: F = numba.njit(cache=True, nogil=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = others
    return compiled
