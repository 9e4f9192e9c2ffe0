"""The camera against a pinhole worked out in space, with all that a world may hold."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import load_built_in
from services.simulator.bodies import BODY, BOX, CAR_BODY
from services.simulator.camera import (
    NETWORK_CAMERA,
    Camera,
    Mount,
    make_camera,
    render_cars,
)
from services.simulator.pictures import Pictures
from services.simulator.vehicle import CAR
from services.simulator.world import VIEW_RANGE_M, World, draw_world, shrink

SKY, FAR, BODY_GREY = 30, 120, 200
ARENA, NO_BODY = np.zeros(1, np.int64), np.full(1, -1)


def car_at(x_m: float, y_m: float, heading_rad: float) -> np.ndarray:
    cars = np.zeros(1, CAR)
    cars["x_m"], cars["y_m"], cars["heading_rad"] = x_m, y_m, heading_rad
    return cars


def box_at(
    x_m: float, y_m: float, heading_rad: float, height_m: float = 0.3, kind: int = BOX
) -> np.ndarray:
    body = np.zeros((1, 1), BODY)
    body["kind"], body["x_m"], body["y_m"], body["heading_rad"] = kind, x_m, y_m, heading_rad
    body["length_m"], body["width_m"], body["height_m"] = 0.4, 0.5, height_m
    return body


def smooth_world() -> World:
    """Greys that rise and fall along both axes, so that a texel's neighbours nearly equal it."""
    rows, columns = np.mgrid[:1024, :1024]
    waves = 120 + 50 * np.sin(columns * math.tau / 1024) + 50 * np.cos(rows * math.tau / 1024)
    texture, faces = waves.astype(np.uint8).ravel(), np.zeros((0, 6))
    paints = np.full(1, BODY_GREY, np.uint8)
    return World(texture, 10, 10, 100.0, -2.0, -1.0, SKY, FAR, paints, faces, 1.0, 0.0)


def ray_through(row: float, column: float, camera: Camera, car: np.void) -> tuple[np.ndarray, ...]:
    """Where the camera is in space, and the way that a pixel's middle looks."""
    right = (column + 0.5 - camera.width / 2) / camera.focal_px
    down = (row + 0.5 - camera.height / 2) / camera.focal_px
    sine, cosine = math.sin(camera.pitch_rad), math.cos(camera.pitch_rad)
    ahead, up = cosine - down * sine, -sine - down * cosine
    heading = car["heading_rad"]
    eye = np.array(
        (
            car["x_m"] + camera.ahead_m * math.cos(heading) - camera.left_m * math.sin(heading),
            car["y_m"] + camera.ahead_m * math.sin(heading) + camera.left_m * math.cos(heading),
            camera.height_m,
        )
    )
    heading += camera.yaw_rad
    way = (
        ahead * math.cos(heading) + right * math.sin(heading),
        ahead * math.sin(heading) - right * math.cos(heading),
        up,
    )
    return eye, np.array(way)


def grey_at(world: World, x_m: float, y_m: float) -> int:
    """The texel at a place, through the texture's wrapped axes."""
    column = math.floor((x_m - world.x_min_m) * world.texels_per_m) % 2**world.width_log2
    row = math.floor((y_m - world.y_min_m) * world.texels_per_m) % 2**world.height_log2
    return int(world.texture[row * 2**world.width_log2 + column])


MOUNTS = [
    Mount(),
    Mount(left_m=0.03),
    Mount(0.2, 0.1, -0.02, math.radians(25), 0.2, 1.4),
]


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("heading_rad", [0.0, 0.7, 1.6, 3.1, -2.2, -0.9])
def test_every_pixel_shows_what_a_ray_through_it_meets(mount: Mount, heading_rad: float) -> None:
    world, camera = smooth_world(), make_camera(160, 120, mount)
    cars = car_at(1.3, 2.1, heading_rad)
    image = np.zeros((1, 120, 160), np.uint8)
    render_cars(cars, world, camera, image)
    for row in range(0, 120, 4):
        for column in range(0, 160, 9):
            eye, way = ray_through(row, column, camera, cars[0])
            grey = int(image[0, row, column])
            if way[2] >= 0:
                assert grey == SKY
                continue
            place = eye + way * (eye[2] / -way[2])
            if row < camera.ground_row:
                assert grey == FAR
                assert math.dist(place[:2], (1.3, 2.1)) > VIEW_RANGE_M
            else:
                assert abs(grey - grey_at(world, *place[:2])) <= 1


def test_the_network_sees_from_where_the_robot_description_says() -> None:
    assert (NETWORK_CAMERA.width, NETWORK_CAMERA.height) == (160, 120)
    assert Mount() == Mount(0.1303, 0.1453, 0.0, math.radians(15), 0.0, 1.13)
    above_centre_px = 80 / math.tan(1.13 / 2) * math.tan(math.radians(15))
    assert NETWORK_CAMERA.horizon_row == math.ceil(60 - above_centre_px - 0.5)


