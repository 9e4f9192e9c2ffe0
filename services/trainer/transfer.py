"""
What a run takes of another run's network where the two have other actions.

The layers below the heads and the value's head are taken as they are. The policy's head is taken
where the actions are the same, mapped where they are of the same kind, and else begins anew. SAC's
networks are taken whole: no layer behind a hyperbolic tangent means the same in other ranges.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.continuous import command_bounds
from libs.common.deepracer.metadata import ContinuousActionSpace, DiscreteAction, ModelMetadata
from services.trainer.architecture import LOG_STD, POLICY_SCOPE, Weights, blueprint_of


def describe_transfer(source: ModelMetadata, target: ModelMetadata) -> str | None:
    """What is taken of the source's network, as a sentence; None where it is all of it."""
    old, new = source.action_space, target.action_space
    if old == new:
        return None
    if target.training_algorithm == "sac":
        return "all layers are taken; an action is the same share of the new ranges as of the old"
    if isinstance(old, tuple) and isinstance(new, tuple):
        origins = enumerate(nearest_actions(old, new))
        pairs = ", ".join(f"{action} from {origin}" for action, origin in origins)
        return (
            f"all layers but the last are taken; of the policy's last one each of {len(new)} "
            f"actions gets the nearest of {len(old)} by steering and speed: {pairs}"
        )
    if isinstance(old, ContinuousActionSpace) and isinstance(new, ContinuousActionSpace):
        return "all layers are taken; the policy's last one is rescaled to the new ranges"
    return (
        f"all layers but the policy's last one are taken, which begins anew: its actions were "
        f"{source.action_space_type} and are {target.action_space_type} now"
    )


def transfer_weights(
    weights: Weights, source: ModelMetadata, target: ModelMetadata, fresh: Weights
) -> Weights:
    """
    The weights to begin with.

    Args:
        weights: of the source's network, complete.
        source, target: the action spaces; all else of the two networks is the same.
        fresh: of the target's network as it was drawn, for a head that begins anew.
    """
    old, new = source.action_space, target.action_space
    if old == new or target.training_algorithm == "sac":
        return weights
    trunk = {name: array for name, array in weights.items() if not name.startswith(POLICY_SCOPE)}
    if isinstance(old, tuple) and isinstance(new, tuple):
        return trunk | _map_head(weights, blueprint_of(source).policy_head, old, new)
    if isinstance(old, ContinuousActionSpace) and isinstance(new, ContinuousActionSpace):
        return trunk | _rescale_head(weights, blueprint_of(source).policy_head, old, new)
    return trunk | {name: fresh[name] for name in fresh if name.startswith(POLICY_SCOPE)}


def nearest_actions(
    old: Sequence[DiscreteAction], new: Sequence[DiscreteAction]
) -> NDArray[np.intp]:
    """
    For each new action the index of the nearest old one (new,).

    Steering and speed count as shares of the range that the two spaces together have.
    """
    before, after = _table(old), _table(new)
    spread = np.ptp(np.concatenate([before, after]), axis=0)
    shares = (after[:, np.newaxis] - before) / np.where(spread > 0, spread, 1.0)
    return np.asarray(np.argmin(np.square(shares).sum(axis=2), axis=1))


def _table(actions: Sequence[DiscreteAction]) -> NDArray[np.float64]:
    return np.array([(action.steering_angle, action.speed) for action in actions])


def _map_head(
    weights: Weights, head: str, old: Sequence[DiscreteAction], new: Sequence[DiscreteAction]
) -> Weights:
    """Each new action has the logit of its origin, less where several share its chance."""
    origins = nearest_actions(old, new)
    sharers = np.bincount(origins, minlength=len(old))[origins]
    kernel, bias = weights[f"{head}/kernel"], weights[f"{head}/bias"]
    return {
        f"{head}/kernel": kernel[:, origins],
        f"{head}/bias": (bias[origins] - np.log(sharers)).astype(np.float32),
    }


def _rescale_head(
    weights: Weights, head: str, old: ContinuousActionSpace, new: ContinuousActionSpace
) -> Weights:
    """The same steering (rad) and speed (m/s) as before, told as -1 to 1 of the new ranges."""
    (low, high), (new_low, new_high) = command_bounds(old), command_bounds(new)
    scale = (high - low) / (new_high - new_low)
    offset = (low + high - new_low - new_high) / (new_high - new_low)
    mapped = {
        f"{head}/kernel": weights[f"{head}/kernel"] * scale,
        f"{head}/bias": weights[f"{head}/bias"] * scale + offset,
        LOG_STD: weights[LOG_STD] + np.log(scale),
    }
    return {name: array.astype(np.float32) for name, array in mapped.items()}
