"""Figures, curves, paths and peaks of one run, from events alone."""

import json
from datetime import timedelta

import pytest

from libs.common.events import (
    EpisodeEnded,
    EpochLosses,
    EvaluationEnded,
    IterationEnded,
    Message,
    RewardFailed,
    RunEnded,
    RunInterrupted,
    RunStarted,
    TrialResult,
)
from services.streamer.curves import Curves, Row
from services.streamer.paths import EXITS, PATHS, POINTS, Paths, means, thinned
from services.streamer.peaks import Peaks
from services.streamer.recent import Recent
from services.streamer.scoreboard import Scoreboard
from tests.driven import MIDDAY, episode, evaluation_ended, iteration_ended, run_ended


def board_of(*events: Message) -> Scoreboard:
    board = Scoreboard("r1")
    for sequence, event in enumerate(events, 1):
        board.apply(event, sequence)
    return board


def lap(number: int, lap_s: float) -> EpisodeEnded:
    drive = episode(number)
    return drive.model_copy(
        update={"lap_s": lap_s, "progress_pct": 100.0, "status": "lap_complete"}
    )


def started(at_s: float, attempt: int = 1) -> RunStarted:
    at = MIDDAY + timedelta(seconds=at_s)
    return RunStarted(run_id="r1", at=at, attempt=attempt, trainer="trainer-1")


# -- peaks -------------------------------------------------------------------------------------


def test_only_a_completed_lap_is_the_fastest_lap() -> None:
    peaks = board_of(episode(0, steps=60), lap(1, 9.5), lap(2, 9.1), lap(3, 9.9)).figures().peaks
    assert peaks.fastest_lap_s is not None
    assert (peaks.fastest_lap_s.value, peaks.fastest_lap_s.episode) == (9.1, 2)


def test_the_pace_of_an_unfinished_lap_is_extrapolated_and_kept_apart() -> None:
    drive = episode(4, steps=60)  # 60 steps of 1/15 s took it to 30 %
    peaks = Peaks().after(drive)
    assert peaks.fastest_lap_s is None
    assert peaks.fastest_pace_s is not None
    assert peaks.fastest_pace_s.value == pytest.approx(4.0 / 0.30)


def test_a_car_that_leaves_at_once_has_no_pace() -> None:
    assert Peaks().after(episode(0, steps=20)).fastest_pace_s is None


def test_each_peak_names_the_first_episode_that_reached_it() -> None:
    peaks = board_of(episode(0), lap(1, 9.0), lap(2, 9.0), episode(3, steps=90)).figures().peaks
    assert peaks.furthest_pct is not None
    assert peaks.most_reward is not None
    assert (peaks.furthest_pct.episode, peaks.most_reward.episode) == (1, 3)


# -- session -----------------------------------------------------------------------------------


def test_an_event_that_comes_twice_counts_once() -> None:
    board = Scoreboard("r1")
    for sequence in (1, 2, 2, 1):
        board.apply(episode(sequence), sequence)
    assert board.figures().session.episodes == 2


def test_trials_of_evaluations_are_no_training_episodes() -> None:
    trial = episode(0, phase="evaluation", rollout_id="e1")
    assert board_of(episode(0), trial).figures().session.episodes == 1


def test_active_time_leaves_out_the_wait_for_another_trainer() -> None:
    interrupted = RunInterrupted(
        run_id="r1", at=MIDDAY + timedelta(seconds=10), attempt=1, reason="died"
    )
    board = board_of(started(0), interrupted)
    assert board.figures().session.status == "queued"
    board.apply(started(60, attempt=2), 3)
    session = board.figures().session
    assert (session.active_s, session.attempt) == (10.0, 2)
    assert session.running_since_s == MIDDAY.timestamp() + 60
    board.apply(
        RunEnded(
            run_id="r1", at=MIDDAY + timedelta(seconds=65), outcome="finished", reason="target"
        ),
        4,
    )
    session = board.figures().session
    assert (session.active_s, session.running_since_s) == (15.0, None)
    assert (session.status, session.reason) == ("finished", "target")


