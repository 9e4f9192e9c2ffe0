"""
Pictures whose look differs from car to car and episode to episode.

Each car has its own lens, its own texture of the road, and a table of what each grey becomes; blur
and noise go over the finished picture. Nothing of it is made where nothing is randomised.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import Track
from services.simulator.bodies import Bodies
from services.simulator.camera import (
    FIXED_POINT,
    NETWORK_CAMERA,
    NO_BODIES,
    NO_ROWS,
    Camera,
    Mount,
    draw_ground,
    make_camera,
)
from services.simulator.kernels import inlined_kernel, kernel
from services.simulator.randomisation import FACTORS, grey_lookup
from services.simulator.solids import draw_bodies, draw_faces
from services.simulator.vehicle import Cars
from services.simulator.world import World, draw_world, palette

BYTES_DEVIATION = 147.8  # of the sum of four random bytes, whose mean is 510
EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)


class Lenses(NamedTuple):
    """Each car's own part of a `Camera`."""

    rows: NDArray[np.int64]  # (cars, 2) horizon_row and ground_row
    reach_m: NDArray[np.float64]  # (cars, height)
    pixel_m: NDArray[np.float64]  # (cars, height)
    place: NDArray[np.float64]  # (cars, 6) focal_px … yaw_rad, as in `Camera`


class VariedViews:
    """
    The cameras of a batch of cars under randomisation.

    `renew` a car before its first picture and with every new episode.
    """

    def __init__(
        self,
        cars: int,
        track: Track,
        world: WorldSpec,
        spec: RandomisationSpec,
        seed: int = 0,
        cameras: Sequence[Camera] = (NETWORK_CAMERA,),
    ) -> None:
        """
        Args:
            cars: their number.
            world: what the track looks like where nothing is randomised.
            seed: of the world's textures.
            cameras: all that `render` will be called with.
        """
        looks = [
            world.model_copy(update={"road": name, "road_colour": None}) for name in spec.textures
        ] or [world]
        self._palettes = [palette(look) for look in looks]
        worlds = [draw_world(track, look, seed) for look in looks]
        self.world = worlds[0]
        self._textures = np.stack([drawn.texture for drawn in worlds])
        self._greys = np.zeros((cars, 256), np.uint8)
        self._factors = np.zeros(cars, FACTORS)
        self._lenses = {
            _key(camera): (camera, _blank_lenses(cars, camera.height)) for camera in cameras
        }

    def renew(self, car: int, factors: np.void) -> None:
        """Give a car what its new episode has drawn, a row of `FACTORS`."""
        self._factors[car] = factors
        self._greys[car] = grey_lookup(factors, self._palettes[int(factors["texture"])])
        for camera, lenses in self._lenses.values():
            _grind(lenses, car, camera, factors)

    def render(
        self,
        cars: Cars,
        camera: Camera,
        images: NDArray[np.uint8],
        bodies: Bodies = NO_BODIES,
        arenas: NDArray[np.int64] = NO_ROWS,
        own: NDArray[np.int64] = NO_ROWS,
        first: int = 0,
    ) -> None:
        """As `render_cars`, with each car's own look; `first` is the number of the first car."""
        part, key = slice(first, first + len(cars)), _key(camera)
        factors = self._factors[part]
        render_varied(
            cars,
            self.world,
            self._textures,
            np.ascontiguousarray(factors["texture"]),
            camera,
            _part_of(self._lenses[key][1], part),
            images,
            bodies,
            arenas,
            own,
        )
        number = list(self._lenses).index(key)  # each camera has noise of its own
        disturb_images(images, self._greys[part], factors, cars, number)


def _key(camera: Camera) -> tuple[int, int, float]:
    """What tells cameras of the robot description's place from each other."""
    return camera.width, camera.height, camera.left_m


def _part_of(lenses: Lenses, part: slice) -> Lenses:
    return Lenses(
        rows=lenses.rows[part],
        reach_m=lenses.reach_m[part],
        pixel_m=lenses.pixel_m[part],
        place=lenses.place[part],
    )


def _blank_lenses(cars: int, height: int) -> Lenses:
    return Lenses(
        rows=np.zeros((cars, 2), np.int64),
        reach_m=np.zeros((cars, height)),
        pixel_m=np.zeros((cars, height)),
        place=np.zeros((cars, 6)),
    )


