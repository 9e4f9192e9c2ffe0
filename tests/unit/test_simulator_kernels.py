"""The compiled kernels equal their own source run as plain Python, to the bit."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import load_built_in
from services.simulator.camera import render_car, render_views
from services.simulator.course import measure_car, measure_cars
from services.simulator.rules import judge_cars
from services.simulator.time_trial import TimeTrial
from services.simulator.vehicle import drive_cars
from services.simulator.warm_up import warm_up

SCRIPT = """
import sys

import numba
import numpy as np

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import load_built_in
from services.simulator.time_trial import TimeTrial

assert numba.config.DISABLE_JIT == (sys.argv[2] == "plain")
race = RaceSpec(alternate_direction=True, max_steps=15)
random = np.random.default_rng(5)
record = {}
for name, version in (("loop", "5"), ("hairpins", "4")):
    trial = TimeTrial(load_built_in(name), race, version, seeds=range(3))
    angles = np.clip(random.normal(0, 0.3, (20, 3)), -0.6, 0.6)
    speeds = random.uniform(0.5, 4.0, (20, 3))
    states = []
    for angle, speed in zip(angles, speeds):
        trial.step(angle, speed)
        states.append([list(params.values())[:11] for params in trial.measured_params()])
        trial.finish_step(np.zeros(3))
        states.append(trial.poses())
    record[name] = np.concatenate([np.ravel(state) for state in states])
    record[name + "-pictures"] = trial.observations
np.savez(sys.argv[1], **record)
"""


def record(path: Path, how: str) -> dict[str, np.ndarray]:
    """Drive in a process of its own, compiled or plain, and read what it recorded."""
    environment = {"NUMBA_DISABLE_JIT": "1"} if how == "plain" else {}
    command = [sys.executable, "-c", SCRIPT, str(path), how]
    root = Path(__file__).parents[2]
    subprocess.run(command, check=True, env=environment, cwd=root, timeout=120)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def test_compiled_kernels_equal_plain_python(tmp_path: Path) -> None:
    compiled = record(tmp_path / "compiled.npz", "compiled")
    plain = record(tmp_path / "plain.npz", "plain")
    assert compiled.keys() == plain.keys()
    for name, values in compiled.items():
        assert np.array_equal(values, plain[name]), name
    assert compiled["loop-pictures"].std() > 20


def test_warming_up_compiles_every_kernel_that_a_rollout_calls() -> None:
    warm_up()
    called = (drive_cars, measure_cars, measure_car, judge_cars, render_views, render_car)
    for kernel in called:
        assert kernel.signatures, kernel.__name__
    before = [len(kernel.signatures) for kernel in called]
    trial = TimeTrial(load_built_in("loop"), RaceSpec(), version="4", seeds=(1, 2, 3))
    trial.step([0.1, 0.2, 0.3], [1.0, 2.0, 3.0], [0, 1, 2])
    trial.finish_step([0.0, 0.0, 0.0])
    assert [len(kernel.signatures) for kernel in called] == before
