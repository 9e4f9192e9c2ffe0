"""Events about videos of past episodes."""

import re
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from libs.common.deepracer.run_spec import RunSpec
from libs.common.events.artifacts import ArtifactEvent
from libs.common.events.base import Command, Event, Value
from libs.common.events.values import Phase, TrackRef

FilmView = Literal["camera-pip", "camera-45degree", "camera-topview", "camera-front"]
"""
From behind with a map in the corner, from behind, from above: as DeepRacer's tools name them.

`camera-front` is ours: what the car saw, beside the map.
"""
LEAST_PX, MOST_PX = 160, (1920, 1080)
EpisodeChoice = int | Literal["best", "last"]


class FilmWish(Value):
    """Which episode of a run is to be seen, and how."""

    phase: Phase = "training"
    evaluation_id: str | None = None  # of this evaluation; None: of any, where it is one
    episode: EpisodeChoice = "best"  # the fastest lap, else the furthest way; or a trial's number
    view: FilmView = "camera-pip"
    size: str = "640x480"  # pixels
    speed: float = Field(default=1.0, ge=0.1, le=16.0)  # times real time

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        width, height = self.size.split("x")
        return int(width), int(height)

    @field_validator("size")
    @classmethod
    def _can_be_coded(cls, size: str) -> str:
        """H.264 with halved colours has even sides."""
        sides = re.fullmatch(r"(\d{2,4})x(\d{2,4})", size)
        fits = sides is not None and all(
            LEAST_PX <= int(side) <= most and int(side) % 2 == 0
            for side, most in zip(sides.groups(), MOST_PX, strict=True)
        )
        if not fits:
            raise PydanticCustomError(
                "size", f"accepted: width x height, even, from {LEAST_PX}x{LEAST_PX} to 1920x1080"
            )
        return size


class FilmEpisode(Command, producer="streamer"):
    """Draw a past episode from its logged poses and store it as a video."""

    film_id: str
    wish: FilmWish
    spec: RunSpec
    track: TrackRef  # of the run


class FilmMade(ArtifactEvent, producer="simulator"):
    """A video of an episode is in the store."""

    film_id: str
    wish: FilmWish
    phase: Phase
    episode: int
    path: str  # inside the run's folder
    pictures: int
    duration_s: float


class FilmFailed(Event, producer="simulator"):
    """A video could not be made."""

    film_id: str
    wish: FilmWish
    reason: str
