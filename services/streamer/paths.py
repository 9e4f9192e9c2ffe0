"""The ways that the last episodes drove, thinned to what a map can show."""

from collections.abc import Sequence

from libs.common.events import EpisodeEnded, EpisodeStatus, Phase, StepColumns
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
    """One episode on the map; points in metres, with what the car did on the way to each."""

    episode: int
    phase: Phase
    status: EpisodeStatus
    points: list[Point]
    speeds_mps: list[float]
    rewards: list[float]  # of a step


class NewPaths(Shown):
    """What came since the reader's cursor; with `afresh` the reader forgets what it has."""

    afresh: bool
    paths: list[DrivenPath]
    exits: list[Point]


class Paths:
    """The last driven paths, and where cars left the track in many more episodes."""

    def __init__(self) -> None:
        self._episodes: Recent[EpisodeEnded] = Recent(PATHS)
        self._exits: Recent[Point] = Recent(EXITS)

    def append(self, episode: EpisodeEnded) -> None:
        """Keep the path of one more episode; one without steps has none."""
        columns = episode.columns
        if not columns.x_m:
            return
        self._episodes.append(episode)
        if episode.status == "off_track":
            self._exits.append(_point(columns, len(columns.x_m) - 1))

    def since(self, cursor: Cursor | None) -> tuple[NewPaths, Cursor]:
        """What a reader with this cursor lacks, and its cursor afterwards."""
        paths, exits = cursor or (0, 0)
        new = NewPaths(
            afresh=cursor is None,
            # Thinned when they are read: of a long run nearly all are forgotten before.
            paths=[_driven(episode) for episode in self._episodes.since(paths)],
            exits=self._exits.since(exits),
        )
        return new, (self._episodes.count, self._exits.count)


def _driven(episode: EpisodeEnded) -> DrivenPath:
    columns = episode.columns
    kept = thinned(len(columns.x_m))
    return DrivenPath(
        episode=episode.episode,
        phase=episode.phase,
        status=episode.status,
        points=[_point(columns, step) for step in kept],
        speeds_mps=means(columns.speed_mps, kept),
        rewards=means(columns.reward, kept),
    )


def _point(columns: StepColumns, step: int) -> Point:
    """To the centimetre."""
    return round(columns.x_m[step], 2), round(columns.y_m[step], 2)


def thinned(steps: int) -> list[int]:
    """At most `POINTS` of so many steps, the last one among them."""
    every = max(-(-steps // POINTS), 1)
    return list(range((steps - 1) % every, steps, every)) if steps else []


def means(values: Sequence[float], kept: Sequence[int]) -> list[float]:
    """
    Of the values from behind each step that is kept to the next one that is; (kept,).

    Step 0 is the start, which nothing led to: it has the value of the step after it.
    """
    begins = [1, *(i + 1 for i in kept[:-1])]
    spans = [values[begin : end + 1] for begin, end in zip(begins, kept, strict=True)]
    return [round(sum(span) / len(span), 3) if span else _first(values) for span in spans]


def _first(values: Sequence[float]) -> float:
    return values[1] if len(values) > 1 else 0.0
