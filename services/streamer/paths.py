"""The ways that the last episodes drove, thinned to what a map can show."""

from collections.abc import Sequence

from libs.common.events import EpisodeEnded, EpisodeStatus, Phase
from services.streamer.recent import Recent
from services.streamer.shown import Shown

PATHS = 12
EXITS = 200
POINTS = 64
"""At most so many points of one path; a lap of 17 m has then one every 0.3 m."""

Point = tuple[float, float]
Cursor = tuple[int, int]
"""How many paths and how many exits a viewer has seen."""


class DrivenPath(Shown):
    """One episode on the map; points in metres."""

    episode: int
    phase: Phase
    status: EpisodeStatus
    points: list[Point]


class NewPaths(Shown):
    """What came since the reader's cursor; with `afresh` the reader forgets what it has."""

    afresh: bool
    paths: list[DrivenPath]
    exits: list[Point]


class Paths:
    """The last driven paths, and where cars left the track in many more episodes."""

    def __init__(self) -> None:
        self._paths: Recent[DrivenPath] = Recent(PATHS)
        self._exits: Recent[Point] = Recent(EXITS)

    def append(self, episode: EpisodeEnded) -> None:
        """Keep the path of one more episode; one without steps has none."""
        points = thinned(episode.columns.x_m, episode.columns.y_m)
        if not points:
            return
        self._paths.append(
            DrivenPath(
                episode=episode.episode, phase=episode.phase, status=episode.status, points=points
            )
        )
        if episode.status == "off_track":
            self._exits.append(points[-1])

    def since(self, cursor: Cursor | None) -> tuple[NewPaths, Cursor]:
        """What a reader with this cursor lacks, and its cursor afterwards."""
        paths, exits = cursor or (0, 0)
        new = NewPaths(
            afresh=cursor is None, paths=self._paths.since(paths), exits=self._exits.since(exits)
        )
        return new, (self._paths.count, self._exits.count)


def thinned(x_m: Sequence[float], y_m: Sequence[float]) -> list[Point]:
    """At most `POINTS` points to the centimetre, the last one among them."""
    step = max(-(-len(x_m) // POINTS), 1)
    kept = range((len(x_m) - 1) % step, len(x_m), step) if x_m else range(0)
    return [(round(x_m[i], 2), round(y_m[i], 2)) for i in kept]
