"""What a policy makes of what one car sees, for people who watch it learn."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from libs.common.deepracer.continuous import command_bounds, scale_actions
from libs.common.deepracer.metadata import ContinuousActionSpace, ModelMetadata
from libs.common.events import ActionOdds, CommandRange, PolicyView, SaliencyGrid
from services.trainer.architecture import Observations
from services.trainer.distributions import Distribution, SquashedGaussian
from services.trainer.network import ActorCritic

CELL_PX = 8
"""Side of a saliency cell, in pixels of what the network sees."""
WEIGHTIEST = 255


def explain(
    metadata: ModelMetadata,
    distribution: Distribution,
    raw: NDArray[np.float32],
    action: NDArray[Any],
) -> PolicyView:
    """
    Read a network's raw outputs (width,) for one car, and the action that was drawn from them.

    An action is an index, or steering and speed of -1 to 1.
    """
    space, outputs = metadata.action_space, raw[np.newaxis]
    if not isinstance(space, ContinuousActionSpace):
        odds = distribution.greedy(outputs)[0].tolist()
        actions = tuple(
            ActionOdds(
                steering_rad=float(np.radians(action.steering_angle)),
                speed_mps=action.speed,
                probability=probability,
            )
            for action, probability in zip(space, odds, strict=True)
        )
        return PolicyView(actions=actions, taken=int(action))
    mean, std = np.split(raw, 2)
    rows = np.stack([mean, mean - std, mean + std])
    if isinstance(distribution, SquashedGaussian):
        rows = np.tanh(rows)
    bounds = command_bounds(space)
    means, lower, upper, taken = scale_actions(bounds, np.vstack([rows, action])).tolist()
    ranges = zip(bounds[0].tolist(), bounds[1].tolist(), means, lower, upper, taken, strict=True)
    names = ("least", "most", "mean", "lower", "upper", "taken")
    return PolicyView(
        commands=tuple(CommandRange(**dict(zip(names, each, strict=True))) for each in ranges)
    )


def saliency(network: ActorCritic, observations: Observations) -> SaliencyGrid:
    """
    How much each part of the camera's picture weighs in the action that the policy likes most.

    The size of the gradient of that action's log-probability, or of the mean steering, in the
    pixels (Simonyan et al., 2013, https://arxiv.org/abs/1312.6034), each cell by its mean.

    Args:
        observations: of one car, (1, *shape) by sensor; every car has one camera.
    """
    [camera] = network.blueprint.cameras
    pixels = tf.cast(observations[camera], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        raw = network.policy(network.centre({**observations, camera: pixels}))
        preferred = raw[0, 0]
        if not network.blueprint.continuous:
            preferred = tf.reduce_max(tf.nn.log_softmax(raw), axis=1)[0]
    weights = np.abs(tape.gradient(preferred, pixels).numpy()[0]).sum(axis=-1)
    height, width = (size // CELL_PX * CELL_PX for size in weights.shape)
    cells = weights[:height, :width]
    cells = cells.reshape(height // CELL_PX, CELL_PX, -1, CELL_PX).mean(axis=(1, 3))
    most = float(cells.max())
    scaled = np.rint(cells * (WEIGHTIEST / most if most > 0 else 0.0)).astype(np.uint8)
    rows, columns = scaled.shape
    return SaliencyGrid(rows=rows, columns=columns, cells=scaled.tobytes())
