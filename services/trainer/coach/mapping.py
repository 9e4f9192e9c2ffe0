"""
Our hyperparameters and networks in rl-coach's words: names and values, nothing of the package.

The names are those of rl-coach's `NetworkParameters` and `ClippedPPOAlgorithmParameters`. What
DeepRacer fixes (Adam's constants, the value's target by GAE) is fixed here as well; rl-coach's own
defaults are others.
"""

from collections.abc import Mapping

from libs.common.deepracer.hyperparameters import Hyperparameters
from services.trainer.adam import BETA_1, BETA_2, EPSILON
from services.trainer.architecture import Blueprint

Scheme = tuple[tuple[int, ...], ...]
"""Layers in order: (filters, kernel, stride) of a convolution, (units,) of a dense layer."""


def network_values(hyper: Hyperparameters) -> Mapping[str, object]:
    """What is set of `NetworkParameters`, apart from the layers."""
    return {
        "batch_size": hyper.batch_size,
        "learning_rate": hyper.lr,
        "learning_rate_decay_rate": 0,
        "optimizer_type": "Adam",
        "adam_optimizer_beta1": BETA_1,
        "adam_optimizer_beta2": BETA_2,
        "optimizer_epsilon": EPSILON,
        "replace_mse_with_huber_loss": hyper.loss_type == "huber",
        "clip_gradients": hyper.max_grad_norm,  # by the norm of all
    }


def algorithm_values(hyper: Hyperparameters) -> Mapping[str, object]:
    """What is set of `ClippedPPOAlgorithmParameters`, apart from the episodes of a rollout."""
    return {
        "beta_entropy": hyper.beta_entropy,
        "clip_likelihood_ratio_using_epsilon": hyper.clip_coef,
        "discount": hyper.discount_factor,
        "estimate_state_value_using_gae": True,
        "gae_lambda": hyper.gae_lambda,
        "optimization_epochs": hyper.num_epochs,
    }


def epsilon_schedule(hyper: Hyperparameters) -> tuple[float, float, int] | None:
    """First and last share of random actions, and the steps between; None where all are drawn."""
    if hyper.exploration_type != "e-greedy":
        return None
    return 1.0, hyper.e_greedy_value, hyper.epsilon_steps


def embedder_scheme(blueprint: Blueprint, sensor: str) -> Scheme:
    """The layers of a sensor's embedder."""
    embedder = blueprint.trunk.embedder(sensor)
    return (*embedder.convolutions, *((units,) for units in embedder.dense))


def middleware_scheme(blueprint: Blueprint) -> Scheme:
    """The layers after the embeddings are joined."""
    return tuple((units,) for units in blueprint.trunk.middleware)
