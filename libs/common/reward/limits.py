"""What a reward function may use up. Imported by parent and child: standard library only."""

from typing import NamedTuple

MAX_REWARD = 1e5
"""Rewards are finite and within +-1e5, or the run fails (reference 1.1)."""

ALLOWED_MODULES = frozenset(
    {
        "__future__",
        "bisect",
        "collections",
        "functools",
        "itertools",
        "json",
        "math",
        "numpy",
        "random",
        "scipy",
        "shapely",
        "statistics",
        "time",
        "typing",
    }
)
"""Top-level modules that a reward function may import, with their submodules (reference 1.1)."""


class RewardLimits(NamedTuple):
    """
    Limits of one child process; times are wall-clock seconds.

    Address space counts what libraries reserve as well: numpy, scipy and shapely take 0.6 GiB.
    """

    memory_bytes: int = 2 * 2**30
    load_s: float = 30.0  # compile the source and run its top level, imports included
    call_s: float = 5.0  # one call, as DeepRacer on AWS allows
    batch_s: float = 15.0  # all calls of one batch
    printed_chars: int = 4000  # of what print() writes in a batch
