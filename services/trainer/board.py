"""A run's curves for TensorBoard: event files, written where `tensorboard` asks for them."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from libs.common.events import IterationEnded

SCALARS = {
    "driving/mean_reward": "mean_reward",
    "driving/mean_progress_pct": "mean_progress_pct",
    "driving/completion_ratio": "completion_ratio",
    "learning/learning_rate": "learning_rate",
    "learning/explained_variance": "explained_variance",
    "learning/clip_fraction": "clip_fraction",
    "learning/gradient_norm": "gradient_norm",
    "speed/steps_per_s": "steps_per_s",
    "speed/elapsed_s": "elapsed_s",
}
"""Tags, and the fields of `IterationEnded` that they show."""
LOSSES = ("surrogate_loss", "value_loss", "kl_divergence", "entropy")
"""Of the last epoch, under `losses/`."""


class Board:
    """
    One attempt's event file in a folder.

    Numbers are over steps of all cars. What an iteration has no value for is left out.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._writer = tf.summary.create_file_writer(str(folder))
        self._writer.flush()

    @property
    def files(self) -> list[Path]:
        """What there is to keep; files grow."""
        return sorted(self._folder.glob("events.out.tfevents.*"))

    def note(self, ended: IterationEnded) -> None:
        """Add an iteration, and write it out."""
        values = {tag: getattr(ended, field) for tag, field in SCALARS.items()}
        if ended.losses:
            last = ended.losses[-1]
            values |= {f"losses/{name}": getattr(last, name) for name in LOSSES}
        with self._writer.as_default(step=ended.env_steps):
            for tag, value in values.items():
                if value is not None:
                    tf.summary.write(tag, tf.constant(value, tf.float32), metadata=_scalar())
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()


def _scalar() -> Any:
    """
    What tells TensorBoard that a number is a point of a curve.

    `tf.summary.scalar` does the same, and wants all of TensorBoard installed for it.
    """
    metadata = tf.compat.v1.SummaryMetadata
    plugin = metadata.PluginData(plugin_name="scalars", content=b"")
    return metadata(plugin_data=plugin, data_class=1)  # DATA_CLASS_SCALAR
