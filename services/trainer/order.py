"""
What a trainer and its learner process say to each other, apart from the bus.

The trainer starts `python -m services.trainer.learner_process`, now or before there was a run to
train, writes one `LearnerOrder` line to its standard input and leaves it open: a line `stop REASON`
asks for an end with a last checkpoint, the end of the input means that the trainer died, and the
learner leaves at once. Its last line on standard output is a `LearnerReport`; without one it
crashed and may be started again.
"""

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import CheckpointRef, Outcome, TrackRef, Value


class LearnerOrder(Value):
    """Train this run, from nothing, from another run's checkpoint or from where it was."""

    run_id: str
    attempt: int
    spec: RunSpec
    track: TrackRef
    start: CheckpointRef | None = None  # weights of another run
    start_metadata: ModelMetadata | None = None  # that run's; None is the same as this one's
    resume: CheckpointRef | None = None  # weights and counters of this run


class LearnerReport(Value):
    """How the run ended; `failed` is for good, as where the reward function raises."""

    outcome: Outcome
    reason: str
    diverged: bool = False  # its learning blew up
