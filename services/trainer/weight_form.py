"""
Weights in DeepRacer's form and in that which learns.

DeepRacer's has its variable names, and a graph that divides the camera's bytes by 255. Learning
itself goes faster on centred inputs, so the variables in memory belong to `(byte - 110) / 60`. Both
are affine in the byte and the first convolution is linear and not padded, so that one form turns
into the other exactly: see `fold` and `unfold`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.common.errors import InvalidInput
from services.trainer.architecture import Blueprint, Weights

BYTE_SCALE = 255.0
PIXEL_MEAN, PIXEL_SPREAD = 110.0, 60.0


def check_weights(
    weights: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """
    Compare names, shapes and values with what the network needs; more names are welcome.

    Raises:
        InvalidInput: each variable that is missing, has another shape or is not finite.
    """
    problems = []
    for name, shape in shapes.items():
        array = weights.get(name)
        if array is None:
            problems.append(f"variable {name} is missing")
        elif array.shape != shape:
            problems.append(f"variable {name} has shape {array.shape}, this network has {shape}")
        elif not np.isfinite(array).all():
            problems.append(f"variable {name} holds values that are not finite")
    if problems:
        raise InvalidInput(problems)


def first_convolutions(blueprint: Blueprint) -> list[str]:
    """Scopes of the layers that read pixels, in all networks."""
    return [
        f"{network}/{blueprint.embedder_layers(camera)[0].name}"
        for network in blueprint.networks
        for camera in blueprint.cameras
    ]


def fold(weights: Weights, blueprint: Blueprint) -> Weights:
    """Turn weights for `(byte - 110) / 60` into the same network's for `byte / 255`."""
    return _rescale(weights, blueprint, BYTE_SCALE / PIXEL_SPREAD, -PIXEL_MEAN / PIXEL_SPREAD)


def unfold(weights: Weights, blueprint: Blueprint) -> Weights:
    """The inverse of `fold`."""
    return _rescale(weights, blueprint, PIXEL_SPREAD / BYTE_SCALE, PIXEL_MEAN / BYTE_SCALE)


def _rescale(weights: Weights, blueprint: Blueprint, scale: float, offset: float) -> Weights:
    """Weights for the input x, made of those for the input `scale * x + offset`."""
    changed = dict(weights)
    for scope in first_convolutions(blueprint):
        kernel = weights[f"{scope}/kernel"].astype(np.float64)
        bias = weights[f"{scope}/bias"] + offset * kernel.sum(axis=(0, 1, 2))
        changed[f"{scope}/kernel"] = (scale * kernel).astype(np.float32)
        changed[f"{scope}/bias"] = bias.astype(np.float32)
    return changed
