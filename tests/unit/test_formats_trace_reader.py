"""Reading simulation traces of every age, whole and cut."""

import math
from pathlib import Path

import pytest

from libs.common.deepracer.simtrace import HEADER
from libs.common.deepracer.trace_reader import read_simtrace, split_episodes
from libs.common.errors import InvalidInput

ROW = (
    "3,7.0,1.5,-2.5,90.0,-30.0,1.25,4,0.5,False,True,12.5,9,17.709,101.5,in_progress,0.0,2,"
    "1700000000.5"
)


def test_a_row_of_nineteen_columns_is_read_whole() -> None:
    (row,) = read_simtrace("a.csv", f"{HEADER}\n{ROW}\n")
    assert (row.episode, row.steps, row.x_m, row.y_m) == (3, 7.0, 1.5, -2.5)
    assert (row.yaw_deg, row.steering_deg, row.speed_mps, row.action) == (90.0, -30.0, 1.25, "4")
    assert (row.done, row.all_wheels_on_track, row.closest_waypoint) == (False, True, 9)
    assert (row.status, row.crashes, row.wall_clock_s) == ("in_progress", 2, 1700000000.5)


@pytest.mark.parametrize("columns", [17, 18])
def test_what_older_traces_lack_is_nothing(columns: int) -> None:
    (row,) = read_simtrace("a.csv", ",".join(ROW.split(",")[:columns]))
    assert row.sim_time_s == 101.5
    assert row.crashes == (2 if columns == 18 else 0)
    assert row.wall_clock_s == 0.0


def test_traces_of_2019_have_radians_and_no_status() -> None:
    line = "0,19,5.9464,-2.3981,-0.2891,-0.17,6.50,7,6.4814,False,True,8.6149,17,22.63,1567600690.7"
    (stock,) = read_simtrace("a.csv", line)
    assert stock.yaw_deg == pytest.approx(math.degrees(-0.2891))
    assert stock.steering_deg == pytest.approx(math.degrees(-0.17))
    assert (stock.status, stock.sim_time_s) == ("", 1567600690.7)
    (patched,) = read_simtrace("a.csv", f"{line},12.25")
    assert patched.sim_time_s == 12.25


def test_continuous_actions_keep_their_brackets() -> None:
    (row,) = read_simtrace("a.csv", ROW.replace(",4,", ",[-30.0 1.25],"))
    assert row.action == "[-30.0 1.25]"


def test_log_lines_are_found_among_others() -> None:
    log = f"starting\n[agent-9] SIM_TRACE_LOG:{ROW}\nthe car says hello\nSIM_TRACE_LOG:{ROW}\n"
    assert len(read_simtrace("log", log)) == 2


@pytest.mark.parametrize("cut", range(1, len(ROW) - 1, 7))
def test_a_last_line_that_is_cut_is_left_out_or_whole(cut: int) -> None:
    rows = read_simtrace("a.csv", f"{HEADER}\n{ROW}\n{ROW[:cut]}")
    assert len(rows) in (1, 2)
    assert rows[0] == read_simtrace("a.csv", ROW)[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no simulation trace"),
        (HEADER, "no simulation trace"),
        ("# a page\n", "line 1: '# a page': 1 fields; accepted are 15 to 19"),
        (f"{HEADER}\n{ROW.replace('90.0', 'nan')}\n{ROW}", "line 2.*finite"),
        (f"{HEADER}\n{ROW.replace('False', 'perhaps')}\n{ROW}", "'perhaps' is neither"),
        (f"{HEADER}\n1,2\n{ROW}", "line 2: '1,2': 2 fields"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_simtrace("a.csv", text)


def test_an_episode_ends_where_its_number_changes_or_its_steps_begin_again() -> None:
    lines = [ROW.replace("3,7.0", start) for start in ("3,1", "3,2", "4,1", "4,2", "4,1", "4,2")]
    episodes = split_episodes(read_simtrace("a.csv", "\n".join(lines)))
    assert [len(episode) for episode in episodes] == [2, 2, 2]


def test_every_published_trace_is_read(shared_data: Path) -> None:
    files = sorted((shared_data / "runs").rglob("*-iteration.csv"))
    counts = [len(read_simtrace(str(file), file.read_text())) for file in files]
    assert len(counts) >= 27
    assert min(counts) > 300
