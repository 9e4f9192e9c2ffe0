"""What today's learner takes of all that a run folder can say."""

from libs.common.deepracer.coach_support import coach_problems
from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput


def check_supported(spec: RunSpec) -> None:
    """
    Refuse a run that is well written but that the learner can't train.

    Raises:
        InvalidInput: each thing that is not supported yet, with what is.
    """
    problems = []
    if spec.metadata.training_algorithm != "clipped_ppo":
        problems.append(
            f"model_metadata.json: training_algorithm: got {spec.metadata.training_algorithm!r}; "
            "accepted by the learner: 'clipped_ppo'"
        )
    sensors = spec.metadata.sensor
    if sensors != ("FRONT_FACING_CAMERA",):  # the networks take all, the bus carries one camera
        problems.append(
            f"model_metadata.json: sensor: got {list(sensors)}; accepted by the learner: "
            "['FRONT_FACING_CAMERA'], the simulator drives with the others already"
        )
    problems += _batch_problems(spec.hyperparameters)
    if spec.engine == "coach":
        problems += coach_problems(spec)
    if problems:
        raise InvalidInput(problems)


def check_start(spec: RunSpec, source: RunSpec) -> None:
    """
    Refuse to begin with weights of a run whose network is another one.

    Raises:
        InvalidInput: each difference, with what is accepted.
    """
    asked, given = _network_of(spec), _network_of(source)
    problems = [
        f"start: the {what} of run {source.name!r} is {given[what]!r}; accepted: that of this run, "
        f"{asked[what]!r}"
        for what in asked
        if asked[what] != given[what]
    ]
    if problems:
        raise InvalidInput(problems)


def _network_of(spec: RunSpec) -> dict[str, object]:
    """What the shapes of the layers depend on that can't be mapped."""
    metadata = spec.metadata
    return {"neural_network": metadata.neural_network, "sensor": sorted(metadata.sensor)}


def _batch_problems(hyperparameters: Hyperparameters) -> list[str]:
    """With a horizon it is known how many steps there are to make minibatches of."""
    cars, horizon = hyperparameters.cars, hyperparameters.horizon
    if horizon is None or hyperparameters.batch_size <= cars * horizon:
        return []
    return [
        f"hyperparameters.json: batch_size: got {hyperparameters.batch_size}; accepted: up to "
        f"{cars * horizon}, the steps of {cars} cars over a horizon of {horizon}"
    ]
