"""The compiled kernels equal their own source run as plain Python, to the bit."""

from pathlib import Path
from typing import get_args

import numpy as np

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.race_spec import RaceSpec, RaceType
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import load_built_in
from services.simulator.camera import render_ground, render_solids
from services.simulator.course import measure_cars
from services.simulator.episode_log import record_starts, record_steps
from services.simulator.lidar import scan_cars
from services.simulator.race import Race
from services.simulator.resets import hold_paused_cars, put_back_cars
from services.simulator.rules import run_arenas
from services.simulator.starts import begin_episodes
from services.simulator.varied_views import disturb_images, render_varied
from services.simulator.vehicle import drive_cars
from services.simulator.views import Look
from services.simulator.warm_up import LATER, warm_up
from tests.kernel_twins import record

WORLD = WorldSpec(look="championship")
RANGES = RandomisationSpec(blur=(0.5, 1), textures=("wood", "plain"), camera_yaw_rad=(0, 0.1))
PAIR = ModelMetadata.model_validate(
    {
        "action_space": [{"steering_angle": way, "speed": 1, "index": way} for way in (0, 1)],
        "sensor": ["STEREO_CAMERAS", "SECTOR_LIDAR"],
    }
)

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


def test_compiled_kernels_equal_plain_python(tmp_path: Path) -> None:
    compiled = record(SCRIPT, tmp_path / "compiled.npz", "compiled")
    plain = record(SCRIPT, tmp_path / "plain.npz", "plain")
    assert compiled.keys() == plain.keys()
    for name, values in compiled.items():
        assert np.array_equal(values, plain[name]), name
    assert compiled["time_trial-pictures"].std() > 20


def test_warming_up_compiles_every_kernel_that_a_rollout_calls() -> None:
    warm_up()
    for warm_up_more in LATER:
        warm_up_more()
    called = (
        begin_episodes,
        drive_cars,
        measure_cars,
        run_arenas,
        hold_paused_cars,
        put_back_cars,
        record_starts,
        record_steps,
        render_ground,
        render_solids,
        scan_cars,
        render_varied,
        disturb_images,
    )
    for kernel in called:
        assert kernel.signatures, kernel.__name__
    before = [len(kernel.signatures) for kernel in called]
    everything = {"resets": True, "look": Look(WORLD, RANGES)}
    for kind in get_args(RaceType):
        for metadata, options in (("4", {}), ("5", {"look": Look(WORLD)}), (PAIR, everything)):
            race = Race(load_built_in("loop"), RaceSpec(type=kind), metadata, range(4), **options)
            race.step(np.full(4, 0.1), np.full(4, 1.0), range(4))
            race.measured_params()
            race.finish_step(np.zeros(4))
            race.frame(0)
    assert [len(kernel.signatures) for kernel in called] == before
