"""A picture of a track from above."""

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from libs.common.tracks.facts import find_facts
from libs.common.tracks.track import FloatArray, Track, close

FIELD, ROAD, BORDER, DASH = "#2f6b3f", "#3a3d42", "#f4f4f0", "#f0a830"
START, TEXT = "#e5484d", "#f4f4f0"
BORDER_M, DASH_M, DASH_WIDTH_M = 0.05, 0.2, 0.04
MOST_DASHES = 500
MARGIN_M = 0.5
CAPTION_PX = 34
MOST_TALL = 1.5  # times the picture's width
FINER = 3
"""Lines are drawn so many times as large and then scaled down: that smooths them."""

COLOURS = 256

Canvas = ImageDraw.ImageDraw


@dataclass(frozen=True)
class _Frame:
    """Metres to pixels of the large picture; y goes up on a track and down in a picture."""

    x_min_m: float
    y_max_m: float
    pixels_per_m: float

    def place(self, points: FloatArray) -> list[tuple[float, float]]:
        pixels = (points - (self.x_min_m, self.y_max_m)) * (self.pixels_per_m, -self.pixels_per_m)
        return [(x, y) for x, y in pixels.tolist()]

    def stroke(self, width_m: float) -> int:
        return max(2, round(width_m * self.pixels_per_m))


def render_preview(track: Track, width_px: int = 640) -> bytes:
    """
    A PNG: road, borders, dashed centre line, start line with the driving direction, and a caption.

    A track that is taller than wide makes a narrower picture of at most 1.5 times `width_px`.
    """
    frame, size = _fit(track, width_px)
    image = Image.new("RGB", size, FIELD)
    canvas = ImageDraw.Draw(image)
    _draw_road(image, canvas, track, frame)
    _draw_dashes(canvas, track, frame)
    _draw_start(canvas, track, frame)
    small = image.resize((size[0] // FINER, size[1] // FINER), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    whole = _with_caption(small, track, frame.pixels_per_m / FINER)
    whole.quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _fit(track: Track, width_px: int) -> tuple[_Frame, tuple[int, int]]:
    x_min, y_min, x_max, y_max = track.bounds_m
    across_m, up_m = x_max - x_min + 2 * MARGIN_M, y_max - y_min + 2 * MARGIN_M
    pixels_per_m = FINER * min(width_px / across_m, MOST_TALL * width_px / up_m)
    frame = _Frame(x_min - MARGIN_M, y_max + MARGIN_M, pixels_per_m)
    return frame, (math.ceil(across_m * pixels_per_m), math.ceil(up_m * pixels_per_m))


def _draw_road(image: Image.Image, canvas: Canvas, track: Track, frame: _Frame) -> None:
    """What lies between the borders, and the borders."""
    if track.closed:
        road = Image.new("1", image.size)
        ImageDraw.Draw(road).polygon(frame.place(track.outer), fill=1)
        ImageDraw.Draw(road).polygon(frame.place(track.inner), fill=0)
        image.paste(ROAD, mask=road)
    else:
        canvas.polygon(frame.place(np.vstack((track.inner, track.outer[::-1]))), fill=ROAD)
    for border in (track.inner, track.outer):
        line = np.vstack((close(border), border[1:2])) if track.closed else border
        canvas.line(frame.place(line), BORDER, frame.stroke(BORDER_M), joint="curve")


def _draw_dashes(canvas: Canvas, track: Track, frame: _Frame) -> None:
    dash_m = max(DASH_M, track.length_m / MOST_DASHES / 2)
    for begin_m in np.arange(0.0, track.length_m - dash_m, 2 * dash_m):
        dash = track.points_at(np.linspace(begin_m, begin_m + dash_m, 5))
        canvas.line(frame.place(dash), DASH, frame.stroke(DASH_WIDTH_M), joint="curve")


def _draw_start(canvas: Canvas, track: Track, frame: _Frame) -> None:
    """A line across the road at row 0, and an arrow that begins there."""
    width_m = float(track.widths_m[0])
    start, heading_rad = track.centre[0], float(track.headings_at(0.0)[0])
    ahead = np.array((math.cos(heading_rad), math.sin(heading_rad)))
    left = np.array((-ahead[1], ahead[0])) * width_m / 2
    line = np.vstack((start + left, start - left))
    canvas.line(frame.place(line), START, frame.stroke(1.5 * BORDER_M))
    base = start + 0.3 * width_m * ahead
    tip = base + 0.6 * width_m * ahead
    canvas.polygon(frame.place(np.vstack((tip, base + left / 2, base - left / 2))), fill=START)


def _with_caption(image: Image.Image, track: Track, pixels_per_m: float) -> Image.Image:
    """The picture above a line of text with a scale of one metre; as wide as both need."""
    facts, font = find_facts(track), ImageFont.load_default(14)
    low_m, high_m = facts.width_min_m, facts.width_max_m
    width = f"{facts.width_mean_m:.2f}" if high_m - low_m < 0.05 else f"{low_m:.2f}-{high_m:.2f}"
    text = f"{facts.name}   {facts.length_m:.2f} m   {width} m wide   {facts.direction}"
    caption_px = math.ceil(font.getlength(text) + pixels_per_m) + 40
    across, middle = max(image.width, caption_px), image.height + CAPTION_PX // 2
    whole = Image.new("RGB", (across, image.height + CAPTION_PX), FIELD)
    whole.paste(image, ((across - image.width) // 2, 0))
    canvas, end = ImageDraw.Draw(whole), across - 10
    canvas.rectangle((0, image.height, *whole.size), ROAD)
    canvas.text((10, middle), text, TEXT, font, anchor="lm")
    canvas.line([(end - pixels_per_m, middle + 5), (end, middle + 5)], TEXT, 2)
    canvas.text((end, middle + 2), "1 m", TEXT, ImageFont.load_default(11), anchor="rb")
    return whole
