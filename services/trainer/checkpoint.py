"""
Checkpoints as DeepRacer writes them: TensorFlow 1 files with rl_coach's variable names.

A folder holds `13_Step-8044.ckpt.{data-00000-of-00001,index,meta}` for each checkpoint, and two
small files that name the last one: `.coach_checkpoint` for rl_coach, `checkpoint` for TensorFlow.

DeepRacer's simulation application saves weights alone: 22 variables of SHALLOW, which are kernels
and biases of ten layers and one `gradients_from_head` rescaler for each of two networks. The
rescalers are 1 for ever (the gradient with respect to them is 0), but a reader of DeepRacer's
misses them if absent. Stock rl_coach wants more, 69 variables: Adam's two slots for each of those,
the powers of its betas, and the count of its steps. Both forms are written, and either is read.

With SAC the networks are `policy`, `q` and `v`, each with a scope and an optimiser of its own; the
target of `v` has none.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from libs.common.errors import InvalidInput
from services.trainer import adam
from services.trainer.architecture import Blueprint, Weights
from services.trainer.variable_names import find_variables
from services.trainer.weight_form import check_weights

Variables = dict[str, NDArray[Any]]

NETWORK = re.compile(r"((?:.*)/(?:online|target))/network_\d")
NAME_PATTERN = re.compile(r"(\d+)_Step-(\d+)\.ckpt")
SUFFIXES = (".data-00000-of-00001", ".index", ".meta")


@dataclass(frozen=True)
class Optimiser:
    """Adam after some steps, its moments by the names of the weights and in DeepRacer's form."""

    steps: int = 0
    powers: tuple[float, float] = (1.0, 1.0)  # of both betas, one factor for each step
    moments: Weights = field(default_factory=dict)  # those that are missing are 0
    squares: Weights = field(default_factory=dict)


def checkpoint_name(number: int, env_steps: int) -> str:
    """The name that rl_coach gives: `13_Step-8044.ckpt`."""
    return f"{number}_Step-{env_steps}.ckpt"


def checkpoint_number(name: str) -> int:
    """The number in a checkpoint's name. Raises `InvalidInput` where it is none."""
    return checkpoint_counts(name)[0]


def checkpoint_counts(name: str) -> tuple[int, int]:
    """
    The number and the steps in a checkpoint's name.

    Raises:
        InvalidInput: it is no checkpoint's name.
    """
    match = NAME_PATTERN.fullmatch(name)
    if match is None:
        raise InvalidInput(f"{name!r} names no checkpoint: one like '13_Step-8044.ckpt' does")
    return int(match[1]), int(match[2])


def write_checkpoint(
    folder: Path,
    name: str,
    weights: Weights,
    *,
    complete: bool = False,
    optimiser: Optimiser | None = None,
) -> tuple[Path, ...]:
    """
    Write one checkpoint, and name it as the folder's last.

    Args:
        weights: as `ActorCritic.export_weights` gives them.
        complete: with an optimiser, as stock rl_coach restores it.
        optimiser: which one; by default one that has not made a step.

    Returns:
        Its three files: data, index, meta.
    """
    networks = sorted({match[0] for match in map(NETWORK.match, weights) if match})
    rescalers = [f"{network}/gradients_from_head_0-0_rescalers" for network in networks]
    variables: Variables = {**weights, **{name: np.ones((), np.float32) for name in rescalers}}
    if complete:
        variables |= _optimiser_variables(variables, optimiser or Optimiser())
    names = sorted(variables)
    tf.raw_ops.SaveV2(
        prefix=str(folder / name),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(variables[each]) for each in names],
    )
    kinds = tuple((each, variables[each].shape, variables[each].dtype.name) for each in names)
    (folder / f"{name}.meta").write_bytes(_meta_graph(kinds))
    (folder / ".coach_checkpoint").write_text(name, "utf-8")
    (folder / "checkpoint").write_text(
        f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n', "utf-8"
    )
    return tuple(folder / f"{name}{suffix}" for suffix in SUFFIXES)


def _optimiser_variables(variables: Variables, optimiser: Optimiser) -> Variables:
    """Rl_coach makes its optimiser in the network's scope: the slots' names begin with it twice."""
    added: Variables = {}
    for name, array in variables.items():
        match = NETWORK.match(name)
        if match is None or match[1].endswith("/target"):
            continue
        scope, powers = match[1], optimiser.powers
        added[f"{scope}/global_step"] = np.asarray(optimiser.steps, np.int64)
        added[f"{scope}/beta1_power"] = np.asarray(adam.BETA_1 * powers[0], np.float32)
        added[f"{scope}/beta2_power"] = np.asarray(adam.BETA_2 * powers[1], np.float32)
        for slot, moments in (("Adam", optimiser.moments), ("Adam_1", optimiser.squares)):
            added[f"{scope}/{name}/{slot}"] = moments.get(name, np.zeros_like(array))
    return added


def read_checkpoint(prefix: Path, blueprint: Blueprint) -> Weights:
    """
    Read the weights of a network, whoever wrote them; all else in the files is ignored.

    Args:
        prefix: the path without the suffixes, as `folder / "13_Step-8044.ckpt"`.

    Raises:
        InvalidInput: a file is missing or broken, or it is another network's.
    """
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        stored = find_variables(reader.get_variable_to_shape_map(), blueprint)
        wanted = _wanted_names(prefix, stored, blueprint)
        weights = {name: np.asarray(reader.get_tensor(stored[name]), np.float32) for name in wanted}
    except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(f"checkpoint {prefix.name} can't be read: {reason}") from error
    check_weights(weights, blueprint.weight_shapes())
    return weights


def _wanted_names(prefix: Path, stored: dict[str, str], blueprint: Blueprint) -> list[str]:
    wanted = list(blueprint.weight_shapes())
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise InvalidInput(
            f"checkpoint {prefix.name} lacks {len(missing)} of {len(wanted)} variables, first "
            f"{missing[0]}: one of {blueprint} is accepted"
        )
    return wanted


@lru_cache(maxsize=8)
def _meta_graph(kinds: tuple[tuple[str, tuple[int, ...], str], ...]) -> bytes:
    """A graph of these variables and their saver, from which TensorFlow 1 can restore them."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        for name, shape, kind in kinds:
            v1.get_variable(
                name, shape, kind, initializer=v1.zeros_initializer(), use_resource=False
            )
        saver = v1.train.Saver(v1.global_variables())
        meta = v1.train.export_meta_graph(
            graph=graph, saver_def=saver.saver_def, strip_default_attrs=True
        )
    serialized: bytes = meta.SerializeToString(deterministic=True)
    return serialized