def _grind(lenses: Lenses, car: int, camera: Camera, factors: np.void) -> None:
    """Make one car's version of a camera that sits where the robot description puts it."""
    usual = Mount(left_m=camera.left_m)
    mount = Mount(
        height_m=usual.height_m + factors["camera_height_m"],
        ahead_m=usual.ahead_m + factors["camera_ahead_m"],
        left_m=usual.left_m,
        pitch_rad=usual.pitch_rad + factors["camera_pitch_rad"],
        yaw_rad=usual.yaw_rad + factors["camera_yaw_rad"],
        horizontal_fov_rad=usual.horizontal_fov_rad + factors["camera_fov_rad"],
    )
    own = make_camera(camera.width, camera.height, mount)
    lenses.rows[car] = own.horizon_row, own.ground_row
    lenses.reach_m[car], lenses.pixel_m[car] = own.reach_m, own.pixel_m
    lenses.place[car] = (
        own.focal_px,
        own.height_m,
        own.ahead_m,
        own.left_m,
        own.pitch_rad,
        own.yaw_rad,
    )


@kernel
def render_varied(
    cars: Cars,
    world: World,
    textures: NDArray[np.uint8],
    chosen: NDArray[np.int64],
    camera: Camera,
    lenses: Lenses,
    images: NDArray[np.uint8],
    bodies: Bodies,
    arenas: NDArray[np.int64],
    own: NDArray[np.int64],
) -> None:
    """As `render_cars`, each car with its own lens and the texture (textures, texels) it chose."""
    for car in range(len(cars)):
        scene = World(
            textures[chosen[car]],
            world.width_log2,
            world.height_log2,
            world.texels_per_m,
            world.x_min_m,
            world.y_min_m,
            world.sky,
            world.far,
            world.paints,
            world.faces,
            world.light_x,
            world.light_y,
        )
        place = lenses.place[car]
        eye = Camera(
            camera.width,
            camera.height,
            lenses.rows[car, 0],
            lenses.rows[car, 1],
            lenses.reach_m[car],
            lenses.pixel_m[car],
            place[0],
            place[1],
            place[2],
            place[3],
            place[4],
            place[5],
            camera.smooth,
        )
        draw_ground(cars[car], scene, eye, images[car])
        if len(scene.faces) > 0:
            draw_faces(cars[car], scene, eye, images[car])
        if bodies.shape[1] > 0:
            draw_bodies(cars[car], scene, eye, images[car], bodies[arenas[car]], own[car])


@kernel
def disturb_images(
    images: NDArray[np.uint8],
    greys: NDArray[np.uint8],
    factors: NDArray[np.void],
    cars: Cars,
    camera: int,
) -> None:
    """Light, colour, blur and noise of each car (rows of `factors`) in its nth camera, in place."""
    for car in range(len(images)):
        image, table = images[car], greys[car]
        for row in range(image.shape[0]):
            for column in range(image.shape[1]):
                image[row, column] = table[image[row, column]]
        if factors[car]["blur"] > 0:
            _blur(image, factors[car]["blur"])
        if factors[car]["noise"] > 0:
            moment = cars[car]["steps"] + (camera << 20)
            _add_noise(image, factors[car]["noise"], factors[car]["noise_key"], moment)


@kernel
def _blur(image: NDArray[np.uint8], share: float) -> None:
    """Mix each pixel with the mean of the 3 x 3 around it; the picture's rim stays as it is."""
    sharp, sums = image.copy(), np.zeros(image.shape[1], np.int64)
    mixed, kept = int(256 * share), 9 * (256 - int(256 * share))
    for row in range(1, image.shape[0] - 1):
        for column in range(image.shape[1]):
            above, below = int(sharp[row - 1, column]), int(sharp[row + 1, column])
            sums[column] = above + int(sharp[row, column]) + below
        for column in range(1, image.shape[1] - 1):
            total = sums[column - 1] + sums[column] + sums[column + 1]
            image[row, column] = (int(sharp[row, column]) * kept + total * mixed + 1152) // 2304


@kernel
def _add_noise(image: NDArray[np.uint8], deviation: float, key: int, moment: int) -> None:
    """
    Nearly normal noise, of xorshift numbers that depend on the key and the moment alone.

    Each number gives two pixels the sums of four of its bytes.
    """
    state = np.uint64(key) ^ (np.uint64(moment) << np.uint64(20))
    scale = int(deviation / BYTES_DEVIATION * FIXED_POINT)
    for row in range(image.shape[0]):
        for column in range(0, image.shape[1], 2):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            pairs = (state & EVEN_BYTES) + ((state >> np.uint64(8)) & EVEN_BYTES)
            fours = pairs + (pairs >> np.uint64(16))
            _shift_grey(image, row, column, int(fours & np.uint64(0xFFFF)), scale)
            if column + 1 < image.shape[1]:
                high = int((fours >> np.uint64(32)) & np.uint64(0xFFFF))
                _shift_grey(image, row, column + 1, high, scale)


@inlined_kernel
def _shift_grey(image: NDArray[np.uint8], row: int, column: int, total: int, scale: int) -> None:
    """Add a sum of four random bytes, less its mean, at a scale in 16.16 fixed point."""
    grey = int(image[row, column]) + (((total - 510) * scale + 32768) >> 16)
    image[row, column] = min(max(grey, 0), 255)
