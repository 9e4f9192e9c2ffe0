"""Real traces against the simulator: `slipstream sim replay` and what is behind it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from libs.cli.output import WrongUsage
from libs.common.deepracer.simtrace import HEADER, TraceRow
from libs.common.deepracer.trace_reader import read_simtrace, split_episodes
from libs.common.errors import InvalidInput, NotFound
from libs.common.tracks import Track, load_built_in, parse_npy
from services.simulator.agreement import compare_params
from services.simulator.replay import (
    HORIZONS,
    motion_of,
    replay,
    split_at_gaps,
    tracking_for,
)
from services.simulator.track_choice import choose_track
from services.simulator.vehicle import (
    CAR,
    CONTROL_HZ,
    REFERENCE_POINT_M,
    drive_car,
    dynamics_for,
)
from services.simulator.verbs import app
from services.simulator.verbs.replay import compare, read_traces

SINGLE_WORKER = "single-worker/training-simtrace"
CONSOLE = "console/sim-trace"
CONTINUOUS = "continuous-actions/training-simtrace"
CLOUD = "cloud-solution/sim-trace"


def imitate(version: str, steps: int = 60, seed: int = 1) -> list[TraceRow]:
    """A trace as the real simulator writes it, of a car that is this simulator's own."""
    random, car, rows = np.random.default_rng(seed), np.zeros(1, CAR)[0], []
    dynamics = dynamics_for(version)
    for step in range(steps):
        steering_deg, speed_mps = random.uniform(-20, 20), random.uniform(1.0, 1.5)
        heading = float(car["heading_rad"])
        rows.append(
            TraceRow(
                episode=0,
                steps=step + 1.0,
                x_m=float(car["x_m"]) + REFERENCE_POINT_M * math.cos(heading),
                y_m=float(car["y_m"]) + REFERENCE_POINT_M * math.sin(heading),
                yaw_deg=math.degrees(heading),
                steering_deg=steering_deg,
                speed_mps=speed_mps,
                action="0",
                reward=1.0,
                done=False,
                all_wheels_on_track=True,
                progress_pct=0.0,
                closest_waypoint=0,
                track_length_m=10.0,
                sim_time_s=step / CONTROL_HZ,
                status="in_progress",
                pause_s=0.0,
                crashes=0,
                wall_clock_s=0.0,
            )
        )
        # Given at its row's pose an action acts towards the next row, the first one not at all.
        command = (math.radians(steering_deg), speed_mps) if step else (0.0, 0.0)
        drive_car(car, *command, dynamics, 1.0 / CONTROL_HZ)
    return rows


@pytest.mark.parametrize("version", ["4", "5"])
def test_a_trace_of_the_models_own_is_foretold_exactly(version: str) -> None:
    drift = replay([motion_of(imitate(version))], dynamics_for(version), tracking_for(version))
    assert drift.position_m.shape == (60 - 1 - HORIZONS[0], len(HORIZONS))
    assert np.nanmax(drift.position_m) < 1e-9
    assert np.nanmax(np.abs(drift.turned_rad)) < 1e-9


@pytest.mark.parametrize("version", ["4", "5"])
def test_a_start_knows_nothing_of_the_rows_behind_it(version: str) -> None:
    """Other poses from row 31 on change no car that started before, only what it is compared to."""
    motion = motion_of(imitate(version))
    moved = motion.copy()
    moved[31:, 0] += 0.2
    drifts = [
        replay([log], dynamics_for(version), tracking_for(version)) for log in (motion, moved)
    ]
    start, after = 29, HORIZONS.index(5)
    shift = np.hypot(drifts[1].ahead_m[start, after], drifts[1].left_m[start, after])
    assert drifts[0].position_m[start, after] < 1e-9
    assert shift == pytest.approx(0.2, abs=1e-9)


