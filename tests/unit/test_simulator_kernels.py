"""The compiled kernels equal their own source run as plain Python, to the bit."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import load_built_in
from services.simulator.camera import render_views
from services.simulator.course import measure_cars
from services.simulator.episode_log import record_starts, record_steps
from services.simulator.race import Race
from services.simulator.resets import hold_paused_cars, put_back_cars
from services.simulator.rules import run_arenas
from services.simulator.starts import begin_episodes
from services.simulator.vehicle import drive_cars
from services.simulator.warm_up import warm_up

SCRIPT = """
import sys

import numba
import numpy as np

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import load_built_in
from services.simulator.race import Race

assert numba.config.DISABLE_JIT == (sys.argv[2] == "plain")
trial = RaceSpec(alternate_direction=True, max_steps=15)
bots = RaceSpec(
    type="head_to_bot",
    max_steps=12,
    off_track_penalty_s=0.2,
    bots={"lane_changes": True, "speed_high_mps": 2.0, "change_every_low_s": 0.5},
)
boxes = RaceSpec(type="object_avoidance", crash_penalty_s=0.2, objects={"count": 6})
together = RaceSpec(type="head_to_model", cars_on_track=3)
random = np.random.default_rng(5)
record = {}
for name, version, rules in (
    ("loop", "5", trial),
    ("hairpins", "4", bots),
    ("oval", "5", boxes),
    ("loop", "5", together),
):
    race = Race(load_built_in(name), rules, version, range(3), resets=rules.type != "time_trial")
    angles = np.clip(random.normal(0, 0.3, (20, 3)), -0.6, 0.6)
    speeds = random.uniform(0.5, 4.0, (20, 3))
    states = []
    for angle, speed in zip(angles, speeds):
        race.step(angle, speed)
        states.append([list(params.values())[:11] for params in race.measured_params()])
        race.finish_step(np.zeros(3))
        states.append(race.poses())
        states.append([list(body)[1:] for body in race.bodies.ravel().tolist()])
    record[rules.type] = np.concatenate([np.ravel(state) for state in states])
    record[rules.type + "-pictures"] = race.observations
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
    assert compiled["time_trial-pictures"].std() > 20


def test_warming_up_compiles_every_kernel_that_a_rollout_calls() -> None:
    warm_up()
    called = (
        begin_episodes,
        drive_cars,
        measure_cars,
        run_arenas,
        hold_paused_cars,
        put_back_cars,
        record_starts,
        record_steps,
        render_views,
    )
    for kernel in called:
        assert kernel.signatures, kernel.__name__
    before = [len(kernel.signatures) for kernel in called]
    race = Race(load_built_in("loop"), RaceSpec(), "4", seeds=(1, 2, 3))
    race.step([0.1, 0.2, 0.3], [1.0, 2.0, 3.0], [0, 1, 2])
    race.finish_step([0.0, 0.0, 0.0])
    assert [len(kernel.signatures) for kernel in called] == before
