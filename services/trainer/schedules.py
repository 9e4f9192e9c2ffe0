"""What changes in the course of a run: the learning rate and the weight of the entropy."""

from typing import NamedTuple

from libs.common.deepracer.hyperparameters import Hyperparameters


class Rates(NamedTuple):
    """The values that an update learns with."""

    learning_rate: float
    beta_entropy: float


def rates_after(env_steps: int, hyper: Hyperparameters) -> Rates:
    """
    The values after so many steps of all cars.

    Each falls linearly from its own to the share of it that `lr_decay` or `entropy_decay` names,
    which it has from `decay_steps` on.
    """
    done = 0.0 if hyper.decay_steps is None else min(1.0, env_steps / hyper.decay_steps)
    return Rates(
        hyper.lr * (1 - done * (1 - hyper.lr_decay)),
        hyper.beta_entropy * (1 - done * (1 - hyper.entropy_decay)),
    )
