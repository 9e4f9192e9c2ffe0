"""Films of past episodes: looked up in the event stream, drawn beside the driving, stored."""

import asyncio
import sys
import tempfile
from pathlib import Path

from libs.common.bus import Bus
from libs.common.deepracer import layout
from libs.common.errors import NotFound, PlatformError
from libs.common.events import (
    EpisodeEnded,
    FilmEpisode,
    FilmFailed,
    FilmMade,
    RunQueued,
    TrackRef,
)
from libs.common.objects import ObjectStore
from libs.common.tracks import built_in_names
from services.simulator.episode_choice import EpisodeChooser
from services.simulator.film_process import FilmOrder, FilmReport
from services.simulator.vehicle import CONTROL_HZ

PROGRAM = "services.simulator.film_process"
PARTS_KEPT = 400
"""Characters of what a process that broke said last."""


class FilmStudio:
    """Makes one film at a time, each in a process of its own."""

    def __init__(self, bus: Bus, objects: ObjectStore) -> None:
        self._bus, self._objects = bus, objects

    async def on_film_episode(self, command: FilmEpisode) -> None:
        """Make a film and tell of it, or of why there is none."""
        try:
            await self._bus.publish(await self._make(command))
        except PlatformError as error:
            await self._bus.publish(
                FilmFailed(
                    id=f"{command.film_id}.failed",
                    run_id=command.run_id,
                    cause=command.id,
                    film_id=command.film_id,
                    wish=command.wish,
                    reason=str(error),
                )
            )

    async def _make(self, command: FilmEpisode) -> FilmMade:
        episode, wish = await self._find(command), command.wish
        evaluation = episode.rollout_id if episode.phase == "evaluation" else None
        key = layout.film(command.run_id, wish.view, episode.episode, evaluation)
        with tempfile.TemporaryDirectory(prefix="slipstream-film-") as folder:
            order = FilmOrder(
                file=Path(folder) / "film.mp4",
                track=await self._bring_track(command.track, episode.track, Path(folder)),
                spec=command.spec,
                episode=episode,
                wish=wish,
            )
            report = await _draw(order)
            stored = await self._objects.put_file(key, order.file)
        return FilmMade(
            id=f"{command.film_id}.made",
            run_id=command.run_id,
            cause=command.id,
            film_id=command.film_id,
            wish=wish,
            phase=episode.phase,
            episode=episode.episode,
            path=key.removeprefix(f"{layout.run_prefix(command.run_id)}/"),
            pictures=report.pictures,
            duration_s=round(report.pictures / CONTROL_HZ / wish.speed, 2),
            artifacts=(stored,),
        )

    async def _find(self, command: FilmEpisode) -> EpisodeEnded:
        chooser = EpisodeChooser(command.run_id, command.wish)
        past = self._bus.follow(command.run_id, classes=[RunQueued, EpisodeEnded], live=False)
        async for received in past:
            event = received.message
            if isinstance(event, RunQueued):  # another run had the name before
                chooser = EpisodeChooser(command.run_id, command.wish)
            elif isinstance(event, EpisodeEnded):
                chooser.look_at(event)
        return chooser.chosen()

    async def _bring_track(self, own: TrackRef, driven: str, folder: Path) -> Path | None:
        """
        The file of the track that was driven, the run's own or another one.

        Raises:
            NotFound: it is neither built in nor in the store any more.
        """
        if driven == own.name and own.source is not None:
            data = await self._objects.get(own.source)
        elif driven in built_in_names():
            return None
        else:
            data = await self._stored_track(driven)
        file = folder / "track.npy"
        await asyncio.to_thread(file.write_bytes, data)
        return file

    async def _stored_track(self, name: str) -> bytes:
        try:
            return await self._objects.get_key(layout.imported_track(name))
        except NotFound as error:
            raise NotFound(f"the track {name!r} that was driven is no longer there") from error


async def _draw(order: FilmOrder) -> FilmReport:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        told, said = await process.communicate(order.model_dump_json().encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = said.decode(errors="replace").strip()[-PARTS_KEPT:]
        raise PlatformError(f"the film's process ended with {process.returncode}: {last}")
    report = FilmReport.model_validate_json(told)
    if report.reason:
        raise PlatformError(report.reason)
    return report
