"""Compiled pictures and scans equal their own source run as plain Python, to the bit."""

from pathlib import Path

import numpy as np

from tests.kernel_twins import record

SCRIPT = """
import sys

import numba
import numpy as np

from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import load_built_in
from services.simulator.bodies import BODY, BOX, CAR_BODY
from services.simulator.camera import make_camera, render_cars
from services.simulator.lidar import scan_cars
from services.simulator.randomisation import draw_factors
from services.simulator.varied_views import VariedViews
from services.simulator.vehicle import CAR
from services.simulator.world import draw_world

assert numba.config.DISABLE_JIT == (sys.argv[2] == "plain")
track, spec = load_built_in("oval"), WorldSpec(surroundings="skyline", wall_distance_m=0.5)
cars, bodies = np.zeros(2, CAR), np.zeros((1, 3), BODY)
cars["x_m"], cars["y_m"] = track.points_at([1.0, 2.0]).T
cars["heading_rad"] = track.headings_at([1.0, 2.0])
bodies["x_m"], bodies["y_m"] = track.points_at([1.6, 2.0, 2.7]).T
bodies["kind"], bodies["paint"] = (BOX, CAR_BODY, CAR_BODY), (0, 1, 2)
bodies["heading_rad"] = 0.3, 1.0, -0.4
bodies["length_m"], bodies["width_m"], bodies["height_m"] = 0.3, 0.2, (0.1, 0.2, 0.2)
everyone = bodies, np.zeros(2, np.int64), np.array((-1, 1))

pictures = np.zeros((4, 2, 24, 32), np.uint8)
for index, smooth in enumerate((False, True)):
    camera = make_camera(32, 24, smooth=smooth)
    render_cars(cars, draw_world(track, spec), camera, pictures[index], *everyone)

keys = {"noise": (5, 9), "blur": (0.5, 1), "hue_rad": (1, 2), "camera_yaw_rad": (0.1, 0.2)}
ranges = RandomisationSpec(**keys, textures=("wood", "plain"))
small = make_camera(32, 24)
views = VariedViews(2, track, spec, ranges, cameras=(small,))
for car in range(2):
    views.renew(car, draw_factors(ranges, 1, car, 0))
for step in range(2):
    cars["steps"] = step
    views.render(cars, small, pictures[2 + step], *everyone)

ranges_m = np.zeros((2, 64), np.float32)
scan_cars(cars, views.world, *everyone, ranges_m)
np.savez(sys.argv[1], pictures=pictures, ranges_m=ranges_m)
"""


def test_compiled_pictures_and_scans_equal_plain_python(tmp_path: Path) -> None:
    compiled = record(SCRIPT, tmp_path / "compiled.npz", "compiled")
    plain = record(SCRIPT, tmp_path / "plain.npz", "plain")
    for name, values in compiled.items():
        assert np.array_equal(values, plain[name]), name
    assert all(picture.std() > 20 for picture in compiled["pictures"].reshape(8, -1))
    assert compiled["ranges_m"].std() > 0.1