def test_starts_are_as_far_apart_as_is_wished() -> None:
    motion, dynamics, tracking = motion_of(imitate("5")), dynamics_for("5"), tracking_for("5")
    motion[:, 1] += np.random.default_rng(0).normal(0, 0.01, len(motion))
    every, some = (replay([motion], dynamics, tracking, every=step) for step in (1, 4))
    assert np.array_equal(every.left_m[::4], some.left_m, equal_nan=True)


def test_a_log_is_cut_where_the_car_was_put_back_or_paused() -> None:
    motion = motion_of(imitate("5", steps=40))
    motion[10:, 0] += 3.0
    motion[25:, 5] += 2.0
    assert [len(part) for part in split_at_gaps(motion)] == [10, 15, 15]


def test_a_log_too_short_for_a_start_has_none() -> None:
    rows = imitate("5", steps=HORIZONS[0] + 1)
    found = compare([rows], load_built_in("loop"), "5")
    assert found["rows"] == len(rows)
    assert found["position_error_m"]["5"] == {"median": None, "p90": None}


def measure(shared_data: Path, folder: str, version: str) -> dict[str, dict[str, float]]:
    """Medians of position and heading by steps for all traces of a folder."""
    files = sorted((shared_data / "runs" / folder).rglob("*-iteration.csv"))
    found = compare(read_traces(files), load_built_in("loop"), version)
    return {
        name: {steps: spread["median"] for steps, spread in found[name].items()}
        for name in ("position_error_m", "heading_error_deg")
    }


@pytest.mark.parametrize(
    ("folder", "version", "most_m", "most_deg"),
    [
        # The floor that the first run's own noise sets: 0.020, 0.090, 0.250 m and 5.5 degrees.
        (SINGLE_WORKER, "4", (0.022, 0.090, 0.250), 5.6),
        (CONSOLE, "4", (0.030, 0.080, 0.22), 5.0),
        (CONTINUOUS, "5", (0.027, 0.083, 0.23), 4.2),
        # Noisier, and few starts have 15 rows before them.
        (CLOUD, "5", (0.038, 0.115, None), 5.0),
    ],
)
def test_open_loop_replay_follows_the_real_simulator(
    shared_data: Path, folder: str, version: str, most_m: tuple[float | None, ...], most_deg: float
) -> None:
    medians = measure(shared_data, folder, version)
    for steps, most in zip(map(str, HORIZONS), most_m, strict=True):
        assert most is None or medians["position_error_m"][steps] < most
    assert medians["heading_error_deg"]["15"] < most_deg


@pytest.mark.parametrize(("folder", "version"), [(SINGLE_WORKER, "5"), (CONTINUOUS, "4")])
def test_the_other_generation_would_be_far_off(
    shared_data: Path, folder: str, version: str
) -> None:
    wrong = measure(shared_data, folder, version)["position_error_m"]["15"]
    right = measure(shared_data, folder, "4" if version == "5" else "5")["position_error_m"]["15"]
    assert wrong > 1.5 * right


@pytest.mark.parametrize(
    ("folder", "track_name"),
    [
        ("single-worker", "reinvent_base"),
        ("console", "reinvent_base"),
        ("cloud-solution", "Spain_track"),
    ],
)
def test_parameters_equal_those_of_the_real_simulator(
    shared_data: Path, folder: str, track_name: str
) -> None:
    track = parse_npy(track_name, (shared_data / "tracks" / f"{track_name}.npy").read_bytes())
    files = sorted((shared_data / "runs" / folder).rglob("*-iteration.csv"))
    rows, progress, waypoint, wheels = compare_params(read_traces(files), track)
    assert progress == rows
    assert waypoint == rows
    assert wheels > 0.99 * rows


@pytest.mark.parametrize("clockwise", [False, True])
def test_a_trace_is_compared_in_the_direction_it_was_driven(clockwise: bool) -> None:
    track = load_built_in("loop")
    way = track.reversed() if clockwise else track
    rows = [follow_the_line(way, step) for step in range(60)]
    assert compare_params([rows], track) == (60, 60, 60, 60)


