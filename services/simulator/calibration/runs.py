"""The real runs that are fitted."""

import re
from pathlib import Path
from typing import NamedTuple

from libs.common.deepracer.trace_reader import read_simtrace, split_episodes
from libs.common.errors import NotFound
from services.simulator.replay import HORIZONS, FloatArray, motion_of, split_at_gaps

_ITERATION = re.compile(r"(\d+)-iteration\.csv$")


class Run(NamedTuple):
    """One run's rows by iteration: stretches without gaps, each (n, 6)."""

    name: str
    iterations: list[list[FloatArray]]

    def every_other(self, first: int) -> list[FloatArray]:
        """The stretches of every second iteration."""
        return [stretch for part in self.iterations[first::2] for stretch in part]

    @property
    def stretches(self) -> list[FloatArray]:
        """All of them."""
        return [stretch for part in self.iterations for stretch in part]


def read_run(folder: Path) -> Run:
    """
    All `N-iteration.csv` below a folder, by N; or one file, a trace or a log, as one iteration.

    Raises:
        NotFound: there is none.
        InvalidInput: one is no trace.
    """
    if folder.is_file():
        return Run(folder.name, [_read_iteration(folder)])
    found = [(_ITERATION.search(path.name), path) for path in sorted(folder.rglob("*.csv"))]
    numbered = sorted((int(match[1]), path) for match, path in found if match)
    if not numbered:
        raise NotFound(f"no N-iteration.csv below {folder}; a folder of a run's traces is wanted")
    return Run(folder.name, [_read_iteration(path) for _, path in numbered])


def _read_iteration(path: Path) -> list[FloatArray]:
    episodes = split_episodes(read_simtrace(str(path), path.read_text(errors="replace")))
    stretches = [part for episode in episodes for part in split_at_gaps(motion_of(episode))]
    return [stretch for stretch in stretches if len(stretch) > 1 + HORIZONS[0]]
