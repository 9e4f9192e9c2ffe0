"""
This project's update of SHALLOW.

    python -m tests.bench.peers.slipstream_learner weights.npz BATCH_SIZE ROWS CARS [PRECISION]
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from services.trainer.architecture import Blueprint
from services.trainer.distributions import distribution_of
from services.trainer.network import ActorCritic, configure_threads
from services.trainer.ppo import Ppo
from services.trainer.rollout import Rollout
from tests.bench.peers import learning
from tests.bench.peers.turns import serve

BLUEPRINT = Blueprint(
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
    {learning.CAMERA: (learning.HEIGHT_PX, learning.WIDTH_PX, 1)},
    learning.ACTIONS,
)


def main(weights: str, batch_size: str, rows: str, cars: str, precision: str = "fp32") -> None:
    """Update whenever it is this process's turn."""
    configure_threads()
    hyper = learning.settings(int(batch_size), precision)
    network = ActorCritic(BLUEPRINT, seed=0, precision=precision)
    for name, array in learning.read_weights(Path(weights)).items():
        network.variables[name].assign(array)
    ppo, rng = Ppo(network, hyper), np.random.default_rng(0)
    rollout = filled(BLUEPRINT, learning.draw_experience(int(rows), int(cars)))
    losses = ppo.update(rollout, rng).losses[0]
    first = (losses.surrogate_loss, losses.value_loss, losses.entropy)
    steps = learning.EPOCHS * rollout.actions.size

    def update() -> int:
        ppo.update(rollout, rng)
        return steps

    serve(learning.about(f"Slipstream, TensorFlow {tf.__version__}", first), update)


def filled(blueprint: Blueprint, experience: learning.Experience) -> Rollout:
    """The experience as a rollout of a policy that gave all actions the same chance."""
    rows, cars = experience.actions.shape
    rollout = Rollout(rows, cars, blueprint, distribution_of(blueprint.actions, continuous=False))
    even = np.full((cars, blueprint.actions), -np.log(blueprint.actions), np.float32)
    for row in range(rows):
        rollout.see({learning.CAMERA: experience.frames[row]})
        rollout.record_choice(experience.actions[row], even)
        rollout.record_outcome(experience.rewards[row], experience.ends[row])
    rollout.see({learning.CAMERA: experience.frames[rows]})
    return rollout


if __name__ == "__main__":
    main(*sys.argv[1:])
