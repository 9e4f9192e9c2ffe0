"""What today's learner takes of all that a run folder can say."""

from libs.common.deepracer.coach_support import coach_problems
from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from libs.common.observations import bytes_a_car

MOST_OBSERVATION_BYTES = 8_000_000
"""Of all cars of one simulator in one step: a bus of the stack takes messages of up to 8 MB."""


def check_supported(spec: RunSpec) -> None:
    """
    Refuse a run that is well written but that the learner can't train.

    Raises:
        InvalidInput: each thing that is not supported yet, with what is.
    """
    problems = []
    problems += _size_problems(spec)
    if spec.metadata.training_algorithm == "sac":
        problems += _replay_problems(spec.hyperparameters)
    else:
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
    return {
        "training_algorithm": metadata.training_algorithm,
        "neural_network": metadata.neural_network,
        "sensor": sorted(metadata.sensor),
    }


def _size_problems(spec: RunSpec) -> list[str]:
    """One simulator sends what all its cars observe in one message."""
    together, cars = spec.race.cars_in_arena, spec.hyperparameters.cars
    arenas = cars // together
    most_cars = -(-arenas // min(spec.simulators, arenas)) * together
    each = bytes_a_car(spec.metadata)
    if most_cars * each <= MOST_OBSERVATION_BYTES:
        return []
    return [
        f"hyperparameters.json: cars: got {cars} on {spec.simulators} simulator(s) with sensors "
        f"{list(spec.metadata.sensor)}, {most_cars * each} bytes in a step of one; accepted: up to "
        f"{MOST_OBSERVATION_BYTES}, which are {MOST_OBSERVATION_BYTES // each} cars for each of "
        "run.yaml's simulators"
    ]


def _batch_problems(hyperparameters: Hyperparameters) -> list[str]:
    """With a horizon it is known how many steps there are to make minibatches of."""
    cars, horizon = hyperparameters.cars, hyperparameters.horizon
    if horizon is None or hyperparameters.batch_size <= cars * horizon:
        return []
    return [
        f"hyperparameters.json: batch_size: got {hyperparameters.batch_size}; accepted: up to "
        f"{cars * horizon}, the steps of {cars} cars over a horizon of {horizon}"
    ]


def _replay_problems(hyperparameters: Hyperparameters) -> list[str]:
    """What SAC learns from has to fit into its memory before the memory is full."""
    size, cars = hyperparameters.replay_size, hyperparameters.cars
    least = {"batch_size": hyperparameters.batch_size, "cars": cars}
    problems = [
        f"hyperparameters.json: replay_size: got {size}; accepted: at least {key}, {value}"
        for key, value in least.items()
        if size < value
    ]
    if hyperparameters.warm_up_steps > size:
        problems.append(
            f"hyperparameters.json: warm_up_steps: got {hyperparameters.warm_up_steps}; accepted: "
            f"up to replay_size, {size}"
        )
    if hyperparameters.precision != "fp32":
        problems.append(
            f"hyperparameters.json: precision: got {hyperparameters.precision!r} with SAC; "
            "accepted: 'fp32'"
        )
    return problems
