"""Event files for TensorBoard, read back by TensorFlow's own reader."""

import pytest
import tensorflow as tf

from libs.common.deepracer.hyperparameters import parse_hyperparameters
from libs.common.events import EpochLosses, IterationEnded
from services.trainer.board import Board


def iteration(number, **values):
    losses = tuple(
        EpochLosses(
            epoch=epoch,
            surrogate_loss=-0.1 * epoch,
            value_loss=2.0 + epoch,
            kl_divergence=0.01,
            entropy=1.5,
        )
        for epoch in (0, 1)
    )
    return IterationEnded(
        run_id="toy",
        iteration=number,
        episodes=(),
        total_episodes=3,
        env_steps=128 * (number + 1),
        updates=8,
        elapsed_s=2.5,
        steps_per_s=51.2,
        learning_rate=3e-4,
        action_counts=(1, 2),
        wait_s=0.1,
        infer_s=0.2,
        learn_s=0.3,
        losses=losses,
        **values,
    )


def read(files):
    """Scalars by tag: a list of (step, value) each."""
    curves = {}
    for file in files:
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                curves.setdefault(value.tag, []).append((event.step, number))
    return curves


def test_the_curves_of_iterations_come_back_by_steps(tmp_path):
    board = Board(tmp_path / "tensorboard")
    board.note(iteration(0, mean_progress_pct=12.5, gradient_norm=0.7))
    board.note(iteration(1, mean_progress_pct=25.0, gradient_norm=0.6))
    curves = read(board.files)
    assert curves["driving/mean_progress_pct"] == [(128, 12.5), (256, 25.0)]
    assert curves["losses/value_loss"] == [(128, 3.0), (256, 3.0)]
    assert curves["learning/learning_rate"][0] == (128, pytest.approx(3e-4))
    assert curves["learning/gradient_norm"][1] == (256, pytest.approx(0.6))
    assert "driving/mean_reward" not in curves  # no episode ended
    board.close()


def test_each_attempt_has_a_file_of_its_own(tmp_path):
    first, second = Board(tmp_path / "first"), Board(tmp_path / "second")
    names = {file.name for board in (first, second) for file in board.files}
    assert len(names) == 2


def test_it_is_a_hyperparameter_as_in_2019():
    checked = parse_hyperparameters(b'{"tensorboard": "true"}')
    assert checked.value.tensorboard is True
    assert not checked.warnings
    assert parse_hyperparameters(b"{}").value.tensorboard is False
