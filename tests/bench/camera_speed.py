"""
Frames per second of the cameras alone, of one core: bare, among bodies and walls, randomised.

    python -m tests.bench.camera_speed [--track loop] [--cars 256] [--rounds 20]
"""

import time
from collections.abc import Callable

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import Track, load_built_in
from services.simulator.bodies import BODY, BOX, CAR_BODY
from services.simulator.camera import NETWORK_CAMERA, render_cars
from services.simulator.lidar import scan_cars
from services.simulator.pictures import Pictures
from services.simulator.randomisation import draw_factors
from services.simulator.varied_views import VariedViews
from services.simulator.vehicle import CAR, Cars
from services.simulator.world import draw_world

BODIES = 6
RANGES = RandomisationSpec(
    brightness=(0.6, 1.4),
    contrast=(0.6, 1.4),
    hue_rad=(-0.5, 0.5),
    saturation=(0.5, 1.5),
    camera_pitch_rad=(-0.05, 0.05),
)
SPOILT = RANGES.model_copy(update={"noise": (1, 12), "blur": (0.1, 1)})


def main(track: str = "loop", cars: int = 256, rounds: int = 20) -> None:
    """Take the best of some rounds of each and print a table."""
    table = Table(title=f"Cameras on {track}, {cars} cars, 160x120 grey, processor time of a core")
    for heading in ("what", "frames/s", "of the bare camera"):
        table.add_column(heading, justify="right")
    rates = {name: measure(draw, cars, rounds) for name, draw in cases(track, cars).items()}
    bare = next(iter(rates.values()))
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / bare:.2f}")
    Console().print(table)


def measure(draw: Callable[[], object], frames: int, rounds: int) -> float:
    """Frames a second in the fastest round."""
    draw()
    fastest_s = float("inf")
    for _ in range(rounds):
        began_s = time.thread_time()
        draw()
        fastest_s = min(fastest_s, time.thread_time() - began_s)
    return frames / fastest_s


def cases(name: str, count: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    track = load_built_in(name)
    cars, images = cars_on(track, count), np.zeros((count, 120, 160), np.uint8)
    bodies = bodies_on(track, count), np.arange(count), np.full(count, -1)
    bare, walled = draw_world(track), draw_world(track, WorldSpec(surroundings="skyline"))
    ranges_m, pictures = np.zeros((count, 64), np.float32), Pictures(track, WorldSpec())

    def varied(spec: RandomisationSpec) -> Callable[[], object]:
        views = VariedViews(count, track, WorldSpec(), spec)
        for car in range(count):
            views.renew(car, draw_factors(spec, 0, car, 0))
        return lambda: views.render(cars, NETWORK_CAMERA, images)

    def in_colour() -> None:
        for car in range(count):
            pictures.draw(cars[car : car + 1], 160, 120)

    return {
        "bare": lambda: render_cars(cars, bare, NETWORK_CAMERA, images),
        f"{BODIES} bodies": lambda: render_cars(cars, bare, NETWORK_CAMERA, images, *bodies),
        "skyline": lambda: render_cars(cars, walled, NETWORK_CAMERA, images),
        "light, colour and pose randomised": varied(RANGES),
        "noise and blur too": varied(SPOILT),
        f"lidar, {BODIES} bodies": lambda: scan_cars(cars, bare, *bodies, ranges_m),
        "in colour, for people": in_colour,
    }


def cars_on(track: Track, count: int) -> Cars:
    """Cars all along the centre line."""
    cars, along_m = np.zeros(count, CAR), np.linspace(0, track.length_m, count, endpoint=False)
    cars["x_m"], cars["y_m"] = track.points_at(along_m).T
    cars["heading_rad"] = track.headings_at(along_m)
    return cars


def bodies_on(track: Track, arenas: int) -> np.ndarray:
    """Boxes and cars at the same places of every arena."""
    bodies = np.zeros((arenas, BODIES), BODY)
    along_m = np.linspace(0.5, track.length_m, BODIES, endpoint=False)
    bodies["x_m"], bodies["y_m"] = track.points_at(along_m).T
    bodies["heading_rad"], bodies["paint"] = track.headings_at(along_m), np.arange(BODIES)
    bodies["kind"] = np.where(np.arange(BODIES) % 2, CAR_BODY, BOX)
    bodies["length_m"], bodies["width_m"], bodies["height_m"] = 0.35, 0.25, 0.2
    return bodies


if __name__ == "__main__":
    typer.run(main)
