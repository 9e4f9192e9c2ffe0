"""What rl-coach's agent has no parameter for, of all that our own learner does."""

from libs.common.deepracer.run_spec import RunSpec

NETWORKS = (
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
    "DEEP_CONVOLUTIONAL_NETWORK",
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP",
)
"""DeepRacer's own."""


def coach_problems(spec: RunSpec) -> list[str]:
    """What keeps a run from being trained by engine `coach`, each with what is accepted."""
    metadata, hyper = spec.metadata, spec.hyperparameters
    problems = []
    if metadata.training_algorithm != "clipped_ppo":
        problems.append(
            _problem("model_metadata.json: training_algorithm", metadata.training_algorithm)
            + "'clipped_ppo'"
        )
    if metadata.neural_network not in NETWORKS:
        accepted = ", ".join(map(repr, NETWORKS))
        problems.append(
            _problem("model_metadata.json: neural_network", metadata.neural_network) + accepted
        )
    if hyper.horizon is not None:
        problems.append(
            _problem("hyperparameters.json: horizon", hyper.horizon)
            + "none, as it learns from whole episodes: num_episodes_between_training"
        )
    if hyper.policy_averaging:
        problems.append(
            _problem("hyperparameters.json: policy_averaging", hyper.policy_averaging) + "0"
        )
    return problems


def _problem(key: str, value: object) -> str:
    return f"{key}: got {value!r}; accepted by engine 'coach': "
