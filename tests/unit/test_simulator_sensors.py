"""Sensors on simple scenes: shapes, distances, sectors, and the view of each camera."""

import math
from typing import Any

import numpy as np
import pytest

from libs.common.deepracer.metadata import ModelMetadata, parse_model_metadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.deepracer.support import check_supported
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.errors import InvalidInput
from libs.common.observations import sensors_of
from libs.common.tracks import load_built_in
from services.simulator import lidar
from services.simulator.bodies import BODY, BOX
from services.simulator.camera import NETWORK_CAMERA, Mount, make_camera, render_cars
from services.simulator.sensors import Sensors, with_channels
from services.simulator.vehicle import CAR
from services.simulator.world import draw_world
from services.trainer.architecture import blueprint_of

ACTIONS = [
    {"steering_angle": 0, "speed": 1, "index": 0},
    {"steering_angle": 9, "speed": 1, "index": 1},
]
OVAL = load_built_in("oval")
WORLD = draw_world(OVAL)
ARENA, NO_BODY = np.zeros(1, np.int64), np.full(1, -1)


def metadata(*sensors: str, **keys: Any) -> ModelMetadata:
    return ModelMetadata.model_validate({"action_space": ACTIONS, "sensor": sensors, **keys})


def one_car(heading_rad: float = 0.0) -> np.ndarray:
    cars = np.zeros(1, CAR)
    cars["x_m"], cars["y_m"], cars["heading_rad"] = 2.0, 1.0, heading_rad
    return cars


def box_behind(distance_m: float, cars: np.ndarray) -> np.ndarray:
    """A box whose near side is so far behind the lidar of the car."""
    heading = float(cars["heading_rad"][0])
    back_m = lidar.AHEAD_M - distance_m - 0.2
    body = np.zeros((1, 1), BODY)
    body["kind"], body["heading_rad"] = BOX, heading
    body["x_m"] = cars["x_m"] + back_m * math.cos(heading)
    body["y_m"] = cars["y_m"] + back_m * math.sin(heading)
    body["length_m"], body["width_m"], body["height_m"] = 0.4, 0.5, 0.3
    return body


def scan(cars: np.ndarray, bodies: np.ndarray, world: Any = WORLD) -> np.ndarray:
    ranges_m = np.zeros((1, 64), np.float32)
    lidar.scan_cars(cars, world, bodies, ARENA, NO_BODY, ranges_m)
    return ranges_m[0]


@pytest.mark.parametrize("heading_rad", [0.0, 1.0, -2.5])
@pytest.mark.parametrize("distance_m", [0.3, 1.0, 5.0])
def test_the_lidar_measures_the_way_to_a_box_behind_the_car(
    heading_rad: float, distance_m: float
) -> None:
    cars = one_car(heading_rad)
    ranges_m = scan(cars, box_behind(distance_m, cars))
    for ray, angle in enumerate(lidar.RAY_ANGLES_RAD):
        aside_m = abs(distance_m * math.tan(angle))
        if math.cos(angle) < 0 and aside_m < 0.24:
            assert abs(ranges_m[ray] - distance_m / -math.cos(angle)) < 0.01
        elif math.cos(angle) > 0 or aside_m > 0.26 + 0.5 * abs(math.tan(angle)):
            assert ranges_m[ray] == lidar.FARTHEST_M


def test_the_lidar_leaves_out_sixty_degrees_ahead() -> None:
    angles = (lidar.RAY_ANGLES_RAD + math.pi) % math.tau - math.pi
    assert len(angles) == 64
    assert np.abs(angles).min() == pytest.approx(math.radians(30))
    ahead = np.zeros((1, 1), BODY)
    ahead["kind"], ahead["x_m"], ahead["y_m"] = BOX, 3.0, 1.0
    ahead["length_m"] = ahead["width_m"] = 0.3
    assert (scan(one_car(), ahead) == lidar.FARTHEST_M).all()


