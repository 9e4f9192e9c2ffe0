"""Compiled kernels belong to the sources that they were compiled from."""

from pathlib import Path

import numba
import numpy as np

from services.simulator.kernels import KEPT_IN, fingerprint
from services.simulator.vehicle import wrap_angle


def test_any_change_of_any_source_is_another_state(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text("one")
    (tmp_path / "called.py").write_text("two")
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == before
    (tmp_path / "called.py").write_text("three")
    after = fingerprint(tmp_path)
    (tmp_path / "called.py").rename(tmp_path / "renamed.py")
    assert len({before, after, fingerprint(tmp_path)}) == 3


def test_kernels_are_kept_in_the_folder_of_their_sources() -> None:
    setting = numba.config.CACHE_DIR
    assert wrap_angle(3 * np.pi) == -np.pi
    assert any(KEPT_IN.rglob("vehicle.wrap_angle*.nbi"))
    assert setting == numba.config.CACHE_DIR  # others who use numba in this process have theirs
