"""A track from above, with cars on it, as pictures for people."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from libs.common.tracks import Track
from services.simulator.bodies import NOTHING, Bodies
from services.simulator.race import CarState

FIELD, ROAD, BORDER, DASH, TRAIL = "#28352b", "#4a4d52", "#f0f0f0", "#d9a514", "#7fb3d5"
BODY = "#b07a4a"
CAR_COLOURS = ("#ff5c39", "#39c5ff", "#ffd23f", "#7bd389", "#c38cff", "#ff8fc7")
MARGIN_PX = 24
FINER = 2  # drawn larger and shrunk, which smooths the edges
CAR_M = (0.32, 0.20)  # DeepRacer's length and width
SMALLEST_CAR_PX = 13
CAPTION_PX = 17


class TrackMap:
    """Draws the track once and cars on copies of it."""

    def __init__(self, track: Track, width: int, height: int) -> None:
        x_min, y_min, x_max, y_max = track.bounds_m
        span_x, span_y = x_max - x_min, y_max - y_min
        self._scale = min((width - 2 * MARGIN_PX) / span_x, (height - 2 * MARGIN_PX) / span_y)
        self._left_m = (x_min + x_max) / 2 - width / 2 / self._scale
        self._top_m = (y_min + y_max) / 2 + height / 2 / self._scale
        self._font = ImageFont.load_default(CAPTION_PX)
        self._road = self._draw_road(track, width, height)
        self._last: dict[int, tuple[float, float]] = {}

    def picture(
        self, cars: Sequence[CarState], bodies: Bodies, caption: str = ""
    ) -> NDArray[np.uint8]:
        """
        (height, width, 3) cars and bodies where they are; the first car leaves a trail.

        Args:
            cars: at least one.
            bodies: (n,) what else is on the road.
            caption: a line of text.
        """
        self._lengthen_trail(cars[0])
        image = self._road.copy()
        canvas = ImageDraw.Draw(image)
        for body in bodies[bodies["kind"] != NOTHING]:
            canvas.polygon(self._corners(body), fill=BODY, outline="black")
        for number, car in reversed(list(enumerate(cars))):
            colour = CAR_COLOURS[number % len(CAR_COLOURS)]
            canvas.polygon(self._outline(car), fill=colour, outline="black")
        canvas.text((10, 6), caption, fill="white", font=self._font)
        return np.asarray(image)

    def _draw_road(self, track: Track, width: int, height: int) -> Image.Image:
        image = Image.new("RGB", (width * FINER, height * FINER), FIELD)
        canvas = ImageDraw.Draw(image)
        self._fill_road(canvas, track)
        for border in (track.inner, track.outer):
            points = np.vstack((border, border[:2])) if track.closed else border
            canvas.line(self._pixels(points, FINER), fill=BORDER, width=2 * FINER, joint="curve")
        for begin_m in np.arange(0.0, track.length_m, 0.6):
            dash = track.points_at(np.linspace(begin_m, begin_m + 0.3, 4))
            canvas.line(self._pixels(dash, FINER), fill=DASH, width=FINER)
        return image.resize((width, height), Image.Resampling.LANCZOS)

    def _fill_road(self, canvas: ImageDraw.ImageDraw, track: Track) -> None:
        """Piece by piece, for a road may cross over itself."""
        rows = len(track.centre)
        for row in range(rows if track.closed else rows - 1):
            after = (row + 1) % rows
            lines = (track.inner[row], track.inner[after], track.outer[after], track.outer[row])
            canvas.polygon(self._pixels(np.array(lines), FINER), fill=ROAD)

    def _lengthen_trail(self, car: CarState) -> None:
        """Draw the first car's way since the last picture onto the road."""
        here = self._pixels(np.array([[car.x_m, car.y_m]]))[0]
        before = self._last.get(car.episode)
        if before is not None:
            ImageDraw.Draw(self._road).line((before, here), fill=TRAIL, width=2)
        self._last = {car.episode: here}

    def _corners(self, body: np.void) -> list[tuple[float, float]]:
        """A body's rectangle."""
        along, across = body["length_m"] / 2, body["width_m"] / 2
        corners = [(along, across), (-along, across), (-along, -across), (along, -across)]
        return self._placed(corners, body["x_m"], body["y_m"], body["heading_rad"])

    def _outline(self, car: CarState) -> list[tuple[float, float]]:
        """An arrow head as long as the car, or as large as can be seen; its tip is at x, y."""
        length_m = max(CAR_M[0], SMALLEST_CAR_PX / self._scale)
        half_m = length_m * CAR_M[1] / CAR_M[0] / 2
        corners = [(0.0, 0.0), (-length_m, half_m), (-0.8 * length_m, 0.0), (-length_m, -half_m)]
        return self._placed(corners, car.x_m, car.y_m, car.heading_rad)

    def _placed(
        self, corners: Sequence[tuple[float, float]], x_m: float, y_m: float, heading_rad: float
    ) -> list[tuple[float, float]]:
        """Image coordinates of a figure that is turned and moved to its place."""
        turn = np.array(
            [
                (math.cos(heading_rad), math.sin(heading_rad)),
                (-math.sin(heading_rad), math.cos(heading_rad)),
            ]
        )
        return self._pixels(np.array(corners) @ turn + (x_m, y_m))

    def _pixels(self, points: NDArray[np.float64], finer: int = 1) -> list[tuple[float, float]]:
        """Image coordinates of (n, 2) points in metres."""
        scale = self._scale * finer
        return [((x - self._left_m) * scale, (self._top_m - y) * scale) for x, y in points.tolist()]
