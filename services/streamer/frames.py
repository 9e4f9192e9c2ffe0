"""Pictures of a run as a broadcast shows them: camera, map and numbers on one canvas."""

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from services.streamer.scoreboard import Figures
from services.streamer.track_shape import TrackShape
from services.streamer.traffic import CarShown

Size = tuple[int, int]
Box = tuple[int, int, int, int]  # left, top, right, bottom

GROUND, PANEL, TEXT, QUIET = "#0d1117", "#161c25", "#e8edf4", "#98a4b5"
ROAD, EDGE = "#2a3442", "#8c98aa"
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#8a94a3")
"""Okabe and Ito's palette, told apart by colour-blind eyes too."""
MARGIN = 0.06


class Layout(NamedTuple):
    """Where what is, on a canvas of one size."""

    camera: Box
    map: Box
    numbers: Box
    text_px: int


LAYOUTS: dict[Size, Layout] = {
    (1280, 720): Layout((24, 84, 664, 564), (688, 84, 1256, 564), (24, 584, 1256, 704), 26),
    (640, 480): Layout((12, 48, 412, 348), (424, 48, 628, 348), (12, 360, 628, 472), 15),
}


class Scene(NamedTuple):
    """What is to be shown at one moment."""

    figures: Figures
    cars: Sequence[CarShown]
    jpeg: bytes | None
    now_s: float  # epoch seconds


class Painter:
    """Draws frames of one size; everything here takes milliseconds and holds a thread."""

    def __init__(self, size: Size, track: TrackShape | None) -> None:
        self._layout, self._size = LAYOUTS[size], size
        self._font = ImageFont.load_default(self._layout.text_px)
        self._large = ImageFont.load_default(round(1.5 * self._layout.text_px))
        self._ground = Image.new("RGB", size, GROUND)
        draw = ImageDraw.Draw(self._ground)
        for box in (self._layout.camera, self._layout.map, self._layout.numbers):
            draw.rounded_rectangle(box, 10, PANEL)
        self._scale, self._origin = 0.0, (0.0, 0.0)
        if track is not None:
            self._fit(track)
            self._draw_road(draw, track)

    def paint(self, scene: Scene) -> bytes:
        """The frame as rows of RGB bytes."""
        picture = self._ground.copy()
        draw = ImageDraw.Draw(picture)
        self._paste_camera(picture, scene.jpeg)
        if self._scale:
            for car in reversed(scene.cars):
                self._draw_car(draw, car)
        left, top = self._layout.camera[:2]
        session = scene.figures.session
        title = f"{scene.figures.run_id}   {scene.figures.track}   {session.status}"
        draw.text((left, top // 2), title, TEXT, self._large, anchor="lm")
        self._draw_numbers(draw, scene)
        return picture.tobytes()

    def _fit(self, track: TrackShape) -> None:
        left, top, right, bottom = self._layout.map
        x_min, y_min, x_max, y_max = track.bounds_m
        width, height = (right - left) * (1 - 2 * MARGIN), (bottom - top) * (1 - 2 * MARGIN)
        self._scale = min(width / (x_max - x_min), height / (y_max - y_min))
        self._origin = (
            (left + right) / 2 - self._scale * (x_min + x_max) / 2,
            (top + bottom) / 2 + self._scale * (y_min + y_max) / 2,
        )

    def _at(self, x_m: float, y_m: float) -> tuple[float, float]:
        return self._origin[0] + self._scale * x_m, self._origin[1] - self._scale * y_m

    def _draw_road(self, draw: ImageDraw.ImageDraw, track: TrackShape) -> None:
        inner, outer = ([self._at(x, y) for x, y in line] for line in (track.inner, track.outer))
        # Strip by strip: a closed road is no simple polygon.
        count = len(inner) if track.closed else len(inner) - 1
        for first in range(count):
            second = (first + 1) % len(inner)
            draw.polygon([inner[first], outer[first], outer[second], inner[second]], ROAD)
        for line in (inner, outer):
            draw.line([*line, line[0]] if track.closed else line, EDGE, 2)
        draw.line([inner[0], outer[0]], TEXT, 3)

    def _draw_car(self, draw: ImageDraw.ImageDraw, car: CarShown) -> None:
        x, y = self._at(car.x_m, car.y_m)
        size = self._layout.text_px * 0.45
        corners = [
            (
                x + size * reach * math.cos(car.heading_rad + turn),
                y - size * reach * math.sin(car.heading_rad + turn),
            )
            for reach, turn in ((1.4, 0.0), (1.0, 2.5), (1.0, -2.5))
        ]
        draw.polygon(corners, COLOURS[car.car % len(COLOURS)], TEXT if car.car == 0 else None)

    def _paste_camera(self, picture: Image.Image, jpeg: bytes | None) -> None:
        left, top, right, bottom = self._layout.camera
        if jpeg is None:
            return
        try:
            seen = Image.open(io.BytesIO(jpeg))
            picture.paste(seen.resize((right - left, bottom - top)), (left, top))
        except (UnidentifiedImageError, OSError):
            return  # a picture that came broken: the next one comes in a tenth of a second

    def _draw_numbers(self, draw: ImageDraw.ImageDraw, scene: Scene) -> None:
        left, top, right, bottom = self._layout.numbers
        pairs = _numbers(scene)
        columns, rows = 5, 2
        for index, (name, value) in enumerate(pairs):
            x = left + 12 + (index % columns) * (right - left - 12) // columns
            y = top + (index // columns) * (bottom - top) // rows + (bottom - top) // (2 * rows)
            draw.text((x, y - 2), name, QUIET, self._font, anchor="ls")
            draw.text((x, y), value, TEXT, self._font, anchor="la")


def _numbers(scene: Scene) -> list[tuple[str, str]]:
    session, peaks = scene.figures.session, scene.figures.peaks
    lap, pace, furthest = peaks.fastest_lap_s, peaks.fastest_pace_s, peaks.furthest_pct
    active_s = session.active_s
    if session.running_since_s is not None:
        active_s += max(0.0, scene.now_s - session.running_since_s)
    minutes, seconds = divmod(int(active_s), 60)
    return [
        ("fastest lap", f"{lap.value:.2f} s" if lap else "-"),
        ("pace", f"{pace.value:.2f} s" if pace else "-"),
        ("furthest", f"{furthest.value:.0f} %" if furthest else "-"),
        ("reward", f"{peaks.most_reward.value:.1f}" if peaks.most_reward else "-"),
        ("duration", f"{minutes}:{seconds:02}"),
        ("iterations", f"{session.iterations:,}"),
        ("episodes", f"{session.episodes:,}"),
        ("steps", f"{session.env_steps:,}"),
        ("steps/s", f"{session.steps_per_s:,.0f}" if session.steps_per_s else "-"),
        ("cars", f"{len(scene.cars)}"),
    ]
