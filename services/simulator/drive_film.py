"""The video of a drive: what the first car sees, beside the track from above."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from libs.common.tracks import Track
from services.simulator.film import Film
from services.simulator.race import Race
from services.simulator.track_map import TrackMap
from services.simulator.vehicle import CONTROL_HZ

CAMERA_SIZE = (640, 480)
MAP_SIZE = (560, 480)


class DriveFilm:
    """A film that a race is shown to, step by step, in the simulated clock's time."""

    def __init__(self, file: Path, track: Track) -> None:
        """Raises `Unavailable` where ffmpeg is not installed."""
        width = CAMERA_SIZE[0] + MAP_SIZE[0]
        self._film = Film(file, width, CAMERA_SIZE[1], CONTROL_HZ)
        self._map = TrackMap(track, *MAP_SIZE)
        self._open = ExitStack()

    def __enter__(self) -> "DriveFilm":
        self._open.enter_context(self._film)
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.__exit__(*failure)  # type: ignore[arg-type]

    def add(self, race: Race) -> None:
        """Film the race as it stands."""
        cars = race.poses()
        first, steps = cars[0], int(race.states["steps"][0])
        caption = f"{steps / CONTROL_HZ:6.2f} s   {first.speed_mps:4.2f} m/s"
        above = self._map.picture(cars, f"{caption}   {first.progress_pct:5.1f} %")
        grey = race.frame(0, *CAMERA_SIZE)
        camera = np.repeat(grey[..., np.newaxis], 3, axis=2)
        self._film.add(np.hstack((camera, above)))
