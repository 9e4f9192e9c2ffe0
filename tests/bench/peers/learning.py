"""What learners are measured on: one network's weights, one rollout, one way to call an update."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.hyperparameters import Hyperparameters

CAMERA = "FRONT_FACING_CAMERA"
HEIGHT_PX, WIDTH_PX, ACTIONS = 120, 160, 5
EPOCHS = 2


class Experience(NamedTuple):
    """A rollout of equal chances, drawn at random: frames of patches, as roads are."""

    frames: NDArray[np.uint8]  # (rows + 1, cars, height, width, 1)
    actions: NDArray[np.int32]  # (rows, cars)
    rewards: NDArray[np.float32]  # (rows, cars)
    ends: NDArray[np.uint8]  # (rows, cars), of `StepEnd`

    @property
    def transitions(self) -> int:
        """What an epoch goes through."""
        return self.actions.size


def settings(batch_size: int, precision: str = "fp32") -> Hyperparameters:
    """The sprint preset with this minibatch."""
    return Hyperparameters.model_validate(
        {"preset": "sprint", "batch_size": batch_size, "num_epochs": EPOCHS, "precision": precision}
    )


def draw_experience(rows: int, cars: int) -> Experience:
    """The same for all that ask for as much."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (rows + 1, cars, HEIGHT_PX // 10, WIDTH_PX // 10, 1))
    frames = patches.astype(np.uint8).repeat(10, axis=2).repeat(10, axis=3)
    return Experience(
        frames,
        rng.integers(ACTIONS, size=(rows, cars)).astype(np.int32),
        rng.random((rows, cars)).astype(np.float32),
        (rng.random((rows, cars)) < 0.02).astype(np.uint8),
    )


def read_weights(file: Path) -> dict[str, NDArray[np.float32]]:
    """Weights by DeepRacer's names, for centred pictures."""
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files}


def about(who: str, losses: Iterable[float]) -> str:
    """What a process says of itself: who it is, and the losses of its first epoch."""
    return " ".join([f"{who};", *(f"{float(loss):.4f}" for loss in losses)])


def losses_of(about_process: str) -> list[float]:
    """The losses in `about`: surrogate, value, entropy."""
    return [float(word) for word in about_process.rpartition(";")[2].split()]
