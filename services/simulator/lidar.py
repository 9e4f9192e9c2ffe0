"""
The lidar: distances to bodies and to what stands around, and how they are condensed.

The lines on the floor are flat: it does not see them. As on DeepRacer's car its middle ray looks
back, so that what it leaves out, 60°, is ahead, where the camera looks.
"""

import math

import numpy as np
from numpy.typing import NDArray

from services.simulator.bodies import NOTHING, Bodies
from services.simulator.kernels import kernel
from services.simulator.vehicle import Cars
from services.simulator.world import World

# Of the simulator's robot description and its sensor.
RAYS = 64
FIELD_RAD = math.radians(300)
AHEAD_M = 0.02913  # of the model's origin
NEAREST_M, FARTHEST_M = 0.15, 12.0
NOISE_M = 0.01  # standard deviation
SECTORS = 8
SECTOR_CLIP_M = 0.5

SHORTS = 4  # random numbers below 65536, whose sum is nearly normal
SHORTS_MEAN = SHORTS * 65535 / 2
SHORTS_DEVIATION = math.sqrt(SHORTS * (65536**2 - 1) / 12)

RAY_ANGLES_RAD = math.pi + np.linspace(-FIELD_RAD / 2, FIELD_RAD / 2, RAYS)
"""Of each ray from the car's heading, anticlockwise: from ahead on the left round its back."""


@kernel
def scan_cars(
    cars: Cars,
    world: World,
    bodies: Bodies,
    arenas: NDArray[np.int64],
    own: NDArray[np.int64],
    ranges_m: NDArray[np.float32],
) -> None:
    """Every car's distances, into `ranges_m` (cars, RAYS); `FARTHEST_M` where nothing is."""
    for index in range(len(cars)):
        heading = cars[index]["heading_rad"]
        x_m = cars[index]["x_m"] + AHEAD_M * math.cos(heading)
        y_m = cars[index]["y_m"] + AHEAD_M * math.sin(heading)
        for ray in range(RAYS):
            angle = heading + RAY_ANGLES_RAD[ray]
            direction = (math.cos(angle), math.sin(angle))
            nearest = FARTHEST_M
            for face in range(len(world.faces)):
                ends = world.faces[face]
                nearest = min(
                    nearest, _meet(x_m, y_m, direction, ends[0], ends[1], ends[2], ends[3])
                )
            if bodies.shape[1] > 0:
                row = bodies[arenas[index]]
                nearest = min(nearest, _scan_bodies(x_m, y_m, direction, row, own[index]))
            ranges_m[index, ray] = max(nearest, NEAREST_M)


@kernel
def _scan_bodies(
    x_m: float, y_m: float, direction: tuple[float, float], bodies: Bodies, own: int
) -> float:
    """Along one ray to the nearest of the bodies (k,) but the car's own."""
    nearest = FARTHEST_M
    for place in range(len(bodies)):
        if bodies[place]["kind"] != NOTHING and place != own:
            nearest = min(nearest, _enter(x_m, y_m, direction, bodies[place]))
    return nearest


@kernel
def _enter(x_m: float, y_m: float, direction: tuple[float, float], body: np.void) -> float:
    """Along a ray to where it enters a body's rectangle; infinite where it does not."""
    cosine, sine = math.cos(body["heading_rad"]), math.sin(body["heading_rad"])
    right, up = x_m - body["x_m"], y_m - body["y_m"]
    begin, end = 0.0, math.inf
    for axis in range(2):
        across_x, across_y = (cosine, sine) if axis == 0 else (-sine, cosine)
        place = right * across_x + up * across_y
        speed = direction[0] * across_x + direction[1] * across_y
        half = (body["length_m"] if axis == 0 else body["width_m"]) / 2
        if abs(speed) < 1e-12:
            if abs(place) > half:
                return math.inf
            continue
        first, second = (-half - place) / speed, (half - place) / speed
        begin, end = max(begin, min(first, second)), min(end, max(first, second))
    return begin if begin <= end else math.inf


@kernel
def _meet(
    x_m: float,
    y_m: float,
    direction: tuple[float, float],
    begin_x: float,
    begin_y: float,
    end_x: float,
    end_y: float,
) -> float:
    """Along a ray to where it meets a wall; infinite where it does not."""
    along_x, along_y = end_x - begin_x, end_y - begin_y
    cross = direction[0] * along_y - direction[1] * along_x
    if abs(cross) < 1e-12:
        return math.inf
    right, up = begin_x - x_m, begin_y - y_m
    distance = (right * along_y - up * along_x) / cross
    share = (right * direction[1] - up * direction[0]) / cross
    return distance if distance >= 0 and 0 <= share <= 1 else math.inf


def add_noise(ranges_m: NDArray[np.float32], cars: Cars, seeds: NDArray[np.uint64]) -> None:
    """
    The sensor's noise, in place; distances stay within its range.

    It is nearly normal, and depends on each car's seed (cars,), episode and step alone. It is made
    of whole numbers, which are the same however many cars there are.
    """
    keys = _scramble(_scramble(seeds) + cars["episode"].astype(np.uint64))
    keys = _scramble(keys + cars["steps"].astype(np.uint64))
    numbers = _scramble(np.add.outer(keys, np.arange(RAYS, dtype=np.uint64)))
    sums = numbers.view(np.uint16).reshape(*numbers.shape, SHORTS).sum(axis=2)
    ranges_m += (sums - SHORTS_MEAN) * (NOISE_M / SHORTS_DEVIATION)
    np.clip(ranges_m, NEAREST_M, FARTHEST_M, out=ranges_m)


def _scramble(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Splitmix64 of Steele, Lea and Flood, 2014: neighbours have nothing in common afterwards."""
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def sectors_occupied(ranges_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """`SECTOR_LIDAR`: (cars, SECTORS), 1 where something is nearer than 0.5 m, else 0."""
    nearest = ranges_m.reshape(len(ranges_m), SECTORS, -1).min(axis=2)
    occupied: NDArray[np.float32] = (nearest < SECTOR_CLIP_M).astype(np.float32)
    return occupied


def sectors_discretised(
    ranges_m: NDArray[np.float32], sectors: int, values: int, clip_m: float
) -> NDArray[np.float32]:
    """
    `DISCRETIZED_SECTOR_LIDAR`: which of `values` equal parts of `clip_m` each sector's nearest
    distance lies in, one-hot, (cars, sectors * values); all 0 for a sector that is free.
    """
    nearest = ranges_m.reshape(len(ranges_m), sectors, -1).min(axis=2)
    part = np.floor(np.minimum(nearest, clip_m) / (clip_m / values)).astype(np.intp)
    one_hot: NDArray[np.float32] = (part[:, :, None] == np.arange(values)).astype(np.float32)
    return one_hot.reshape(len(ranges_m), sectors * values)