def test_a_larger_picture_shows_the_same_scene() -> None:
    world, cars = smooth_world(), car_at(0, 0, 0)
    small, large = np.zeros((1, 120, 160), np.uint8), np.zeros((1, 240, 320), np.uint8)
    render_cars(cars, world, NETWORK_CAMERA, small)
    render_cars(cars, world, make_camera(320, 240), large)
    ground = NETWORK_CAMERA.ground_row + 6  # nearer to the horizon a row spans too much ground
    means = large[0].reshape(120, 2, 160, 2).mean(axis=(1, 3))
    assert np.abs(means[ground:] - small[0, ground:]).max() <= 2


@pytest.mark.parametrize("size", [(160, 120), (320, 240), (640, 480)])
def test_points_of_the_road_are_in_colour_where_a_pinhole_puts_them(size: tuple[int, int]) -> None:
    """The near end of a dash is found within a pixel of where its corners project to."""
    track = load_built_in("oval")
    start = track.points_at(1.0)[0]
    cars = car_at(start[0], start[1], float(track.headings_at(1.0)[0]))
    picture = Pictures(track, WorldSpec()).draw(cars, *size).astype(int)
    camera = make_camera(*size)
    orange = picture[:, :, 0] - picture[:, :, 2] > 100
    count = round(track.length_m / 0.3)
    begin_m = math.ceil(1.35 / (track.length_m / count)) * (track.length_m / count)
    for along_m, side in ((begin_m, 0.5), (begin_m + 0.15, -0.5)):  # its near and its far end
        point = track.points_at(along_m)[0]
        eye, forward = ray_through(size[1] / 2 - 0.5, size[0] / 2 - 0.5, camera, cars[0])
        gap = np.array((*point, 0.0)) - eye
        ahead = float(gap @ (np.cos(cars[0]["heading_rad"]), np.sin(cars[0]["heading_rad"]), 0))
        left = float(gap @ (-np.sin(cars[0]["heading_rad"]), np.cos(cars[0]["heading_rad"]), 0))
        depth = float(gap @ forward)
        down = camera.height_m * math.cos(camera.pitch_rad) - ahead * math.sin(camera.pitch_rad)
        row = size[1] / 2 + camera.focal_px * down / depth
        column = int(size[0] / 2 - camera.focal_px * left / depth)
        assert orange[round(row - side * 5 * size[1] / 480 - 0.5), column]
        ends = np.flatnonzero(np.diff(orange[:, column].astype(int))) + 1.0
        # Half a texel of the drawing, 1.25 mm, is a third of a pixel in the largest picture here.
        assert np.abs(ends - row).min() <= 1.0 + 0.3 * size[1] / 480


def test_a_shrunk_picture_has_the_means_of_its_squares() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 18)).astype(np.uint8)
    means = image.reshape(4, 3, 6, 3).mean(axis=(1, 3))
    assert np.abs(shrink(image, 3) - means).max() <= 0.5 + 1e-9


GRAZE_M = 0.002  # a ray that comes so near to an edge may be on either side of it


def meets_box(eye: np.ndarray, way: np.ndarray, box: np.void, grown_m: float) -> bool:
    """Whether a ray goes through a box, by cutting it with the three pairs of its sides."""
    cosine, sine = math.cos(box["heading_rad"]), math.sin(box["heading_rad"])
    turn = np.array(((cosine, sine, 0), (-sine, cosine, 0), (0, 0, 1)))
    origin = turn @ (eye - (box["x_m"], box["y_m"], box["height_m"] / 2))
    direction = turn @ way
    half = np.array((box["length_m"], box["width_m"], box["height_m"])) / 2 + grown_m
    with np.errstate(divide="ignore"):
        cuts = np.stack(((-half - origin) / direction, (half - origin) / direction))
    begin, end = cuts.min(axis=0).max(), cuts.max(axis=0).min()
    return bool(max(begin, 0.05) < end)