def test_the_lidar_sees_walls_and_neither_lines_nor_its_own_body() -> None:
    cars = one_car()
    assert (scan(cars, np.zeros((1, 0), BODY)) == lidar.FARTHEST_M).all()
    own = box_behind(0.0, cars)
    ranges_m = np.zeros((1, 64), np.float32)
    lidar.scan_cars(cars, WORLD, own, ARENA, np.zeros(1, np.int64), ranges_m)
    assert (ranges_m == lidar.FARTHEST_M).all()
    walled = draw_world(OVAL, WorldSpec(surroundings="walls", wall_distance_m=1.0))
    ranges_m[0] = scan(cars, np.zeros((1, 0), BODY), walled)
    behind_m = 2.0 + lidar.AHEAD_M - (OVAL.bounds_m[0] - 1.0)
    middle = (ranges_m[0, 31] + ranges_m[0, 32]) / 2
    assert middle == pytest.approx(
        behind_m / math.cos(lidar.RAY_ANGLES_RAD[32] - math.pi), abs=0.01
    )


def test_what_touches_the_lidar_is_at_its_least_range() -> None:
    cars = one_car()
    assert scan(cars, box_behind(0.02, cars))[32] == pytest.approx(lidar.NEAREST_M)


def test_noise_is_small_reproducible_and_keeps_within_the_range() -> None:
    sensors, cars = Sensors(metadata("FRONT_FACING_CAMERA", "LIDAR")), one_car()
    bodies = box_behind(1.0, cars)
    found = []
    for seed in (1, 1, 2):
        into = sensors.allocate(1)
        seeds = np.array([seed], np.uint64)
        sensors.observe(cars, WORLD, into, bodies, ARENA, NO_BODY, noise_seeds=seeds)
        found.append(into["LIDAR"][0])
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    gap_m = found[0] - scan(cars, bodies)
    assert 0.002 < np.abs(gap_m).max() < 0.06
    assert found[0].max() <= lidar.FARTHEST_M


def test_a_sector_is_occupied_where_something_is_within_half_a_metre() -> None:
    ranges_m = np.full((1, 64), 12, np.float32)
    ranges_m[0, [3, 20, 63]] = 0.49, 0.51, 0.2
    assert lidar.sectors_occupied(ranges_m)[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 1]


def test_discretised_sectors_tell_which_part_of_the_distance_is_free() -> None:
    ranges_m = np.full((1, 64), 12, np.float32)
    ranges_m[0, 5], ranges_m[0, 40], ranges_m[0, 63] = 0.3, 1.9, 2.0
    values = lidar.sectors_discretised(ranges_m, 4, 8, 2.0)[0].reshape(4, 8)
    assert values.sum() == 2
    assert values[0, 1] == 1  # 0.25..0.5 m
    assert values[2, 7] == 1  # 1.75..2 m; 2 m and more is free


@pytest.mark.parametrize(
    ("sensor", "shape", "dtype"),
    [
        ("FRONT_FACING_CAMERA", (120, 160), np.uint8),
        ("LEFT_CAMERA", (120, 160), np.uint8),
        ("STEREO_CAMERAS", (120, 160, 2), np.uint8),
        ("LIDAR", (64,), np.float32),
        ("SECTOR_LIDAR", (8,), np.float32),
        ("DISCRETIZED_SECTOR_LIDAR", (32,), np.float32),
    ],
)
def test_every_sensor_fills_arrays_of_its_shape(
    sensor: str, shape: tuple[int, ...], dtype: type
) -> None:
    names = ("FRONT_FACING_CAMERA", sensor) if "LIDAR" in sensor else (sensor,)
    config = {"num_sectors": 4, "num_values_per_sector": 8, "clipping_dist": 2.0}
    sensors = Sensors(metadata(*names, lidar_config=config))
    assert sensors.names == names
    cars = np.concatenate([one_car(), one_car(1.0), one_car(2.0)])
    into = sensors.allocate(3)
    bodies = np.concatenate([box_behind(0.4, one_car())] * 3)
    sensors.observe(cars, WORLD, into, bodies, np.arange(3), np.full(3, -1))
    its = sensors.shapes[sensor]
    assert (its.shape, its.dtype) == (shape, dtype)
    assert into[sensor].shape == (3, *shape)
    assert into[sensor].dtype == dtype
    assert into[sensor].std() > 0
    assert its.low <= into[sensor].min() <= into[sensor].max() <= its.high


