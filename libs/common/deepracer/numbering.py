"""
Episodes as DeepRacer numbers them: in the order of their ends, and so many in each iteration.

Public tools compute an episode's iteration from its number and `num_episodes_between_training`, and
expect a file of each worker that holds just those episodes (reference 1.5, 1.6). Our cars begin
their episodes side by side and a learner with a horizon updates when it likes, so that the numbers
of its events and its iterations have no such order: the files count for themselves.
"""

from collections import Counter
from dataclasses import dataclass

from libs.common.deepracer.run_spec import RunSpec
from libs.common.events.rollouts import EpisodeEnded


@dataclass(frozen=True)
class Place:
    """Where an episode is told in DeepRacer's files."""

    worker: int
    number: int  # from 0, of this worker's episodes
    iteration: int  # of the files, from 0


class Numbering:
    """
    Gives the training episodes of a run their places, one after the other.

    Args:
        workers: simulators that share the run; each has files of its own.
        between_training: `num_episodes_between_training`, of all workers together.
    """

    def __init__(self, workers: int = 1, between_training: int = 20) -> None:
        self.workers = workers
        self.per_iteration = max(1, between_training // workers)
        self._counts: Counter[int] = Counter()

    @classmethod
    def of(cls, spec: RunSpec) -> "Numbering":
        """The numbering of a run's files."""
        return cls(spec.workers, spec.hyperparameters.num_episodes_between_training)

    def take(self, episode: EpisodeEnded) -> Place:
        """The place of the next episode that ended."""
        worker = self.worker_of(episode)
        number = self._counts[worker]
        self._counts[worker] += 1
        return Place(worker, number, number // self.per_iteration)

    def worker_of(self, episode: EpisodeEnded) -> int:
        """The simulator that drove it: rollouts are handed out to them in turn."""
        _, _, count = episode.rollout_id.rpartition(".")
        return int(count) % self.workers if count.isdecimal() else 0
