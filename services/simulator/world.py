"""The world that cameras see: a texture of the ground, what stands around it, and its colours."""

import math
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from libs.common.deepracer.short_lists import Rgb
from libs.common.deepracer.world_spec import LightSpec, WorldSpec
from libs.common.tracks import Track
from services.simulator.surroundings import FACE_COLUMNS, build_faces
from services.simulator.textures import MATERIALS, TILE_TEXELS, TILE_TEXELS_PER_M, tile

FIELD, ROAD, DASH, BORDER = range(4)
"""What a texel of the ground shows."""

FAR_SHADE = 0.985  # of the field, beyond the range of view
WARM_SHARE = 0.2  # of red and blue, at full warmth

VIEW_RANGE_M = 6.0
FINEST_TEXELS_PER_M = 100.0
FINEST_PICTURE_TEXELS_PER_M = 200.0
MAX_TEXELS = 2**24  # 16 MB a world
STRIP_ROWS = 64  # of a texture that are drawn at once: a bound on memory

BODY_PAINTS: tuple[Rgb, ...] = (
    (176, 132, 84),  # cardboard, for boxes
    (196, 44, 38),
    (36, 84, 176),
    (238, 200, 48),
    (244, 244, 240),
    (28, 28, 30),
    (46, 140, 82),
    (232, 118, 28),
)
"""What `paint` of a body counts; counting begins again behind the last."""

Tone = Callable[[Rgb], int]
"""A colour as one number: its grey, or one of its parts."""


class World(NamedTuple):
    """
    A scene in one channel: grey for policies, or one of red, green and blue for people.

    The ground is a wrapped texture: texel (0, 0) lies at (`x_min_m`, `y_min_m`), rows run along y.
    It is larger than the track by the range of view, so that a camera never sees the track's copy
    behind the texture's edge.
    """

    texture: NDArray[np.uint8]  # flat, 2 ** (height_log2 + width_log2)
    width_log2: int
    height_log2: int
    texels_per_m: float
    x_min_m: float
    y_min_m: float
    sky: int
    far: int  # ground beyond the range of view
    paints: NDArray[np.uint8]  # of bodies
    faces: NDArray[np.float64]  # (n, 6) what stands around, see `surroundings`
    light_x: float  # unit vector to where the light comes from
    light_y: float


def grey_of(colour: Rgb) -> int:
    """A colour's grey as DeepRacer's networks see it (0.2989 R + 0.5870 G + 0.1140 B)."""
    return round(0.2989 * colour[0] + 0.5870 * colour[1] + 0.1140 * colour[2])


def draw_world(track: Track, spec: WorldSpec | None = None, seed: int = 0) -> World:
    """The grey world of a track; the same for the same seed."""
    frame = _lay_out(track, FINEST_TEXELS_PER_M)
    return _draw(track, spec or WorldSpec(), seed, frame, 1, (grey_of,))[0]


def draw_colour_worlds(track: Track, spec: WorldSpec, seed: int = 0) -> tuple[World, ...]:
    """Red, green and blue of a track's world, finer than the grey one and with smooth edges."""
    parts: tuple[Tone, ...] = tuple(map(itemgetter, range(3)))
    frame = _lay_out(track, FINEST_PICTURE_TEXELS_PER_M)
    return _draw(track, spec, seed, frame, 2, parts)


def draw_labels(track: Track, spec: WorldSpec) -> World:
    """A world whose pixels are labels: `FIELD`, `ROAD`, `DASH`, `BORDER`; the sky is `FIELD`."""
    frame = _lay_out(track, FINEST_TEXELS_PER_M)
    strips = [labels for _, labels in _paint_strips(track, spec, frame, 1)]
    return World(
        texture=np.concatenate(strips).ravel(),
        **frame,
        sky=FIELD,
        far=FIELD,
        paints=np.zeros(1, np.uint8),
        faces=np.zeros((0, FACE_COLUMNS)),
        light_x=1.0,
        light_y=0.0,
    )