def test_the_stereo_cameras_look_from_three_centimetres_to_either_side() -> None:
    sensors, cars = Sensors(metadata("STEREO_CAMERAS")), one_car()
    into = sensors.allocate(1)
    sensors.observe(cars, WORLD, into)
    for view, left_m in enumerate((0.03, -0.03)):
        image = np.zeros((1, 120, 160), np.uint8)
        render_cars(cars, WORLD, make_camera(160, 120, Mount(left_m=left_m)), image)
        assert np.array_equal(into["STEREO_CAMERAS"][..., view], image)
    front = np.zeros((1, 120, 160), np.uint8)
    render_cars(cars, WORLD, NETWORK_CAMERA, front)
    assert not np.array_equal(front, into["STEREO_CAMERAS"][..., 0])


def test_metadata_with_any_sensors_is_read_with_its_lidar_settings() -> None:
    text = (
        b'{"action_space": [{"steering_angle": 0, "speed": 1}, {"steering_angle": 9, "speed": 1}],'
        b'"sensor": ["STEREO_CAMERAS", "DISCRETIZED_SECTOR_LIDAR"], "version": "5",'
        b'"lidar_config": {"num_sectors": 16, "num_values_per_sector": 4, "clipping_dist": 3.0}}'
    )
    checked = parse_model_metadata(text)
    assert checked.warnings == ()
    assert Sensors(checked.value).shapes["DISCRETIZED_SECTOR_LIDAR"].shape == (64,)


@pytest.mark.parametrize("camera", ["FRONT_FACING_CAMERA", "LEFT_CAMERA", "STEREO_CAMERAS"])
@pytest.mark.parametrize("lidar", ["", "LIDAR", "SECTOR_LIDAR", "DISCRETIZED_SECTOR_LIDAR"])
def test_simulator_bus_and_network_agree_on_what_every_sensor_gives(
    camera: str, lidar: str
) -> None:
    its = metadata(*filter(None, (camera, lidar)))
    on_the_bus = {sensor.name: sensor for sensor in sensors_of(its)}
    measured = Sensors(its).allocate(2)
    inputs = blueprint_of(its).inputs
    assert on_the_bus.keys() == measured.keys() == inputs.keys()
    for name, sensor in on_the_bus.items():
        array = with_channels(measured[name])
        assert array.shape == (2, *sensor.shape) == (2, *inputs[name])
        assert array.dtype == sensor.dtype
        assert array.nbytes == 2 * sensor.bytes_a_car


def a_run(cars: int, simulators: int, *sensors: str) -> RunSpec:
    return RunSpec(
        name="run",
        track="oval",
        metadata=metadata(*sensors),
        hyperparameters={"cars": cars},
        simulators=simulators,
        reward_function="def reward_function(params):\n    return 1.0\n",
    )


def test_more_observations_in_a_step_than_the_bus_carries_are_refused() -> None:
    check_supported(a_run(256, 1, "FRONT_FACING_CAMERA"))
    check_supported(a_run(208, 1, "STEREO_CAMERAS"))
    check_supported(a_run(256, 2, "STEREO_CAMERAS", "LIDAR"))
    with pytest.raises(InvalidInput, match=r"got 256 on 1 simulator.*'LIDAR'\].* 206 cars for"):
        check_supported(a_run(256, 1, "STEREO_CAMERAS", "LIDAR"))