def test_the_last_evaluation_tells_its_trials_and_the_iteration_it_came_after() -> None:
    trials = (
        TrialResult(trial=0, status="lap_complete", progress_pct=100.0, steps=130, lap_s=8.9),
        TrialResult(trial=1, status="off_track", progress_pct=40.0, steps=52),
    )
    ended = EvaluationEnded(
        run_id="r1", evaluation_id="e1", checkpoint="c", track="loop", trials=trials
    )
    board = board_of(iteration_ended(7, []), ended, evaluation_ended([episode(0)]), ended)
    evaluation = board.figures().evaluations[-1]
    assert (evaluation.iteration, evaluation.completed) == (7, 1)
    assert (evaluation.best_lap_s, evaluation.mean_progress_pct) == (8.9, 70.0)
    assert [trial.lap_s for trial in evaluation.trials] == [8.9, None]


def test_a_reward_function_that_raised_is_told_with_its_line() -> None:
    failed = RewardFailed(
        run_id="r1", rollout_id="x", episode=3, step=7, reason="KeyError: 'speedd'", line=12
    )
    trouble = board_of(failed).figures().trouble
    assert trouble == "reward function, line 12: KeyError: 'speedd' (episode 3, step 7)"


def test_a_reward_that_is_no_number_is_no_peak() -> None:
    endless = episode(0).model_copy(update={"reward": float("nan")})
    peaks = board_of(endless, episode(1)).figures().peaks
    assert peaks.most_reward is not None
    assert peaks.most_reward.episode == 1


def test_a_number_that_json_does_not_know_becomes_null() -> None:
    losses = EpochLosses(
        epoch=0, surrogate_loss=float("nan"), value_loss=1, kl_divergence=0, entropy=1
    )
    diverged = IterationEnded(run_id="r1", iteration=0, losses=(losses,), mean_reward=float("inf"))
    board = board_of(diverged.model_copy(update={"steps_per_s": float("nan")}))
    figures = json.loads(board.figures().model_dump_json(), parse_constant=pytest.fail)
    assert figures["session"]["steps_per_s"] is None
    curves = json.loads(board.curves.since(None)[0].model_dump_json(), parse_constant=pytest.fail)
    assert curves["rows"][0][curves["columns"].index("policy_loss")] is None


# -- curves ------------------------------------------------------------------------------------


def row(iteration: int, value: float | None = 0.0) -> Row:
    return (float(iteration), value)


def iterations_of(curves: Curves) -> list[float | None]:
    return [shown[0] for shown in curves.since(None)[0].rows]


def test_a_reader_is_sent_only_the_rows_that_it_lacks() -> None:
    curves = Curves()
    for number in range(5):
        curves.append(row(number))
    first, cursor = curves.since(None)
    curves.append(row(5))
    second, cursor = curves.since(cursor)
    nothing, _ = curves.since(cursor)
    assert (first.start, len(first.rows)) == (0, 5)
    assert (second.start, second.rows) == (5, [row(5)])
    assert nothing.rows == []


def test_a_long_run_keeps_its_whole_span_in_few_rows() -> None:
    curves = Curves(max_rows=8)
    for number in range(1000):
        curves.append(row(number, float(number)))
    shown = curves.since(None)[0].rows
    assert len(shown) <= 8 + 1
    assert shown[-1][0] == 999
    assert shown[0][1] == pytest.approx((curves.stride - 1) / 2)  # a mean of what it stands for


def test_a_reader_of_halved_rows_is_sent_all_of_them_anew() -> None:
    curves = Curves(max_rows=4)
    for number in range(3):
        curves.append(row(number))
    _, cursor = curves.since(None)
    curves.append(row(3))
    rows, _ = curves.since(cursor)
    assert (rows.start, [shown[0] for shown in rows.rows]) == (0, [1.0, 3.0])


def test_a_row_that_still_grows_is_sent_again_in_its_place() -> None:
    curves = Curves(max_rows=4)
    for number in range(5):  # at the fourth, two iterations begin to share a row
        curves.append(row(number, float(number)))
    _, cursor = curves.since(None)
    curves.append(row(5, 5.0))
    rows, _ = curves.since(cursor)
    assert (rows.start, rows.rows) == (2, [(5.0, 4.5)])


