"""
World names of 2019 and the tracks that they are.

A world is a track with a light, a floor or a slowed clock; all of these drive on the same route.
Sources: reference sandbox-2019, sections 3 and 10 (which routes are byte copies of which).
"""

import re

from libs.common.deepracer.world_spec import WorldSpec

WORLD_TRACKS = {
    "reinvent_wood": "reinvent_base",
    "reinvent_carpet": "reinvent_base",
    "reinvent_concrete": "reinvent_base",
    "reinvent": "reinvent_base",
    "bowtie": "Bowtie_track",
    "virtual_may19_train_track": "London_Loop_Train",
    **{
        name.lower(): name
        for name in (
            "reinvent_base",
            "AWS_track",
            "Bowtie_track",
            "Canada_Training",
            "China_track",
            "H_track",
            "London_Loop_Train",
            "Mexico_track",
            "New_York_Track",
            "Oval_track",
            "Straight_track",
            "Tokyo_Training_track",
            "reInvent2019_track",
            "reInvent2019_wide",
            "canada_race",
        )
    },
}
"""Track names by world name in lower case."""

_VARIANT = re.compile(r"_(low_rtf|lights|mixture|eval|eval_\d+)$", re.IGNORECASE)
"""Endings that change a world's light, floor or clock, and nothing of its route."""


FLOORS = {"wood": "wood", "carpet": "carpet", "concrete": "concrete"}
"""Textures of the field by the ending of a world's name."""


def look_of_world(world: str) -> WorldSpec:
    """The look of a world, where its name tells of a floor."""
    floor = FLOORS.get(_VARIANT.sub("", world).lower().rpartition("_")[2])
    return WorldSpec.model_validate({"field": floor}) if floor else WorldSpec()


def track_of_world(world: str) -> str:
    """The track of a world; a name that is not known is its own track."""
    name = world
    while name.lower() not in WORLD_TRACKS and _VARIANT.search(name):
        name = _VARIANT.sub("", name)
    return WORLD_TRACKS.get(name.lower(), name)
