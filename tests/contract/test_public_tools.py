"""The files of a run as the community's own reader takes them: `deepracer-utils`, unmodified."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from deepracer.logs import (
    AnalysisUtils,
    DeepRacerLog,
    EvaluationUtils,
    LogFolderType,
    SimulationLogsIO,
    TrainingMetrics,
)
from deepracer.tracks import TrackIO

from libs.common.deepracer import layout
from libs.common.deepracer.simtrace import TRACE_FIELDS
from libs.common.errors import InvalidInput
from libs.common.events import EpisodeEnded, EpochLosses
from libs.common.journal import Journals, Line
from libs.common.journal_reading import (
    journal_path,
)
from libs.common.tracks import load_built_in
from services.logger.playback import Playback
from services.logger.run_log import RunLog
from services.logger.text_log import LogKind, TextLog
from tests.driven import episode, evaluation_ended, iteration_ended, run_ended, run_queued

BETWEEN_TRAINING, ITERATIONS = 6, 4
STAMP = "20260101120000"
ENDS = (3, 0, 1, 5, 2, 4)
"""Cars side by side end their episodes in another order than they began them."""


def driven(workers: int) -> list[EpisodeEnded]:
    """Four iterations of DeepRacer's, by a learner whose own iterations are others."""
    numbers = [block * len(ENDS) + end for block in range(ITERATIONS) for end in ENDS]
    return [
        episode(number, iteration=number // 5, rollout_id=f"r1.1.{index % workers}")
        for index, number in enumerate(numbers)
    ]


def stored(folder: Path, workers: int = 1) -> Path:
    """The run's folder as it lies in the store."""
    queued = run_queued(between_training=BETWEEN_TRAINING, simulators=workers)
    trials = [
        episode(n, phase="evaluation", rollout_id="r1.evaluation.1", steps=30) for n in range(3)
    ]
    events = [queued, *driven(workers), *trials, evaluation_ended(trials), run_ended()]
    with Journals(folder / "journal") as journals:
        journals.append([Line("r1", event.id, event.encode()) for event in events])
    log = RunLog(journal_path(folder / "journal", "r1"), "r1")
    log.advance()
    spec = queued.spec
    files = {file.key: file.make() for file in log.due()}
    files[layout.model_metadata("r1")] = spec.metadata.model_dump_json().encode()
    files[layout.ip_hyperparameters("r1")] = spec.hyperparameters.model_dump_json().encode()
    for key, data in files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    return folder / layout.run_prefix("r1")


def test_the_training_is_read_with_every_episode_in_its_iteration(tmp_path: Path) -> None:
    log = DeepRacerLog(str(stored(tmp_path)))
    assert log.fh.type == LogFolderType.DRFC_MODEL_SINGLE_WORKERS
    log.load()
    frame = log.dataframe()
    count = BETWEEN_TRAINING * ITERATIONS
    assert frame["unique_episode"].nunique() == frame["episode"].nunique() == count
    assert (frame["unique_episode"] == frame["episode"]).all()
    assert (frame["iteration"] == frame["episode"] // BETWEEN_TRAINING).all()
    lengths = frame.groupby("episode")["steps"].count().tolist()
    assert lengths == [one.steps + 1 for one in driven(1)]
    assert log.hyperparameters()["num_episodes_between_training"] == BETWEEN_TRAINING
    assert [action["speed"] for action in log.action_space()] == [1.5] * 3
    aggregated = AnalysisUtils.simulation_agg(frame, secondgroup="unique_episode")
    assert len(aggregated) == count
    assert log.stability.analyze() is not None


def test_each_workers_training_is_read_with_its_episodes(tmp_path: Path) -> None:
    log = DeepRacerLog(str(stored(tmp_path, workers=2)))
    assert log.fh.type == LogFolderType.DRFC_MODEL_MULTIPLE_WORKERS
    log.load()
    frame = log.dataframe()
    per_worker = BETWEEN_TRAINING * ITERATIONS // 2
    assert frame["unique_episode"].nunique() == 2 * per_worker
    assert frame.groupby("worker")["episode"].nunique().tolist() == [per_worker] * 2
    assert (
        frame.groupby("iteration")["unique_episode"].nunique().tolist()
        == [BETWEEN_TRAINING] * ITERATIONS
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_the_metrics_have_the_iterations_of_the_traces(tmp_path: Path, workers: int) -> None:
    folder = stored(tmp_path, workers)
    metrics = TrainingMetrics(None, fname=str(folder / "metrics/TrainingMetrics.json"))
    for worker in range(1, workers):
        file = folder / f"metrics/TrainingMetrics_{worker}.json"
        metrics.addRound("r1", fname=str(file), training_round=1, worker=worker)
    training = metrics.getTraining()
    assert len(training) == BETWEEN_TRAINING * ITERATIONS
    assert training.groupby("iteration").size().tolist() == [BETWEEN_TRAINING] * ITERATIONS
    assert len(metrics.getEvaluation()) == 3


def test_an_evaluation_is_read_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stored(tmp_path)
    log = DeepRacerLog(str(folder))
    log.load_evaluation_trace()
    frame = log.dataframe()
    assert frame.groupby("episode")["steps"].count().tolist() == [31] * 3
    assert set(frame["stream"]) == {STAMP}
    document = json.loads((folder / f"metrics/evaluation/evaluation-{STAMP}.json").read_bytes())
    assert [row["trial"] for row in document["metrics"]] == [1, 2, 3]
    (tmp_path / "loop.npy").write_bytes(load_built_in("loop").to_npy())
    track = TrackIO(base_path=str(tmp_path)).load_track("loop")
    monkeypatch.setattr(plt, "show", lambda *_, **__: plt.close("all"))
    EvaluationUtils.analyse_single_evaluation(frame, track)


def text_log(folder: Path, kind: LogKind, fields: int = 19) -> bytes:
    """A run's log as the logger tells it."""
    path = journal_path(folder / "journal", "r1")
    return Playback(path, TextLog(kind, fields)).next_piece(path.stat().st_size) or b""


@pytest.mark.parametrize("fields", TRACE_FIELDS)
def test_log_lines_are_read_in_each_generations_form(tmp_path: Path, fields: int) -> None:
    stored(tmp_path)
    file = tmp_path / "simulation.log"
    file.write_bytes(text_log(tmp_path, "simulation", fields))
    lines = [line for line in file.read_text().splitlines() if "SIM_TRACE_LOG:" in line]
    assert {line.count(",") + 1 for line in lines} == {fields}
    if fields == 15:  # of 2019: the reader of today wants a status
        return
    frame = SimulationLogsIO.load_pandas(str(file), BETWEEN_TRAINING)
    assert len(frame) == sum(one.steps + 1 for one in driven(1))
    assert (frame["iteration"] == frame["episode"] // BETWEEN_TRAINING).all()
    assert np.isfinite(frame["wall_clock"]).all() == (fields == 19)


def test_the_simulators_log_tells_the_run_it_is_of(tmp_path: Path) -> None:
    stored(tmp_path)
    folder = tmp_path / "console"
    (folder / "sim-trace/training/20260101").mkdir(parents=True)
    (folder / "logs/training").mkdir(parents=True)
    file = folder / "logs/training/training-20260101120000-simulation.log"
    file.write_bytes(text_log(tmp_path, "simulation"))
    log = DeepRacerLog(str(folder))
    log.load_robomaker_logs()
    assert log.dataframe()["episode"].nunique() == BETWEEN_TRAINING * ITERATIONS
    assert log.hyperparameters()["num_episodes_between_training"] == BETWEEN_TRAINING
    assert len(log.action_space()) == 3
    assert log.agent_and_network() == {
        "world": "loop",
        "sensor_list": ["FRONT_FACING_CAMERA"],
        "network": "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
        "simapp_version": "5.0",
    }


def test_the_trainers_log_counts_episodes_steps_and_epochs(tmp_path: Path) -> None:
    losses = EpochLosses(
        epoch=0, surrogate_loss=-0.5, value_loss=0.1, kl_divergence=0.01, entropy=1.5
    )
    ended = iteration_ended(0, []).model_copy(update={"losses": (losses,), "learning_rate": 3e-4})
    events = [run_queued(between_training=2), *(episode(n) for n in (1, 0, 2)), ended]
    with Journals(tmp_path / "journal") as journals:
        journals.append([Line("r1", event.id, event.encode()) for event in events])
    lines = text_log(tmp_path, "training").decode().splitlines()
    assert lines[-4:] == [
        "Training> Name=main_level/agent, Worker=0, Episode=1, Total reward=10.5, Steps=21, "
        "Training iteration=0",
        "Training> Name=main_level/agent, Worker=0, Episode=2, Total reward=10, Steps=41, "
        "Training iteration=0",
        "Training> Name=main_level/agent, Worker=0, Episode=3, Total reward=11, Steps=63, "
        "Training iteration=1",
        "Policy training> Surrogate loss=-0.5, KL divergence=0.01, Entropy=1.5, training epoch=0, "
        "learning_rate=0.0003",
    ]


def test_another_number_of_fields_is_refused() -> None:
    with pytest.raises(InvalidInput, match="fields is 18: accepted are 19, 17, 16, 15"):
        TextLog("simulation", 18)
