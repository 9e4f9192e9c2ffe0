"""Chance in compiled code: one number of state for each stream, the same in every process."""

import numpy as np
from numpy.typing import NDArray

from services.simulator.kernels import kernel

# Park and Miller's generator: its products fit 64 bits, and plain Python gives the same numbers.
MULTIPLIER, MODULUS = 48271, 2**31 - 1
SPREAD_SEED, SPREAD_EPISODE = 2654435769, 40503  # so that neighbours have nothing in common
WARM_UP = 3

Dice = NDArray[np.int64]


@kernel
def shake(dice: Dice, stream: int, seed: int, episode: int) -> None:
    """Begin a stream anew for an episode of a seed (below 2**31)."""
    dice[stream] = 1 + (seed * SPREAD_SEED + episode * SPREAD_EPISODE) % (MODULUS - 1)
    for _ in range(WARM_UP):
        roll(dice, stream)


@kernel
def roll(dice: Dice, stream: int) -> float:
    """The stream's next number, above 0 and below 1."""
    dice[stream] = dice[stream] * MULTIPLIER % MODULUS
    number: float = dice[stream] / MODULUS
    return number
