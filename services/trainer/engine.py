"""What a run needs of its learner, whichever engine it is: `training.py` knows no more of it."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import CarStep
from services.trainer.architecture import Observations
from services.trainer.learner import Decision, SavedCheckpoint
from services.trainer.progress import LearnerState


class Engine(Protocol):
    """See `learner.Learner` for what each of these does."""

    @property
    def state(self) -> LearnerState:
        """A copy of the counters."""

    def act(self, observations: Observations, steps: Sequence[CarStep] = ()) -> Decision:
        """One camera step of all cars."""

    def begin_rollout(self, cars: Collection[int] | None = None) -> None:
        """The simulator of these cars begins anew."""

    def note_used_episodes(self, numbers: Iterable[int]) -> None:
        """Learn which episodes are over."""

    def note_better_evaluation(self) -> None:
        """An evaluation was better than all before."""

    def limit_reached(self) -> str | None:
        """The limit that is reached, as a sentence."""

    def adopt_checkpoint(self, prefix: Path, source: ModelMetadata | None = None) -> str | None:
        """Begin with the weights of another run."""

    def save(self, folder: Path) -> SavedCheckpoint:
        """Write a checkpoint."""

    def restore(self, folder: Path, name: str) -> None:
        """Go on from a checkpoint of this run."""


Build = Callable[[RunSpec], Engine]
"""Makes a run's learner, ready to act."""
