"""What today's learner takes of all that a run folder can say."""

from libs.common.deepracer.metadata import ContinuousActionSpace
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput


def check_supported(spec: RunSpec) -> None:
    """
    Refuse a run that is well written but that the learner can't train.

    Raises:
        InvalidInput: each thing that is not supported yet, with what is.
    """
    problems = []
    if isinstance(spec.metadata.action_space, ContinuousActionSpace):
        problems.append(
            "model_metadata.json: action_space: got continuous ranges; accepted by the learner: "
            "discrete actions, continuous ones are not supported yet"
        )
    if spec.metadata.training_algorithm != "clipped_ppo":
        problems.append(
            f"model_metadata.json: training_algorithm: got {spec.metadata.training_algorithm!r}; "
            "accepted by the learner: 'clipped_ppo'"
        )
    sensors = spec.metadata.sensor
    if sensors != ("FRONT_FACING_CAMERA",):
        problems.append(
            f"model_metadata.json: sensor: got {list(sensors)}; accepted by the learner: "
            "['FRONT_FACING_CAMERA'], the simulator drives with the others already"
        )
    if problems:
        raise InvalidInput(problems)
