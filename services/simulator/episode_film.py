"""An episode of the past as a video, from its logged poses: nobody had to look at the time."""

from pathlib import Path

from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput
from libs.common.events import EpisodeEnded, FilmWish
from libs.common.tracks import Track
from services.simulator.film import Film
from services.simulator.race import Race
from services.simulator.shots import shot_of
from services.simulator.vehicle import CONTROL_HZ
from services.simulator.views import Look


def stage(track: Track, spec: RunSpec) -> Race:
    """One car on a run's track, in its world, for `show_step`."""
    return Race(track, spec.race, spec.metadata, [spec.seed], look=Look(spec.world))


def show_step(race: Race, episode: EpisodeEnded, row: int) -> None:
    """Put the car where it was at a row of the episode's steps."""
    steps = episode.columns
    race.pose(
        0,
        front_x_m=steps.x_m[row],
        front_y_m=steps.y_m[row],
        heading_rad=steps.heading_rad[row],
        speed_mps=steps.speed_mps[row],
        progress_pct=steps.progress_pct[row],
        steps=row,
    )


def film_episode(
    file: Path, track: Track, spec: RunSpec, episode: EpisodeEnded, wish: FilmWish
) -> int:
    """
    Write an MP4 of an episode, in the view, size and speed that are wished; how many pictures.

    Things on the road are where the race puts them at its start, since a log has the car alone.

    Raises:
        InvalidInput: the episode has no poses.
        Unavailable: ffmpeg is not installed.
        PlatformError: ffmpeg could not write the file.
    """
    rows = len(episode.columns.x_m)
    if rows == 0:
        raise InvalidInput(f"episode {episode.episode} of {episode.run_id} has no poses")
    width, height = wish.size_px
    race, shot = stage(track, spec), shot_of(wish.view, track, spec.world, width, height)
    with Film(file, width, height, CONTROL_HZ * wish.speed) as film:
        for row in range(rows):
            show_step(race, episode, row)
            film.add(shot(race))
    return rows
