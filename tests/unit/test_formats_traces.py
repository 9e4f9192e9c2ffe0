"""Traces and metrics made from episode events, compared with published files where they are."""

import csv
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from libs.common.deepracer import layout
from libs.common.deepracer.metrics import encode, evaluation_metrics, training_metrics
from libs.common.deepracer.simtrace import (
    HEADER,
    simtrace_csv,
    simtrace_log_lines,
    start_times_s,
)
from libs.common.events import EpisodeEnded, EpisodeStatus, Phase, StepColumns

REAL_RUNS = Path(__file__).parents[3] / "shared" / "data" / "runs"
needs_real_runs = pytest.mark.skipif(not REAL_RUNS.exists(), reason="no published runs here")

STARTED_AT_S = 1_700_000_000.0


def episode(
    number: int = 0,
    *,
    phase: Phase = "training",
    iteration: int = 0,
    car: int = 0,
    status: EpisodeStatus = "off_track",
    reward: float = 2.5,
    progress_pct: float = 12.9,
    duration_s: float = 0.2,
    actions: tuple[int, ...] = (-1, 4, 0, 2),
) -> EpisodeEnded:
    """An episode of four rows that took `duration_s` simulated seconds."""
    return EpisodeEnded(
        run_id="a-run",
        at=datetime.fromtimestamp(STARTED_AT_S + 0.1, UTC),
        phase=phase,
        episode=number,
        iteration=iteration,
        rollout_id="r",
        car=car,
        track="loop",
        track_length_m=17.7,
        status=status,
        reward=reward,
        progress_pct=progress_pct,
        steps=3,
        started_at_s=STARTED_AT_S,
        columns=StepColumns(
            x_m=(1.0, 1.1, 1.2, 1.3),
            y_m=(0.5, 0.5, 0.5, 0.5),
            heading_rad=(0.0, math.pi / 2, math.pi, -math.pi / 4),
            steering_rad=(0.0, math.radians(30), math.radians(-30), 0.0),
            speed_mps=(0.0, 1.5, 1.5, 1.5),
            action=actions,
            reward=(0.0, 1.0, 1.0, 0.5),
            progress_pct=(0.0, 4.0, 8.0, progress_pct),
            closest_waypoint=(1, 1, 2, 3),
            all_wheels_on_track=(True, True, True, False),
            sim_time_s=(0.0, duration_s / 3, duration_s * 2 / 3, duration_s),
        ),
    )


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


# Traces


def test_a_trace_has_19_columns_with_degrees_and_one_row_for_each_step() -> None:
    text = simtrace_csv([episode()])
    assert text.startswith(HEADER + "\n")
    assert text.endswith("\n")
    rows = rows_of(text)
    assert len(HEADER.split(",")) == 19
    assert [row["steps"] for row in rows] == ["1.0", "2.0", "3.0", "4.0"]
    assert [float(row["yaw"]) for row in rows] == [0, 90, 180, -45]
    assert [round(float(row["steer"]), 9) for row in rows] == [0, 30, -30, 0]
    assert [row["all_wheels_on_track"] for row in rows] == ["True", "True", "True", "False"]


def test_an_episode_begins_with_prepare_and_ends_with_its_status() -> None:
    rows = rows_of(simtrace_csv([episode(status="lap_complete")]))
    assert [row["episode_status"] for row in rows] == [
        "prepare",
        "in_progress",
        "in_progress",
        "lap_complete",
    ]
    assert [row["done"] for row in rows] == ["False", "False", "False", "True"]


def test_a_penalty_is_a_pause_in_the_trace_and_counts_in_the_metrics() -> None:
    driven = episode(status="lap_complete")
    columns = driven.columns.model_copy(
        update={"pause_s": (0.0, 0.0, 0.5, 0.5), "crashes": (0, 1, 1, 1)}
    )
    counts = {"crash_count": 1, "reset_count": 1, "lap_times_s": (12.0,)}
    driven = driven.model_copy(update={"columns": columns, **counts})
    rows = rows_of(simtrace_csv([driven]))
    assert [row["episode_status"] for row in rows[1:3]] == ["in_progress", "pause"]
    assert [row["pause_duration"] for row in rows] == ["0.0", "0.0", "0.5", "0.5"]
    assert [row["obstacle_crash_counter"] for row in rows] == ["0", "1", "1", "1"]
    [metrics] = evaluation_metrics([driven])["metrics"]
    assert (metrics["crash_count"], metrics["reset_count"], metrics["off_track_count"]) == (1, 1, 0)


def test_the_start_shows_an_action_of_the_space() -> None:
    assert [row["action"] for row in rows_of(simtrace_csv([episode()]))] == ["4", "4", "0", "2"]


def test_continuous_actions_are_steering_and_speed_without_a_comma() -> None:
    rows = rows_of(simtrace_csv([episode(actions=(-1, -1, -1, -1))]))
    assert rows[3]["action"] == "[0.0 1.5]"
    assert rows[0]["action"] == "[0.0 0.0]"


