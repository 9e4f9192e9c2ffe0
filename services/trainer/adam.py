"""Adam's state beside the weights, in DeepRacer's form."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.trainer.architecture import Blueprint, Weights
from services.trainer.network import (
    BYTE_SCALE,
    PIXEL_MEAN,
    PIXEL_SPREAD,
    first_convolutions,
)

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-5


@dataclass(frozen=True)
class AdamState:
    """Means and mean squares of the gradients by variable name, after so many steps."""

    steps: int
    moments: Weights
    squares: Weights

    @property
    def powers(self) -> tuple[np.float32, np.float32]:
        """As TensorFlow 1 keeps them: the betas to the power that the next step needs."""
        return np.float32(BETA_1 ** (self.steps + 1)), np.float32(BETA_2 ** (self.steps + 1))


def fresh_adam(weights: Weights) -> AdamState:
    """The state before the first step."""
    zeros = {name: np.zeros_like(array) for name, array in weights.items()}
    return AdamState(0, zeros, zeros)


def fold_adam(state: AdamState, blueprint: Blueprint) -> AdamState:
    """
    The state for centred inputs as that for inputs divided by 255 (see `network.fold`).

    By the chain rule the kernel's gradient there is `(g_kernel - offset * g_bias) / scale`, which
    the means follow exactly. Of the mean squares the product of both gradients is not known: they
    are taken as if it were zero on average.
    """
    scale, offset = BYTE_SCALE / PIXEL_SPREAD, -PIXEL_MEAN / PIXEL_SPREAD
    moments, squares = dict(state.moments), dict(state.squares)
    for scope in first_convolutions(blueprint):
        kernel, bias = f"{scope}/kernel", f"{scope}/bias"
        moments[kernel] = _float32((moments[kernel] - offset * moments[bias]) / scale)
        squares[kernel] = _float32((squares[kernel] + offset**2 * squares[bias]) / scale**2)
    return AdamState(state.steps, moments, squares)


def _float32(array: NDArray[np.floating]) -> NDArray[np.float32]:
    return array.astype(np.float32)
