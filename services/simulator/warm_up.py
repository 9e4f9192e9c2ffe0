"""Compiling the kernels before commands need them; later processes find them in the cache."""

from collections.abc import Callable

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.run_spec import RaceSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import built_in_names, load_built_in
from services.simulator.race import Race
from services.simulator.views import Look

WALLS = WorldSpec(surroundings="walls")
LIDAR = ModelMetadata.model_validate(
    {
        "action_space": [{"steering_angle": way, "speed": 1, "index": way} for way in (0, 1)],
        "sensor": ["FRONT_FACING_CAMERA", "LIDAR"],
    }
)


def warm_up() -> None:
    """Compile what a time trial needs in training."""
    _drive()


def _warm_up_races() -> None:
    _drive(resets=True)


def _warm_up_solids() -> None:
    _drive(Look(WALLS))


def _warm_up_lidar() -> None:
    _drive(metadata=LIDAR)


def _warm_up_randomisation() -> None:
    _drive(Look(WALLS, RandomisationSpec(noise=(1, 2))))


LATER: tuple[Callable[[], None], ...] = (
    _warm_up_races,
    _warm_up_solids,
    _warm_up_randomisation,
    _warm_up_lidar,
)
"""Each compiles more of what a run may ask for beside a plain time trial."""


def _drive(
    look: Look | None = None, metadata: ModelMetadata | str = "5", *, resets: bool = False
) -> None:
    """One step of one car. All kinds of races are driven by the same kernels."""
    track = load_built_in(built_in_names()[0])
    race = Race(track, RaceSpec(), metadata, (0,), look=look, resets=resets)
    race.step([0.0], [1.0])
    race.finish_step([0.0])
