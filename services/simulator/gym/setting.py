"""What environments are made of, checked: every keyword of `gymnasium.make`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from libs.common.deepracer.metadata import (
    ModelMetadata,
    check_model_metadata,
    parse_model_metadata,
)
from libs.common.deepracer.problems import read_model
from libs.common.deepracer.race_spec import RaceSpec
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.errors import InvalidInput
from libs.common.tracks import Track
from services.simulator.race import Race
from services.simulator.track_choice import choose_track
from services.simulator.views import Look
from services.simulator.world import World, draw_world

MetadataSource = str | Path | Mapping[str, Any] | ModelMetadata | None
WorldSource = Mapping[str, Any] | WorldSpec | None
RandomisationSource = Mapping[str, Any] | RandomisationSpec | None

STARTER: dict[str, Any] = {
    "action_space": [
        {"steering_angle": angle, "speed": 1.5, "index": index}
        for index, angle in enumerate((-30, -15, 0, 15, 30))
    ],
    "version": "5",
}
"""Action space of the starter model."""


class Setting(NamedTuple):
    """One kind of race on one track; cars are added by `make_race`."""

    track: Track
    look: Look
    world: World
    metadata: ModelMetadata
    race: RaceSpec

    def make_race(self, seeds: Sequence[int], threads: int = 1) -> Race:
        """Cars at the starts of their first episodes. Raises `InvalidInput` for too many."""
        return Race(
            self.track,
            self.race,
            self.metadata,
            seeds,
            look=self.look,
            world=self.world,
            threads=threads,
        )


def read_setting(
    track: str | Path | Track,
    model_metadata: MetadataSource,
    version: str | int | None,
    race: Mapping[str, Any],
    world: WorldSource = None,
    randomisation: RandomisationSource = None,
) -> Setting:
    """
    Check what an environment is asked to be.

    Args:
        track: a built-in track's name, the path of an `.npy` file, or a track.
        model_metadata: its content, a path of it, or None for the starter's five actions.
        version: the generation of dynamics, in place of the one that the metadata name.
        race: fields of `RaceSpec`.
        world: fields of `WorldSpec`, and `look`.
        randomisation: fields of `RandomisationSpec`.

    Raises:
        NotFound: no such track or file.
        InvalidInput: every problem of the metadata, or of the race, the world or the randomisation.
    """
    rules, metadata = read_model(RaceSpec, race), read_metadata(model_metadata, version)
    look = Look(
        read_model(WorldSpec, world or {}, "world"),
        read_model(RandomisationSpec, randomisation or {}, "randomisation"),
    )
    road = track if isinstance(track, Track) else choose_track(str(track))
    return Setting(road, look, draw_world(road, look.world), metadata, rules)


def read_metadata(source: MetadataSource, version: str | int | None = None) -> ModelMetadata:
    """The metadata that `source` holds or names. Raises `InvalidInput` with every problem."""
    metadata = source if isinstance(source, ModelMetadata) else _parse_metadata(source)
    if version is None:
        return metadata
    raw = {**metadata.model_dump(mode="json"), "version": str(version)}
    return check_model_metadata(raw, "version").value


def _parse_metadata(source: str | Path | Mapping[str, Any] | None) -> ModelMetadata:
    if source is None:
        source = STARTER
    if isinstance(source, Mapping):
        return check_model_metadata(source, "model_metadata").value
    file = Path(source)
    if not file.is_file():
        raise InvalidInput(
            f"model_metadata: got {str(source)!r}; accepted: a model_metadata.json that exists"
        )
    return parse_model_metadata(file.read_bytes(), file.name).value
