"""Compiling the kernels before the first command arrives."""

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import built_in_names, load_built_in
from services.simulator.race import Race


def warm_up() -> None:
    """Compile every kernel by driving one step; later processes find them in the cache."""
    track = load_built_in(built_in_names()[0])
    race = Race(track, RaceSpec(), "5", seeds=(0,), resets=True)
    race.step([0.0], [1.0])
    race.finish_step([0.0])
