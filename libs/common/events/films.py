"""Events about videos of past episodes."""

from typing import Literal

from pydantic import Field

from libs.common.deepracer.run_spec import RunSpec
from libs.common.events.artifacts import ArtifactEvent
from libs.common.events.base import Command, Event, Value
from libs.common.events.values import Phase, TrackRef

FilmView = Literal["camera-pip", "camera-45degree", "camera-topview", "camera-front"]
"""
From behind with a map in the corner, from behind, from above: as DeepRacer's tools name them.

`camera-front` is ours: what the car saw, beside the map.
"""
FilmSize = Literal["640x480", "1280x720"]
EpisodeChoice = int | Literal["best", "last"]


class FilmWish(Value):
    """Which episode of a run is to be seen, and how."""

    phase: Phase = "training"
    evaluation_id: str | None = None  # of this evaluation; None: of any, where it is one
    episode: EpisodeChoice = "best"  # the fastest lap, else the furthest way; or a trial's number
    view: FilmView = "camera-pip"
    size: FilmSize = "640x480"
    speed: float = Field(default=1.0, ge=0.1, le=16.0)  # times real time


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