def _draw(
    track: Track, spec: WorldSpec, seed: int, frame: "Frame", finer: int, tones: tuple[Tone, ...]
) -> tuple[World, ...]:
    """One world for each tone; a texel is the mean of `finer` × `finer`."""
    light = spec.light
    sides = 2 ** frame["height_log2"], 2 ** frame["width_log2"]
    textures = [np.empty(sides, np.uint8) for _ in tones]
    for rows, labels in _paint_strips(track, spec, frame, finer):
        relief = _lay_relief(labels, rows.start * finer, frame["texels_per_m"] * finer, spec, seed)
        for texture, tone in zip(textures, tones, strict=True):
            greys = np.array([tone(colour) for colour in ground_colours(spec)], np.int16)[labels]
            greys += relief
            texture[rows] = shrink(np.clip(greys, 0, 255).astype(np.uint8), finer)
    return tuple(
        World(
            texture=texture.ravel(),
            **frame,
            sky=tone(spec.sky_colour),
            far=round(FAR_SHADE * tone(ground_colours(spec)[FIELD])),
            paints=np.array([tone(lit(paint, light)) for paint in BODY_PAINTS], np.uint8),
            faces=build_faces(track.bounds_m, spec, seed, tone(lit(spec.wall_colour, light))),
            light_x=math.cos(light.direction_rad),
            light_y=math.sin(light.direction_rad),
        )
        for texture, tone in zip(textures, tones, strict=True)
    )


class Frame(TypedDict):
    """How texels lie in the world; see `World`."""

    width_log2: int
    height_log2: int
    texels_per_m: float
    x_min_m: float
    y_min_m: float


def _lay_out(track: Track, finest: float) -> Frame:
    x_min, y_min, x_max, y_max = track.bounds_m
    extent_m = (x_max - x_min + VIEW_RANGE_M, y_max - y_min + VIEW_RANGE_M)
    scale, (width, height) = _choose_resolution(*extent_m, finest)
    return Frame(
        width_log2=width,
        height_log2=height,
        texels_per_m=scale,
        # Half of the margin on each side; the rest of the texture wraps around behind it.
        x_min_m=x_min - VIEW_RANGE_M / 2,
        y_min_m=y_min - VIEW_RANGE_M / 2,
    )


def _paint_strips(
    track: Track, spec: WorldSpec, frame: Frame, finer: int
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """What texels show, `finer` times as fine, in strips of rows: a bound on memory."""
    painter, scale = Painter(track, spec), frame["texels_per_m"]
    width, height = 2 ** frame["width_log2"], 2 ** frame["height_log2"]
    for top in range(0, height, STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, height))
        corner_m = frame["x_min_m"], frame["y_min_m"] + top / scale
        size = width * finer, (rows.stop - top) * finer
        yield rows, painter.paint(corner_m, scale * finer, size)


def _choose_resolution(
    width_m: float, height_m: float, finest: float
) -> tuple[float, tuple[int, int]]:
    """Texels per metre and the binary logarithms of the texture's sides."""
    scale = finest
    while True:
        sides = (math.ceil(math.log2(width_m * scale)), math.ceil(math.log2(height_m * scale)))
        if 2 ** sum(sides) <= MAX_TEXELS:
            return scale, sides
        scale /= 2


def ground_colours(spec: WorldSpec) -> tuple[Rgb, ...]:
    """The lit colours of what texels show, in the order of `FIELD`, `ROAD`, `DASH`, `BORDER`."""
    plain = (
        spec.field_colour or MATERIALS[spec.field].colour,
        spec.road_colour or MATERIALS[spec.road].colour,
        spec.dash_colour,
        spec.border_colour,
    )
    return tuple(lit(colour, spec.light) for colour in plain)


def palette(spec: WorldSpec) -> tuple[Rgb, ...]:
    """All lit colours of a world."""
    upright = (lit(colour, spec.light) for colour in (spec.wall_colour, *BODY_PAINTS))
    return (*ground_colours(spec), spec.sky_colour, *upright)


def lit(colour: Rgb, light: LightSpec) -> Rgb:
    """A colour under a light."""
    warm = WARM_SHARE * light.warmth
    red, green, blue = (
        min(255, round(part * light.brightness * share))
        for part, share in zip(colour, (1 + warm, 1.0, 1 - warm), strict=True)
    )
    return red, green, blue