def test_episodes_of_a_file_are_in_the_order_of_their_numbers() -> None:
    rows = rows_of(simtrace_csv([episode(7), episode(5), episode(6)]))
    assert [row["episode"] for row in rows[::4]] == ["5", "6", "7"]


def test_each_car_drives_its_episodes_one_behind_the_other() -> None:
    driven = [
        episode(0, car=0, duration_s=1.5),
        episode(1, car=1, duration_s=0.3),
        episode(2, car=1, duration_s=0.6),
        episode(3, car=0, duration_s=1.0),
    ]
    starts_s = start_times_s(driven)
    assert [round(starts_s[one.id], 3) for one in driven] == [0, 0, 0.3, 1.5]
    rows = rows_of(simtrace_csv(driven[2:], starts_s))
    assert [row["tstamp"] for row in rows[:4]] == ["0.3", "0.5", "0.7", "0.9"]


def test_the_wall_clock_runs_from_the_episodes_start_to_its_event() -> None:
    rows = rows_of(simtrace_csv([episode(duration_s=30.0)]))
    times = [float(row["wall_clock"]) - STARTED_AT_S for row in rows]
    assert times == pytest.approx([0, 1 / 30, 2 / 30, 0.1], abs=1e-5)


def test_an_episode_without_steps_leaves_no_rows() -> None:
    empty = episode().model_copy(update={"columns": StepColumns()})
    assert simtrace_csv([empty]) == HEADER + "\n"


def test_log_lines_are_rounded_as_deepracer_prints_them() -> None:
    lines = list(simtrace_log_lines([episode()]))
    assert lines[0] == (
        "SIM_TRACE_LOG:0,1,1.0000,0.5000,0.0000,0.00,0.00,4,0.0000,False,True,0.0000,1,17.70,0.0,"
        "prepare,0.00,0,1700000000.0000"
    )
    assert lines[3].split(",")[9:17] == [
        "True",
        "False",
        "12.9000",
        "3",
        "17.70",
        "0.2",
        "off_track",
        "0.00",
    ]


def kind_of(text: str) -> str:
    """What a reader would take a field for."""
    if text in ("True", "False"):
        return "truth"
    try:
        return "whole" if int(text) is not None else ""
    except ValueError:
        pass
    try:
        return "number" if float(text) is not None else ""
    except ValueError:
        return "text"


@needs_real_runs
def test_a_trace_has_the_shape_of_a_published_one() -> None:
    (file,) = (REAL_RUNS / "cloud-solution").glob("sim-trace/training/*/training-simtrace/0*.csv")
    published = file.read_text()
    assert published.partition("\n")[0] == HEADER
    assert "\r" not in published
    theirs = next(csv.reader(StringIO(published.partition("\n")[2])))
    ours = next(csv.reader(StringIO(simtrace_csv([episode()]).partition("\n")[2])))
    assert [kind_of(field) for field in ours] == [kind_of(field) for field in theirs]


@needs_real_runs
def test_a_continuous_action_has_the_shape_of_a_published_one() -> None:
    folder = REAL_RUNS / "continuous-actions" / "training-simtrace"
    theirs = rows_of((folder / "0-iteration.csv").read_text())[1]["action"]
    ours = rows_of(simtrace_csv([episode(actions=(-1, -1, -1, -1))]))[1]["action"]
    for text in (ours, theirs):
        assert (text[0], text[-1]) == ("[", "]")
        assert len([float(part) for part in text[1:-1].split(" ")]) == 2


# Metrics


def test_training_metrics_number_episodes_from_1_and_trials_by_iteration() -> None:
    document = training_metrics([episode(0), episode(1), episode(2, iteration=1)])
    assert document["version"] == 2.0
    assert document["best_model_metric"] == "progress"
    rows = document["metrics"]
    assert [(row["episode"], row["trial"]) for row in rows] == [(1, 1), (2, 2), (3, 1)]
    assert rows[0] == {
        "reward_score": 2,
        "metric_time": 200,
        "start_time": 0,
        "elapsed_time_in_milliseconds": 200,
        "episode": 1,
        "trial": 1,
        "phase": "training",
        "completion_percentage": 12,
        "episode_status": "Off track",
    }
    assert rows[1]["start_time"] == 200


def test_evaluations_repeat_the_number_of_the_episode_before_them() -> None:
    driven = [episode(0), episode(1), episode(0, phase="evaluation"), episode(2, iteration=1)]
    rows = training_metrics(driven)["metrics"]
    assert [(row["phase"], row["episode"], row["trial"]) for row in rows] == [
        ("training", 1, 1),
        ("training", 2, 2),
        ("evaluation", 2, 2),
        ("training", 3, 1),
    ]


