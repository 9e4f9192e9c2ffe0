"""What the learner says: iterations, checkpoints, which of them is the best."""

from libs.common.deepracer.run_spec import BestBy
from libs.common.events.artifacts import ArtifactEvent
from libs.common.events.base import Event, Value
from libs.common.events.values import CheckpointRef, TrialResult


class EpochLosses(Value):
    """Means over the minibatches of one pass through a rollout."""

    epoch: int
    surrogate_loss: float
    value_loss: float
    kl_divergence: float
    entropy: float


class IterationEnded(Event, producer="trainer"):
    """
    One iteration of the learner: with DeepRacer's settings one update, with a horizon several.

    `losses` are those of the iteration's last update, a row for each epoch.
    """

    iteration: int  # from 0
    episodes: tuple[int, ...] = ()  # numbers of those that ended in it
    total_episodes: int = 0
    env_steps: int = 0  # since the run began
    updates: int = 0  # since the run began
    elapsed_s: float = 0.0  # wall-clock of learning since the run began, over all attempts
    steps_per_s: float = 0.0
    mean_reward: float | None = None  # of its episodes; None where none ended
    mean_progress_pct: float | None = None
    completion_ratio: float | None = None  # 0..1
    learning_rate: float = 0.0
    losses: tuple[EpochLosses, ...] = ()
    explained_variance: float | None = None
    clip_fraction: float | None = None
    gradient_norm: float | None = None
    # Of each discrete action; of continuous ones each tenth of the range, steering before speed.
    action_counts: tuple[int, ...] = ()
    # Where the wall-clock of the iteration went, in seconds.
    wait_s: float = 0.0  # for the simulators
    infer_s: float = 0.0
    learn_s: float = 0.0


class CheckpointSaved(ArtifactEvent, producer="trainer"):
    """A checkpoint and its frozen policy are in the store."""

    checkpoint: CheckpointRef
    iteration: int


class BestCheckpointChosen(ArtifactEvent, producer="trainer"):
    """An evaluation made this checkpoint the best so far."""

    checkpoint: CheckpointRef
    trials: tuple[TrialResult, ...]
    metric: float  # mean progress of the trials, in per cent
    best_by: BestBy = "progress"  # what decided among as many completed trials
