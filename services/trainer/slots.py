"""
Adam's moments in DeepRacer's form, from a learner's memory.

Weights in memory are for centred pictures, those of a checkpoint for pictures divided by 255 (see
`weight_form.fold`). Only the layers that read pixels differ: there the gradient of DeepRacer's
kernel is `g_kernel / s + c g_bias`, with `s` 255/60 and `c` 110/255, and that of its bias is
`g_bias`. So first moments follow exactly. The second moment of a sum depends on how the two go
together, which Adam does not keep; the largest that it can be is written,
`(sqrt(v_kernel) / s + c sqrt(v_bias))^2` by Cauchy and Schwarz: steps that are a little too
careful.
"""

from pathlib import Path

import numpy as np

from services.trainer.architecture import Blueprint, Weights
from services.trainer.checkpoint import Optimiser
from services.trainer.memory import Memory, named, read_memory
from services.trainer.weight_form import (
    BYTE_SCALE,
    PIXEL_MEAN,
    PIXEL_SPREAD,
    first_convolutions,
)

SCALE, SHARE = BYTE_SCALE / PIXEL_SPREAD, PIXEL_MEAN / BYTE_SCALE


def slots_of(memory: Memory, blueprint: Blueprint) -> tuple[Weights, Weights]:
    """First and second moments by the names of the weights; without those that have none."""
    moments, squares = _named(memory, "moment/"), _named(memory, "square/")
    for scope in first_convolutions(blueprint):
        kernel, bias = f"{scope}/kernel", f"{scope}/bias"
        if kernel not in moments:
            continue
        moments[kernel] = moments[kernel] / SCALE + SHARE * moments[bias]
        roots = np.sqrt(squares[kernel]) / SCALE + SHARE * np.sqrt(squares[bias])
        squares[kernel] = np.square(roots)
    return moments, squares


def read_optimiser(path: Path, blueprint: Blueprint) -> Optimiser | None:
    """
    The optimiser of a learner's memory; None where there is no such file.

    Raises:
        InvalidInput: the file is broken, or it is another network's.
    """
    if not path.exists():
        return None
    trained = {
        name: np.zeros(shape, np.float32)
        for name, shape in blueprint.weight_shapes().items()
        if "/target/" not in name
    }
    counts: Memory = {
        "beta1_power": np.zeros((), np.float32),
        "beta2_power": np.zeros((), np.float32),
        "optimiser_steps": np.zeros((), np.int64),
    }
    like = {**named("moment", trained), **named("square", trained), **counts}
    return optimiser_of(read_memory(path, like), blueprint)


def optimiser_of(memory: Memory, blueprint: Blueprint) -> Optimiser:
    """The optimiser that a complete checkpoint holds."""
    moments, squares = slots_of(memory, blueprint)
    return Optimiser(
        steps=int(memory["optimiser_steps"]),
        powers=(float(memory["beta1_power"]), float(memory["beta2_power"])),
        moments=moments,
        squares=squares,
    )


def _named(memory: Memory, prefix: str) -> Weights:
    return {
        name.removeprefix(prefix): np.asarray(array, np.float32)
        for name, array in memory.items()
        if name.startswith(prefix)
    }
