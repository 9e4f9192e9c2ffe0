"""The world that cameras see: a texture of the ground, what stands around it, and its colours."""

import math
from collections.abc import Callable
from operator import itemgetter
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from libs.common.deepracer.number_lists import Rgb
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
STRIP_ROWS = 256  # of a texture that are coloured at once: a bound on memory

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
    return _draw(track, spec or WorldSpec(), seed, FINEST_TEXELS_PER_M, (grey_of,))[0]


def draw_colour_worlds(track: Track, spec: WorldSpec, seed: int = 0) -> tuple[World, ...]:
    """Red, green and blue of a track's world, finer than the grey one."""
    parts: tuple[Tone, ...] = tuple(map(itemgetter, range(3)))
    return _draw(track, spec, seed, FINEST_PICTURE_TEXELS_PER_M, parts)


def draw_labels(track: Track, spec: WorldSpec) -> World:
    """A world whose pixels are labels: `FIELD`, `ROAD`, `DASH`, `BORDER`; the sky is `FIELD`."""
    labels, frame = _lay_out(track, spec, FINEST_TEXELS_PER_M)
    return World(
        texture=labels.ravel(),
        **frame,
        sky=FIELD,
        far=FIELD,
        paints=np.zeros(1, np.uint8),
        faces=np.zeros((0, FACE_COLUMNS)),
        light_x=1.0,
        light_y=0.0,
    )


def _draw(
    track: Track, spec: WorldSpec, seed: int, finest: float, tones: tuple[Tone, ...]
) -> tuple[World, ...]:
    labels, frame = _lay_out(track, spec, finest)
    light = spec.light
    return tuple(
        World(
            texture=_colour_ground(labels, frame["texels_per_m"], spec, seed, tone),
            **frame,
            sky=tone(spec.sky_colour),
            far=round(FAR_SHADE * tone(ground_colours(spec)[FIELD])),
            paints=np.array([tone(lit(paint, light)) for paint in BODY_PAINTS], np.uint8),
            faces=build_faces(track.bounds_m, spec, seed, tone(lit(spec.wall_colour, light))),
            light_x=math.cos(light.direction_rad),
            light_y=math.sin(light.direction_rad),
        )
        for tone in tones
    )


class Frame(TypedDict):
    """How texels lie in the world; see `World`."""

    width_log2: int
    height_log2: int
    texels_per_m: float
    x_min_m: float
    y_min_m: float


def _lay_out(track: Track, spec: WorldSpec, finest: float) -> tuple[NDArray[np.uint8], Frame]:
    """What every texel shows, (height, width), and where the texels lie."""
    x_min, y_min, x_max, y_max = track.bounds_m
    extent_m = (x_max - x_min + VIEW_RANGE_M, y_max - y_min + VIEW_RANGE_M)
    scale, (width, height) = _choose_resolution(*extent_m, finest)
    # Half of the margin on each side; the rest of the texture wraps around behind it.
    x_min, y_min = x_min - VIEW_RANGE_M / 2, y_min - VIEW_RANGE_M / 2
    labels = Painter((x_min, y_min), scale, (2**width, 2**height)).paint(track, spec)
    return labels, Frame(
        width_log2=width, height_log2=height, texels_per_m=scale, x_min_m=x_min, y_min_m=y_min
    )


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


def _colour_ground(
    ground: NDArray[np.uint8], scale: float, spec: WorldSpec, seed: int, tone: Tone
) -> NDArray[np.uint8]:
    """The flat texture of one channel; in strips, which keeps memory low."""
    base = np.array([tone(colour) for colour in ground_colours(spec)], np.int16)
    texture = np.empty_like(ground)
    columns = _tile_texels(ground.shape[1], scale)
    rows = _tile_texels(ground.shape[0], scale)
    reliefs = ((FIELD, tile(spec.field, seed)), (ROAD, tile(spec.road, seed)))
    for top in range(0, len(ground), STRIP_ROWS):
        strip = slice(top, top + STRIP_ROWS)
        greys = base[ground[strip]]
        for material, relief in reliefs:
            laid = relief[rows[strip, None], columns]
            np.add(greys, laid, out=greys, where=ground[strip] == material)
        texture[strip] = np.clip(greys, 0, 255)
    return texture.ravel()


def _tile_texels(count: int, scale: float) -> NDArray[np.intp]:
    """Which texel of a tile each of `count` texels of the ground repeats."""
    return (np.arange(count) * (TILE_TEXELS_PER_M / scale)).astype(np.intp) % TILE_TEXELS


class Painter:
    """Draws in metres onto a map of what texels show."""

    def __init__(
        self, corner_m: tuple[float, float], texels_per_m: float, size: tuple[int, int]
    ) -> None:
        self._corner_m = np.array(corner_m)
        self._scale = texels_per_m
        self._size = size

    def paint(self, track: Track, spec: WorldSpec) -> NDArray[np.uint8]:
        """(height, width) map of the whole scene."""
        image = Image.fromarray(self._draw_road(track).astype(np.uint8))  # 0 is FIELD, 1 is ROAD
        if spec.dash_width_m > 0:
            self._draw_dashes(track, image, spec)
        if spec.border_width_m > 0:
            for border in (track.inner, track.outer):
                line = shift_border(border, track, spec.border_shift_m)
                self._draw_border(image, line, track.closed, spec)
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

    def _draw_dashes(self, track: Track, image: Image.Image, spec: WorldSpec) -> None:
        canvas = ImageDraw.Draw(image)
        for outline in dash_outlines(track, spec):
            canvas.polygon(self._texels(outline), fill=DASH)

    def _draw_border(
        self, image: Image.Image, border: NDArray[np.float64], closed: bool, spec: WorldSpec
    ) -> None:
        """A line; two points more than the lap has, so that its ends join."""
        points = np.vstack((border, border[:2])) if closed else border
        width = max(1, round(spec.border_width_m * self._scale))
        canvas = ImageDraw.Draw(image)
        canvas.line(self._texels(points), fill=BORDER, width=width, joint="curve")

    def _texels(self, points: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Image coordinates; Pillow's pixel centres lie at whole numbers."""
        texels = (points - self._corner_m) * self._scale - 0.5
        return [(float(x), float(y)) for x, y in texels]


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
