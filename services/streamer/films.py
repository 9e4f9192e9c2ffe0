"""Films of past episodes: asked for here, made by a simulator, kept with the run's files."""

from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from libs.common.bus import Bus
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import FilmEpisode, FilmFailed, FilmMade, FilmWish, RunQueued, TrackRef
from services.streamer.shown import Shown


class FilmShown(Shown):
    """One film, or one that is being made."""

    id: str
    state: Literal["being made", "made", "failed"]
    at: datetime
    wish: FilmWish
    episode: int | None  # that was found, as its number or its trial
    path: str | None  # inside the run's folder: `/api/models/{run}/files/{path}`
    duration_s: float | None
    size_bytes: int | None
    reason: str | None  # why there is none


class FilmsShown(Shown):
    """The films of a run, the newest first."""

    films: list[FilmShown]


class FilmDesk:
    """Takes wishes and tells what came of them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._wished: dict[str, dict[str, FilmShown]] = {}  # by run and film: not heard of yet

    async def ask(self, run_id: str, wish: FilmWish, spec: RunSpec, track: TrackRef) -> FilmShown:
        """Have a film made; the next simulator that has nothing else to film does it."""
        name = uuid4().hex[:12]
        await self._bus.publish(
            FilmEpisode(id=name, run_id=run_id, film_id=name, wish=wish, spec=spec, track=track)
        )
        shown = FilmShown(
            id=name,
            state="being made",
            at=datetime.now(UTC),
            wish=wish,
            episode=None,
            path=None,
            duration_s=None,
            size_bytes=None,
            reason=None,
        )
        self._wished.setdefault(run_id, {})[name] = shown
        return shown

    async def films(self, run_id: str) -> FilmsShown:
        """All of a run's films, and those that are being made."""
        ended: dict[str, FilmShown] = {}
        past = self._bus.follow(run_id, classes=[RunQueued, FilmMade, FilmFailed], live=False)
        async for received in past:
            event = received.message
            if isinstance(event, RunQueued):  # another run had the name before
                ended.clear()
            elif isinstance(event, FilmMade | FilmFailed):
                ended[event.film_id] = _shown(event)
        wished = self._wished.get(run_id, {})
        for name in wished.keys() & ended.keys():
            del wished[name]
        films = [*ended.values(), *wished.values()]
        return FilmsShown(films=sorted(films, key=lambda film: film.at, reverse=True))


def _shown(event: FilmMade | FilmFailed) -> FilmShown:
    made = event if isinstance(event, FilmMade) else None
    return FilmShown(
        id=event.film_id,
        state="failed" if made is None else "made",
        at=event.at,
        wish=event.wish,
        episode=made.episode if made else None,
        path=made.path if made else None,
        duration_s=made.duration_s if made else None,
        size_bytes=made.artifacts[0].size_bytes if made else None,
        reason=event.reason if isinstance(event, FilmFailed) else None,
    )