@settings(max_examples=25, deadline=None)
@example(ahead_m=0.25, left_m=0.0, turn_rad=0.0, height_m=0.3, heading_rad=3.0)
@given(
    ahead_m=st.floats(0.1, 4),
    left_m=st.floats(-0.8, 0.8),
    turn_rad=st.floats(-3, 3),
    height_m=st.sampled_from([0.05, 0.3]),
    heading_rad=st.floats(-3, 3),
)
def test_a_box_covers_just_the_pixels_whose_rays_meet_it(
    ahead_m: float, left_m: float, turn_rad: float, height_m: float, heading_rad: float
) -> None:
    world, cars = smooth_world(), car_at(1.0, 0.5, heading_rad)
    cosine, sine = math.cos(heading_rad), math.sin(heading_rad)
    x_m = 1.0 + (ahead_m + 0.4) * cosine - left_m * sine
    y_m = 0.5 + (ahead_m + 0.4) * sine + left_m * cosine
    boxes = box_at(x_m, y_m, turn_rad, height_m)
    camera = make_camera(40, 30)
    images = np.zeros((2, 1, 30, 40), np.uint8)
    for image, grey in zip(images, (BODY_GREY, BODY_GREY // 2), strict=True):
        painted = world._replace(paints=np.full(1, grey, np.uint8))
        render_cars(cars, painted, camera, image, boxes, ARENA, NO_BODY)
    shown = images[0, 0] != images[1, 0]
    wrong = 0
    for row in range(30):
        for column in range(40):
            eye, way = ray_through(row, column, camera, cars[0])
            if meets_box(eye, way, boxes[0, 0], -GRAZE_M):
                wrong += int(not shown[row, column])
            elif not meets_box(eye, way, boxes[0, 0], GRAZE_M):
                wrong += int(shown[row, column])
    assert wrong == 0


def test_a_nearer_body_hides_a_farther_one_in_whatever_order_they_are_named() -> None:
    world, cars = smooth_world(), car_at(0, 0, 0)
    near, far = box_at(1.0, 0.1, 0.2), box_at(2.0, 0.0, 0.0)
    world = world._replace(paints=np.array((200, 90), np.uint8))
    far["paint"] = 1
    pictures = []
    for bodies in (np.hstack((near, far)), np.hstack((far, near))):
        image = np.zeros((1, 120, 160), np.uint8)
        render_cars(cars, world, NETWORK_CAMERA, image, bodies, ARENA, NO_BODY)
        pictures.append(image)
    assert np.array_equal(*pictures)
    alone = np.zeros((1, 120, 160), np.uint8)
    render_cars(cars, world, NETWORK_CAMERA, alone, near, ARENA, NO_BODY)
    bare = np.zeros((1, 120, 160), np.uint8)
    render_cars(cars, world, NETWORK_CAMERA, bare)
    covered = alone != bare
    assert covered.sum() > 500
    assert np.array_equal(pictures[0][covered], alone[covered])


def test_a_car_sees_the_bodies_of_its_own_arena_without_its_own() -> None:
    world = smooth_world()
    cars = np.concatenate([car_at(0, 0, 0)] * 4)
    bodies = np.zeros((2, 2), BODY)
    bodies[0, 0], bodies[0, 1] = box_at(1.0, 0, 0)[0, 0], box_at(1.5, 0.4, 0)[0, 0]
    images = np.zeros((4, 120, 160), np.uint8)
    arenas, own = np.array((0, 0, 0, 1)), np.array((-1, 0, 1, -1))
    render_cars(cars, world, NETWORK_CAMERA, images, bodies, arenas, own)
    bare = np.zeros((4, 120, 160), np.uint8)
    render_cars(cars, world, NETWORK_CAMERA, bare)
    assert np.array_equal(images[3], bare[3])  # the other arena is empty
    for car, hidden in ((1, 0), (2, 1)):
        only = np.zeros((1, 120, 160), np.uint8)
        rest = bodies[:1, [1 - hidden]]
        render_cars(cars[:1], world, NETWORK_CAMERA, only, rest, ARENA, NO_BODY)
        assert np.array_equal(images[car], only[0])
    assert not np.array_equal(images[0], images[1])


def test_a_car_body_stands_within_the_box_of_its_measures() -> None:
    world, cars = smooth_world(), car_at(0, 0, 0)
    bare = np.zeros((1, 120, 160), np.uint8)
    render_cars(cars, world, NETWORK_CAMERA, bare)
    shown = []
    for kind in (BOX, CAR_BODY):
        image = np.zeros((1, 120, 160), np.uint8)
        body = box_at(0.9, 0.1, 0.4, kind=kind)
        render_cars(cars, world, NETWORK_CAMERA, image, body, ARENA, NO_BODY)
        shown.append(image != bare)
    assert 0.5 < shown[1].sum() / shown[0].sum() < 1
    assert (shown[0] | ~shown[1]).all()


@pytest.mark.parametrize("surroundings", ["walls", "skyline"])
def test_walls_stand_where_the_world_says(surroundings: str) -> None:
    track = load_built_in("oval")
    spec = WorldSpec.model_validate(
        {"surroundings": surroundings, "wall_distance_m": 1.0, "sky_colour": [255, 255, 255]}
    )
    world = draw_world(track, spec)
    x_max = track.bounds_m[2]
    cars = car_at(x_max - 2.0, sum(track.bounds_m[1::2]) / 2, 0.0)
    image = np.zeros((1, 120, 160), np.uint8)
    render_cars(cars, world, NETWORK_CAMERA, image)
    base = ray_row(NETWORK_CAMERA, x_max + 1.0 - (x_max - 2.0) - 0.1453)
    middle = image[0, :, 80]
    assert middle[math.ceil(base - 0.5) - 1] in world.faces[:, 5]
    assert middle[math.ceil(base - 0.5)] not in world.faces[:, 5]
    assert 255 not in middle[10:]


def ray_row(camera: Camera, ahead_m: float) -> float:
    """The row, from the picture's top, where ground so far ahead of the camera is seen."""
    angle = math.atan2(camera.height_m, ahead_m) - camera.pitch_rad
    return camera.height / 2 + camera.focal_px * math.tan(angle)
