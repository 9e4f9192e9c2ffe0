"""The video of a drive: what the first car sees, beside the track from above."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from libs.common.tracks import Track
from services.simulator.camera_picture import HEIGHT_PX, WIDTH_PX, photograph
from services.simulator.film import Film
from services.simulator.race import Race
from services.simulator.track_map import TrackMap
from services.simulator.vehicle import CONTROL_HZ

MAP_WIDTH_PX = 560


@contextmanager
def film_race(file: Path, track: Track) -> Iterator[Callable[[Race], None]]:
    """
    Yield a function that films the race as it stands, to be called once for each step.

    Raises:
        Unavailable: ffmpeg is not installed.
        PlatformError: ffmpeg could not write the file.
    """
    above = TrackMap(track, MAP_WIDTH_PX, HEIGHT_PX)
    with Film(file, WIDTH_PX + MAP_WIDTH_PX, HEIGHT_PX, CONTROL_HZ) as film:
        yield lambda race: film.add(draw_race(race, above))


def draw_race(race: Race, above: TrackMap) -> NDArray[np.uint8]:
    """(height, width, 3) one picture of the video."""
    cars, steps = race.poses(), int(race.states["steps"][0])
    first = cars[0]
    clock = f"{steps / CONTROL_HZ:6.2f} s   {first.speed_mps:4.2f} m/s"
    map_picture = above.picture(cars, race.bodies[0], f"{clock}   {first.progress_pct:5.1f} %")
    return np.hstack((photograph(race, car=0), map_picture))
