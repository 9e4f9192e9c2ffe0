"""Fitting the car to traces: on traces of a known car, and the report of it all."""

from pathlib import Path

import numpy as np
import pytest

from libs.common.deepracer.simtrace import HEADER
from libs.common.errors import NotFound
from services.simulator.calibration.__main__ import main
from services.simulator.calibration.fit import BOUNDS, Fitted, fit
from services.simulator.calibration.noise import floor, surprises
from services.simulator.calibration.runs import read_run
from services.simulator.replay import FloatArray, tracking_for
from services.simulator.vehicle import CAR, CONTROL_HZ, DYNAMICS, drive_car, dynamics_for

FITTED = ("steering_lag_s", "steering_gain", "speed_gain")


def drive_log(dynamics: np.void, seed: int, steps: int = 50) -> FloatArray:
    """(steps, 7) what a log of this car's random driving would say, without noise."""
    random, car, rows = np.random.default_rng(seed), np.zeros(1, CAR)[0], []
    for step in range(steps):
        angle, speed = random.uniform(-0.4, 0.4), random.uniform(1.0, 2.0)
        heading = car["heading_rad"]
        front = car["x_m"] + 0.14 * np.cos(heading), car["y_m"] + 0.14 * np.sin(heading)
        rows.append((*front, heading, angle, speed, 20.0 + step / CONTROL_HZ, 0.0))
        drive_car(car, *((angle, speed) if step else (0.0, 0.0)), dynamics, 1.0 / CONTROL_HZ)
    return np.array(rows)


def test_a_fit_finds_the_car_that_made_the_logs() -> None:
    start = Fitted(dynamics_for("5"), tracking_for("5"))
    truth = dynamics_for("5")
    truth["steering_lag_s"], truth["steering_gain"], truth["speed_gain"] = 0.25, 0.65, 0.95
    logs = [drive_log(truth, seed) for seed in range(4)]
    found = fit(logs, start, fixed=[name for name in BOUNDS if name not in FITTED])
    for name in DYNAMICS.names or ():
        assert found.dynamics[name] == pytest.approx(truth[name], rel=1e-3)
    assert found.tracking == start.tracking


def test_what_is_shipped_lies_within_the_bounds_of_a_fit() -> None:
    for version in ("4", "5"):
        dynamics = dynamics_for(version)
        for name, (low, high) in BOUNDS.items():
            if name in (DYNAMICS.names or ()):
                assert low <= dynamics[name] <= high, name


def test_logs_of_a_known_car_hold_no_surprise_and_noise_sets_a_floor() -> None:
    fitted = Fitted(dynamics_for("5"), tracking_for("5"))
    logs = [drive_log(fitted.dynamics, seed) for seed in range(6)]
    assert np.abs(surprises(logs, fitted)).max() < 1e-9
    assert np.nanmax(floor(logs, fitted).position_m) < 1e-6
    for log in logs:
        log[:, :3] += np.random.default_rng(1).normal(0, 0.01, (len(log), 3))
    assert np.nanmedian(floor(logs, fitted).position_m[:, 1]) > 0.01


def write_run(folder: Path, version: str) -> Path:
    """A run of two iterations of three episodes each, without noise."""
    folder.mkdir()
    for iteration in range(2):
        lines = [HEADER]
        for episode in range(3):
            log = drive_log(dynamics_for(version), seed=10 * iteration + episode)
            for step, (x_m, y_m, heading, angle, speed, time_s, _) in enumerate(log):
                lines.append(
                    f"{episode},{step + 1},{x_m},{y_m},{np.degrees(heading)},{np.degrees(angle)},"
                    f"{speed},0,1.0,False,True,0.0,0,10.0,{time_s},in_progress,0.0"
                )
        (folder / f"{iteration}-iteration.csv").write_text("\n".join(lines))
    return folder


def test_a_calibration_writes_its_report_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    effort, kinematic = (write_run(tmp_path / name, name[0]) for name in ("4-run", "5-run"))
    main([effort], [kinematic, kinematic / "0-iteration.csv"], tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text()
    assert report in capsys.readouterr().out
    assert "| 4-run, iterations not fitted (fit of half a run) |" in report
    assert "| 0-iteration.csv, not fitted (fit of half a run) |" in report
    for name in ("replay.png", "grip.png", "wipe-out.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_traces_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n")
    with pytest.raises(NotFound, match="no N-iteration.csv below"):
        read_run(tmp_path)
