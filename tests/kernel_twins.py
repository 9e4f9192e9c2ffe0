"""Kernels and their plain-Python twins: the same script in a process of its own, either way."""

import subprocess
import sys
from pathlib import Path

import numpy as np


def record(script: str, path: Path, how: str) -> dict[str, np.ndarray]:
    """Run the script, compiled or plain, with a path to save at and `how`; read what it saved."""
    environment = {"NUMBA_DISABLE_JIT": "1"} if how == "plain" else {}
    command = [sys.executable, "-c", script, str(path), how]
    root = Path(__file__).parents[1]
    subprocess.run(command, check=True, env=environment, cwd=root, timeout=120)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