def test_iterations_that_a_restarted_learner_repeats_replace_the_old_ones() -> None:
    curves = Curves()
    for number in (0, 1, 2, 3, 2, 3, 4):
        curves.append(row(number))
    assert iterations_of(curves) == [0, 1, 2, 3, 4]


def test_a_merged_row_is_the_mean_of_all_that_is_known_of_its_iterations() -> None:
    """Not the mean of means: 1, nothing, 4 and 7 are 4 together, as halves 1 and 5.5."""
    curves = Curves(max_rows=2)
    for number, value in enumerate((1.0, None, 4.0, 7.0)):
        curves.append(row(number, value))
    assert curves.since(None)[0].rows == [(3.0, 4.0)]


def test_the_last_iterations_are_told_one_by_one_however_long_the_run() -> None:
    curves = Curves(max_rows=4)
    for number in range(100):
        curves.append(row(number, float(number)))
    shown = curves.since(None)[0]
    assert shown.stride > 1
    assert [last[1] for last in shown.last] == [float(number) for number in range(90, 100)]


def test_a_long_run_that_goes_back_to_a_checkpoint_tells_no_iteration_twice() -> None:
    curves = Curves(max_rows=4)
    for number in (*range(50), *range(37, 60)):
        curves.append(row(number, float(number)))
    shown = curves.since(None)[0]
    told = [each[0] for each in shown.rows]
    assert told == sorted(set(told))
    assert told[-1] == 59
    assert [last[0] for last in shown.last] == list(range(50, 60))


def test_means_leave_out_iterations_in_which_no_episode_ended() -> None:
    curves = Curves(max_rows=2)
    for number, value in enumerate((4.0, None, None, None)):
        curves.append(row(number, value))
    assert [shown[1] for shown in curves.since(None)[0].rows] == [4.0]


def test_the_lap_time_of_an_iteration_is_the_best_of_its_laps() -> None:
    board = board_of(
        lap(0, 9.5), lap(1, 9.2), iteration_ended(0, []), episode(2), iteration_ended(1, [])
    )
    shown = board.curves.since(None)[0]
    column = shown.columns.index("lap_s")
    assert [values[column] for values in shown.rows] == [9.2, None]


# -- paths -------------------------------------------------------------------------------------


def test_a_path_is_thinned_and_keeps_its_end() -> None:
    kept = thinned(1000)
    assert len(kept) <= POINTS
    assert kept[-1] == 999
    assert thinned(0) == []
    assert thinned(1) == [0]


def test_a_path_tells_the_mean_of_what_happened_on_the_way_to_each_point() -> None:
    assert means([0.0, 2.0, 4.0, 6.0, 8.0], [0, 2, 4]) == [2.0, 3.0, 7.0]
    assert means([0.0, 2.0, 4.0], [1, 2]) == [2.0, 4.0]
    assert means([0.0], [0]) == [0.0]


def test_only_the_last_paths_are_kept_and_more_of_the_exits() -> None:
    paths = Paths()
    for number in range(EXITS + 50):
        paths.append(episode(number, steps=20))
    shown, _ = paths.since(None)
    assert shown.afresh
    assert len(shown.paths) == PATHS
    assert len(shown.exits) == EXITS
    assert shown.paths[-1].episode == EXITS + 49


def test_a_reader_of_paths_is_sent_only_new_ones() -> None:
    paths = Paths()
    paths.append(episode(0))
    _, cursor = paths.since(None)
    paths.append(lap(1, 9.0))
    shown, _ = paths.since(cursor)
    assert not shown.afresh
    assert [path.episode for path in shown.paths] == [1]
    assert shown.exits == []


def test_a_ring_gives_what_is_left_of_what_a_reader_missed() -> None:
    ring: Recent[int] = Recent(3)
    for number in range(10):
        ring.append(number)
    assert ring.since(2) == [7, 8, 9]
    assert ring.since(9) == [9]
    assert ring.since(10) == []


def test_a_run_that_is_over_and_queued_again_runs_again() -> None:
    board = board_of(started(0), run_ended(), started(100, attempt=2))
    assert board.figures().session.status == "running"
    assert board.figures().session.ended_at_s is None
