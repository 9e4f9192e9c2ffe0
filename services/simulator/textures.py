"""
What floors are made of: procedural textures, tileable and the same for the same seed.

A texture is a relief of greys around its material's colour. Noise that is shaped in the frequency
domain is periodic by nature, so every tile fits its neighbours without a seam.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.world_spec import Rgb, TextureName

TILE_TEXELS = 512
TILE_TEXELS_PER_M = 100.0
"""A tile is square and repeats every 5.12 m."""

Relief = NDArray[np.float32]
"""(TILE_TEXELS, TILE_TEXELS), mostly within -1 and 1."""


class Material(NamedTuple):
    """What a texture looks like where nothing else is said."""

    colour: Rgb
    depth: float  # greys that a relief of 1 stands for
    weave: Callable[[np.random.Generator], Relief]


@lru_cache(maxsize=16)
def tile(name: TextureName, seed: int) -> NDArray[np.int8]:
    """Greys to add to a material's colour, (TILE_TEXELS, TILE_TEXELS)."""
    material = MATERIALS[name]
    random = np.random.default_rng((seed, get_args(TextureName).index(name)))
    greys = np.rint(material.weave(random) * material.depth)
    relief: NDArray[np.int8] = np.clip(greys, -127, 127).astype(np.int8)
    return relief


def _grain(random: np.random.Generator) -> Relief:
    """Squared uniform noise: mostly faint, with a few strong grains, as asphalt has them."""
    noise = random.random((TILE_TEXELS, TILE_TEXELS), dtype=np.float32) * 2 - 1
    relief: Relief = noise * np.abs(noise)
    return relief


def _shaped(
    random: np.random.Generator, weight: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Relief:
    """Noise whose waves have the `weight` of their frequencies (2, rows, columns), in 1/tile."""
    noise = random.standard_normal((TILE_TEXELS, TILE_TEXELS))
    frequencies = np.fft.fftfreq(TILE_TEXELS, 1 / TILE_TEXELS)
    grid = np.stack(np.meshgrid(frequencies, frequencies, indexing="ij"))
    waves = np.fft.ifft2(np.fft.fft2(noise) * weight(grid)).real
    waves -= waves.mean()
    relief: Relief = (waves / (3 * waves.std())).astype(np.float32)
    return relief


def _clouds(random: np.random.Generator) -> Relief:
    """Stains of all sizes, as on poured concrete."""
    return _shaped(random, lambda grid: 1 / (1 + np.hypot(*grid)) ** 1.6)


def _weave_concrete(random: np.random.Generator) -> Relief:
    relief: Relief = _clouds(random) + 0.3 * _grain(random)
    return relief


def _weave_carpet(random: np.random.Generator) -> Relief:
    """Short fibres that lie every way."""
    ways = np.linspace(0, np.pi, 6, endpoint=False)
    fibres = np.stack([_fibres(random, float(way), 28.0, 110.0) for way in ways])
    strongest = np.take_along_axis(fibres, np.abs(fibres).argmax(axis=0)[None], axis=0)[0]
    relief: Relief = strongest * np.float32(0.8)
    return relief


def _fibres(random: np.random.Generator, way_rad: float, along: float, across: float) -> Relief:
    """Streaks that run one way; `along` and `across` are their frequencies, in 1/tile."""
    cosine, sine = np.cos(way_rad), np.sin(way_rad)

    def weight(grid: NDArray[np.float64]) -> NDArray[np.float64]:
        lengthwise, crosswise = cosine * grid[1] + sine * grid[0], cosine * grid[0] - sine * grid[1]
        fall: NDArray[np.float64] = np.exp(-((lengthwise / along) ** 2) - (crosswise / across) ** 2)
        return fall

    return _shaped(random, weight)


PLANKS = 32  # boards of 16 texels across a tile
JOINTS = 2  # ends of boards along a tile, in each row of them


def _weave_wood(random: np.random.Generator) -> Relief:
    """Boards of different tones with the grain along them, dark at their joints."""
    width = TILE_TEXELS // PLANKS
    tones = random.uniform(-0.6, 0.6, (PLANKS, JOINTS))
    shifts = random.integers(0, TILE_TEXELS, PLANKS)
    columns = (np.arange(TILE_TEXELS) + shifts[:, None]) % TILE_TEXELS
    board = columns * JOINTS // TILE_TEXELS
    relief = np.repeat(np.take_along_axis(tones, board, axis=1), width, axis=0)
    relief += 0.4 * _fibres(random, 0.0, 3.0, 90.0)
    relief[::width] -= 0.8
    ends = columns % (TILE_TEXELS // JOINTS) == 0
    relief[np.repeat(ends, width, axis=0)] -= 0.8
    return relief.astype(np.float32)


def _weave_nothing(_: np.random.Generator) -> Relief:
    return np.zeros((TILE_TEXELS, TILE_TEXELS), np.float32)


MATERIALS: dict[TextureName, Material] = {
    "asphalt": Material((38, 50, 65), 8, _grain),
    "carpet": Material((37, 49, 69), 11, _weave_carpet),
    "concrete": Material((128, 126, 120), 26, _weave_concrete),
    "wood": Material((150, 108, 68), 30, _weave_wood),
    "grass": Material((98, 138, 106), 9, _grain),
    "plain": Material((120, 120, 120), 0, _weave_nothing),
}
"""Asphalt and grass have the greys 48 and 122 of the official simulator's road and field."""