def _lay_relief(
    labels: NDArray[np.uint8], first_row: int, scale: float, spec: WorldSpec, seed: int
) -> NDArray[np.int16]:
    """Greys that the materials add to their colours, for a strip of labels."""
    columns = _tile_texels(0, labels.shape[1], scale)
    rows = _tile_texels(first_row, labels.shape[0], scale)[:, None]
    relief = np.zeros(labels.shape, np.int16)
    for label, name in ((FIELD, spec.field), (ROAD, spec.road)):
        np.copyto(relief, tile(name, seed)[rows, columns], where=labels == label)
    return relief


def _tile_texels(first: int, count: int, scale: float) -> NDArray[np.intp]:
    """Which texel of a tile each of `count` texels of the ground repeats."""
    places = (np.arange(first, first + count) * (TILE_TEXELS_PER_M / scale)).astype(np.intp)
    return places % TILE_TEXELS


def shrink(image: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """Means of squares of `times` × `times` pixels of a (height, width) image."""
    if times == 1:
        return image
    rows = image[0::times].astype(np.uint16)
    for row in range(1, times):
        rows += image[row::times]
    sums = rows[:, 0::times].astype(np.uint32)
    for column in range(1, times):
        sums += rows[:, column::times]
    half = times * times // 2
    return ((sums + half) // (times * times)).astype(np.uint8)


class Painter:
    """Draws the ground of a track, in metres, onto maps of what texels show."""

    def __init__(self, track: Track, spec: WorldSpec) -> None:
        self._closed = track.closed
        self._road = [track.outer, track.inner]
        if not track.closed:
            self._road = [np.vstack((track.inner, track.outer[::-1]))]
        self._dashes = dash_outlines(track, spec) if spec.dash_width_m > 0 else []
        self._dash_ends = [(line[:, 1].min(), line[:, 1].max()) for line in self._dashes]
        self._border_width_m = spec.border_width_m
        self._borders = [
            shift_border(border, track, spec.border_shift_m)
            for border in (track.inner, track.outer)
            if spec.border_width_m > 0
        ]

    def paint(
        self, corner_m: tuple[float, float], scale: float, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """(height, width) map of a rectangle that begins at a corner, at so many texels a metre."""

        def texels(points: NDArray[np.float64]) -> list[tuple[float, float]]:
            """Image coordinates; Pillow's pixel centres lie at whole numbers."""
            places = (points - np.array(corner_m)) * scale - 0.5
            return [(float(x), float(y)) for x, y in places]

        image = Image.new("L", size, FIELD)
        canvas = ImageDraw.Draw(image)
        for outline, label in zip(self._road, (ROAD, FIELD), strict=False):
            canvas.polygon(texels(outline), fill=label)
        low_m, high_m = corner_m[1] - 1 / scale, corner_m[1] + (size[1] + 1) / scale
        for outline, (begin_m, end_m) in zip(self._dashes, self._dash_ends, strict=True):
            if begin_m < high_m and end_m > low_m:
                canvas.polygon(texels(outline), fill=DASH)
        width = max(1, round(self._border_width_m * scale))
        for border in self._borders:
            # Two points more than the lap has, so that its ends join.
            line = np.vstack((border, border[:2])) if self._closed else border
            canvas.line(texels(line), fill=BORDER, width=width, joint="curve")
        return np.asarray(image)


def dash_outlines(track: Track, spec: WorldSpec) -> list[NDArray[np.float64]]:
    """Outlines (n, 2) of the centre line's dashes, their period stretched to fit the lap."""
    count = max(1, round(track.length_m / spec.dash_period_m))
    return [
        _widen(
            track.points_at(np.linspace(begin_m, begin_m + spec.dash_length_m, 4)),
            spec.dash_width_m,
        )
        for begin_m in np.arange(count) * (track.length_m / count)
    ]


def shift_border(border: NDArray[np.float64], track: Track, by_m: float) -> NDArray[np.float64]:
    """A border (n, 2) moved away from the centre line; below 0 towards it."""
    outwards = border - track.centre
    outwards /= np.maximum(np.hypot(*outwards.T)[:, None], 1e-9)
    moved: NDArray[np.float64] = border + by_m * outwards
    return moved


def _widen(points: NDArray[np.float64], width_m: float) -> NDArray[np.float64]:
    """Outline (2 k, 2) of a stroke along (k, 2) points."""
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    side = np.column_stack((-along[:, 1], along[:, 0])) * (width_m / 2)
    return np.vstack((points + side, (points - side)[::-1]))
