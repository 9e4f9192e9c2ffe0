"""Compiling the kernels before the first command arrives."""

from libs.common.deepracer.run_spec import RaceSpec
from libs.common.tracks import built_in_names, load_built_in
from services.simulator.time_trial import TimeTrial


def warm_up() -> None:
    """Compile every kernel by driving one step; later processes find them in the cache."""
    trial = TimeTrial(load_built_in(built_in_names()[0]), RaceSpec(), version="5", seeds=(0,))
    trial.step([0.0], [1.0])
    trial.finish_step([0.0])
    trial.frame(0)