def follow_the_line(way: Track, step: int) -> TraceRow:
    """A row of a car that drives 0.11 m along the centre line with every step."""
    at_m = 3.0 + 0.11 * step
    (x_m, y_m), heading = way.points_at(at_m)[0], way.headings_at(at_m)[0]
    gaps_m = np.hypot(*(way.waypoints - (x_m, y_m)).T)
    return replace(
        imitate("5", steps=1)[0],
        steps=step + 1.0,
        x_m=float(x_m),
        y_m=float(y_m),
        yaw_deg=math.degrees(heading),
        progress_pct=100 * (0.11 * step + 0.14) / way.length_m,
        closest_waypoint=int(gaps_m.argmin()),
    )


def test_the_verb_prints_exactly_the_agreed_keys(shared_data: Path) -> None:
    trace = shared_data / "runs" / SINGLE_WORKER / "0-iteration.csv"
    track = shared_data / "tracks" / "reinvent_base.npy"
    command = ["replay", str(trace), "--track", str(track), "--version", "4", "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert list(found) == [
        "rows",
        "progress_within_0_01",
        "closest_waypoint_equal",
        "all_wheels_on_track_equal",
        "position_error_m",
        "heading_error_deg",
    ]
    assert found["rows"] == len(read_simtrace("a", trace.read_text()))
    assert found["progress_within_0_01"] == found["closest_waypoint_equal"] == 1.0
    for name in ("position_error_m", "heading_error_deg"):
        assert list(found[name]) == ["5", "15", "30"]
        assert all(0 < one["median"] < one["p90"] for one in found[name].values())


def test_the_verb_tells_people_the_same_and_which_track_was_meant(shared_data: Path) -> None:
    trace = shared_data / "runs" / SINGLE_WORKER / "0-iteration.csv"
    result = CliRunner().invoke(app, ["replay", str(trace), "--track", "oval"])
    assert result.exit_code == 0
    assert "closest_waypoint_equal" in result.output
    assert "was driven on a track of 17.709 m" in " ".join(result.stderr.split())


def test_all_files_that_are_no_traces_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text(HEADER)
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\x00")
    names = ("missing.csv", "empty.csv", "picture.csv")
    with pytest.raises(InvalidInput) as refused:
        read_traces([tmp_path / name for name in names])
    assert len(refused.value.problems) == 3
    for name, problem in zip(names, refused.value.problems, strict=True):
        assert name in problem


def test_an_unknown_track_and_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no built-in track 'nowhere'; there are"):
        choose_track("nowhere")
    with pytest.raises(NotFound, match="is no file"):
        choose_track(str(tmp_path / "missing.npy"))
    (tmp_path / "bad.npy").write_bytes(b"no array")
    with pytest.raises(InvalidInput, match=r"are no \.npy file"):
        choose_track(str(tmp_path / "bad.npy"))
    result = CliRunner().invoke(app, ["replay", "a.csv", "--track", "loop", "--version", "9"])
    assert isinstance(result.exception, WrongUsage)
    assert "accepted are 1, 2, 3, 4, 5, 6" in str(result.exception)


def test_several_files_are_one_run(tmp_path: Path) -> None:
    lines = "\n".join(
        f"0,{row.steps},{row.x_m},{row.y_m},{row.yaw_deg},{row.steering_deg},{row.speed_mps},0,"
        f"1.0,False,True,0.0,0,10.0,{row.sim_time_s},in_progress,0.0"
        for row in imitate("5")
    )
    for worker in ("a.csv", "b.csv"):
        (tmp_path / worker).write_text(f"{HEADER}\n{lines}\n")
    episodes = read_traces([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert [len(episode) for episode in episodes] == [60, 60]
    assert split_episodes(episodes[0] + episodes[1]) == episodes