def test_evaluation_metrics_count_how_each_trial_ended() -> None:
    driven = [
        episode(1, phase="evaluation", status="off_track"),
        episode(0, phase="evaluation", status="lap_complete", progress_pct=100.0),
    ]
    first, second = evaluation_metrics(driven)["metrics"]
    assert (first["trial"], first["episode_status"]) == (1, "Lap complete")
    assert (first["completion_percentage"], first["off_track_count"]) == (100, 0)
    assert (second["trial"], second["off_track_count"]) == (2, 1)
    assert second["start_time"] == 200


def shape(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, type(value).__name__) for key, value in row.items()]


@needs_real_runs
def test_metrics_have_the_keys_and_types_of_published_ones() -> None:
    folder = REAL_RUNS / "single-worker" / "metrics"
    theirs = json.loads((folder / "TrainingMetrics.json").read_bytes())
    ours = json.loads(encode(training_metrics([episode()])))
    assert shape(ours) == shape(theirs)
    assert shape(ours["metrics"][0]) == shape(theirs["metrics"][0])
    for file in folder.glob("EvaluationMetrics-*.json"):
        evaluated = json.loads(file.read_bytes())
        trial = json.loads(encode(evaluation_metrics([episode(phase="evaluation")])))
        assert shape(trial) == shape(evaluated)
        assert shape(trial["metrics"][0]) == shape(evaluated["metrics"][0])


def published_episodes() -> Iterator[EpisodeEnded]:
    """The complete episodes of a published trace, as events."""
    folder = REAL_RUNS / "single-worker" / "training-simtrace"
    for file in sorted(folder.glob("*.csv"), key=lambda one: int(one.name.split("-")[0])):
        rows = [row for row in rows_of(file.read_text()) if None not in row.values()]
        for number, group in groupby(rows, key=lambda row: int(row["episode"])):
            driven = list(group)
            if driven[-1]["done"] == "True":
                yield event_of(number, int(file.name.split("-")[0]), driven)


def event_of(number: int, iteration: int, rows: list[dict[str, str]]) -> EpisodeEnded:
    times_s = [float(row["tstamp"]) for row in rows]
    base = episode(
        number,
        iteration=iteration,
        reward=sum(float(row["reward"]) for row in rows),
        progress_pct=float(rows[-1]["progress"]),
    )
    status = {"off_track": "off_track", "lap_complete": "lap_complete"}
    return base.model_copy(
        update={
            "status": status[rows[-1]["episode_status"]],
            "columns": StepColumns(sim_time_s=tuple(time - times_s[0] for time in times_s)),
        }
    )


@needs_real_runs
def test_scores_and_percentages_of_a_published_run_come_out_equal() -> None:
    published = json.loads(
        (REAL_RUNS / "single-worker" / "metrics" / "TrainingMetrics.json").read_bytes()
    )
    theirs = {row["episode"]: row for row in published["metrics"] if row["phase"] == "training"}
    ours = training_metrics(published_episodes())["metrics"]
    assert len(ours) == 280
    for row in ours:
        expected = theirs[row["episode"]]
        for key in ("reward_score", "completion_percentage", "episode_status", "trial"):
            assert row[key] == expected[key], (row["episode"], key)


# The layout of a run in the store


def test_an_evaluation_is_named_by_the_14_digits_of_its_time() -> None:
    assert layout.evaluation_stamp(1_657_396_962.9) == "20220709200242"


def test_keys_are_those_of_deepracers_layout() -> None:
    assert layout.model_file("a", "model_13.pb") == "runs/a/model/model_13.pb"
    assert layout.deepracer_checkpoints("a") == "runs/a/model/deepracer_checkpoints.json"
    assert layout.coach_checkpoint("a") == "runs/a/model/.coach_checkpoint"
    assert layout.model_metadata("a") == "runs/a/model/model_metadata.json"
    assert layout.run_model_metadata("a") == "runs/a/model_metadata.json"
    assert layout.reward_function("a") == "runs/a/reward_function.py"
    assert layout.hyperparameters("a") == "runs/a/hyperparameters.json"
    assert layout.ip_hyperparameters("a") == "runs/a/ip/hyperparameters.json"
    assert layout.training_params("a") == "runs/a/training_params.yaml"
    assert layout.training_metrics("a") == "runs/a/metrics/TrainingMetrics.json"
    assert layout.evaluation_metrics("a", "7") == "runs/a/metrics/evaluation/evaluation-7.json"
    assert layout.training_simtrace("a", 3) == "runs/a/training-simtrace/3-iteration.csv"
    simtrace = layout.evaluation_simtrace("a", "7")
    assert simtrace == "runs/a/evaluation-7/evaluation-simtrace/0-iteration.csv"
    assert layout.car_archive("a") == "runs/a/output/model.tar.gz"
    assert layout.journal_file("a", "0.jsonl") == "runs/a/journal/0.jsonl"
