"""The world that cameras see: a grey texture of the ground, drawn from a track."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from libs.common.tracks import Track

# Greys as DeepRacer's colours have them (0.2989 R + 0.5870 G + 0.1140 B).
SKY_GREY = 30
FAR_GREY = 120  # ground beyond the range of view
FIELD_GREY = 122
ROAD_GREY = 48
BORDER_GREY = 226
DASH_GREY = 146

FIELD_NOISE = 9  # greys up and down
ROAD_NOISE = 8
BORDER_WIDTH_M = 0.05
DASH_WIDTH_M = 0.04
DASH_LENGTH_M = 0.15
DASH_PERIOD_M = 0.30

VIEW_RANGE_M = 6.0
FINEST_TEXELS_PER_M = 100.0
MAX_TEXELS = 2**24  # 16 MB a world


class World(NamedTuple):
    """
    A wrapped texture: texel (0, 0) lies at (`x_min_m`, `y_min_m`), rows run along y.

    It is larger than the track by the range of view, so that a camera never sees the track's copy
    behind the texture's edge.
    """

    texture: NDArray[np.uint8]  # flat, 2 ** (height_log2 + width_log2)
    width_log2: int
    height_log2: int
    texels_per_m: float
    x_min_m: float
    y_min_m: float


def draw_world(track: Track, seed: int = 0) -> World:
    """The world of a track: asphalt, white borders, a dashed centre line, a field around it."""
    x_min, y_min, x_max, y_max = track.bounds_m
    extent_m = (x_max - x_min + VIEW_RANGE_M, y_max - y_min + VIEW_RANGE_M)
    scale, sides = _choose_resolution(*extent_m)
    # Half of the margin on each side; the rest of the texture wraps around behind it.
    x_min, y_min = x_min - VIEW_RANGE_M / 2, y_min - VIEW_RANGE_M / 2
    painter = Painter((x_min, y_min), scale, (2 ** sides[0], 2 ** sides[1]))
    texture = painter.paint(track, np.random.default_rng(seed))
    return World(texture.ravel(), *sides, scale, x_min, y_min)


def _choose_resolution(width_m: float, height_m: float) -> tuple[float, tuple[int, int]]:
    """Texels per metre and the binary logarithms of the texture's sides."""
    scale = FINEST_TEXELS_PER_M
    while True:
        sides = (math.ceil(math.log2(width_m * scale)), math.ceil(math.log2(height_m * scale)))
        if 2 ** sum(sides) <= MAX_TEXELS:
            return scale, sides
        scale /= 2


class Painter:
    """Draws in metres onto a grey image."""

    def __init__(
        self, corner_m: tuple[float, float], texels_per_m: float, size: tuple[int, int]
    ) -> None:
        self._corner_m = np.array(corner_m)
        self._scale = texels_per_m
        self._size = size

    def paint(self, track: Track, noise: np.random.Generator) -> NDArray[np.uint8]:
        """(height, width) texture of the whole scene."""
        road = self._draw_road(track)
        ground = np.where(road, ROAD_GREY, FIELD_GREY).astype(np.int16)
        depth = np.where(road, ROAD_NOISE, FIELD_NOISE)
        # Squared uniform noise: mostly faint, with a few strong grains, as asphalt has them.
        grain = noise.random(ground.shape, dtype=np.float32) * 2 - 1
        ground += np.rint(grain * np.abs(grain) * depth).astype(np.int16)
        image = Image.fromarray(ground.astype(np.uint8))
        self._draw_dashes(track, image)
        for border in (track.inner, track.outer):
            self._draw_border(image, border, track.closed)
        return np.asarray(image)

    def _draw_road(self, track: Track) -> NDArray[np.bool_]:
        """Mask of the texels between the borders."""
        mask = Image.new("1", self._size)
        canvas = ImageDraw.Draw(mask)
        if not track.closed:
            canvas.polygon(self._texels(np.vstack((track.inner, track.outer[::-1]))), fill=1)
            return np.asarray(mask)
        canvas.polygon(self._texels(track.outer), fill=1)
        hole = Image.new("1", self._size)
        ImageDraw.Draw(hole).polygon(self._texels(track.inner), fill=1)
        road: NDArray[np.bool_] = np.asarray(mask) ^ np.asarray(hole)
        return road

    def _draw_dashes(self, track: Track, image: Image.Image) -> None:
        """Dashes of the centre line, their period stretched so that it fits the lap."""
        count = max(1, round(track.length_m / DASH_PERIOD_M))
        for begin_m in np.arange(count) * (track.length_m / count):
            points = track.points_at(np.linspace(begin_m, begin_m + DASH_LENGTH_M, 4))
            outline = self._texels(_widen(points, DASH_WIDTH_M))
            ImageDraw.Draw(image).polygon(outline, fill=DASH_GREY)

    def _draw_border(self, image: Image.Image, border: NDArray[np.float64], closed: bool) -> None:
        """A white line; two points more than the lap has, so that its ends join."""
        points = np.vstack((border, border[:2])) if closed else border
        width = max(1, round(BORDER_WIDTH_M * self._scale))
        canvas = ImageDraw.Draw(image)
        canvas.line(self._texels(points), fill=BORDER_GREY, width=width, joint="curve")

    def _texels(self, points: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Image coordinates; Pillow's pixel centres lie at whole numbers."""
        texels = (points - self._corner_m) * self._scale - 0.5
        return [(float(x), float(y)) for x, y in texels]


def _widen(points: NDArray[np.float64], width_m: float) -> NDArray[np.float64]:
    """Outline (2 k, 2) of a stroke along (k, 2) points."""
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    side = np.column_stack((-along[:, 1], along[:, 0])) * (width_m / 2)
    return np.vstack((points + side, (points - side)[::-1]))
