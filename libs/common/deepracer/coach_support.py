"""What rl-coach's agent has no parameter for, of all that our own learner does."""

from libs.common.deepracer.run_spec import RunSpec

NETWORKS = (
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
    "DEEP_CONVOLUTIONAL_NETWORK",
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP",
)
"""DeepRacer's own."""

HYPERPARAMETERS: dict[str, tuple[object, str]] = {
    "horizon": (None, "none, as it learns from whole episodes: num_episodes_between_training"),
    "policy_averaging": (0.0, "0"),
    "target_kl": (None, "none"),
    "lr_decay": (1.0, "1"),
    "entropy_decay": (1.0, "1"),
    "precision": ("fp32", "'fp32'"),
}
"""The one value that each may have, and how that is told."""


def coach_problems(spec: RunSpec) -> list[str]:
    """What keeps a run from being trained by engine `coach`, each with what is accepted."""
    metadata = spec.metadata
    problems = []
    if metadata.training_algorithm != "clipped_ppo":
        key = "model_metadata.json: training_algorithm"
        problems.append(_problem(key, metadata.training_algorithm, "'clipped_ppo'"))
    if metadata.neural_network not in NETWORKS:
        key, accepted = "model_metadata.json: neural_network", ", ".join(map(repr, NETWORKS))
        problems.append(_problem(key, metadata.neural_network, accepted))
    for key, (only, accepted) in HYPERPARAMETERS.items():
        value = getattr(spec.hyperparameters, key)
        if value != only:
            problems.append(_problem(f"hyperparameters.json: {key}", value, accepted))
    return problems


def _problem(key: str, value: object, accepted: str) -> str:
    return f"{key}: got {value!r}; accepted by engine 'coach': {accepted}"
