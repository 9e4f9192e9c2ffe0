"""
What a world looks like: floor, road, lines, light and what stands around them.

Section `world:` of run.yaml. Lengths are metres, colours red, green and blue from 0 to 255.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from libs.common.deepracer.checked import Findings
from libs.common.deepracer.problems import MANY
from libs.common.deepracer.short_lists import Colour, Rgb
from libs.common.deepracer.strict import Strict

__all__ = ["LOOKS", "LightSpec", "Rgb", "TextureName", "WorldSpec"]

TextureName = Literal["asphalt", "carpet", "concrete", "wood", "grass", "plain"]
"""The textures that there are; the simulator's code makes them."""

Surroundings = Literal["none", "walls", "skyline"]

LOOKS: dict[str, dict[str, Any]] = {
    "plain": {},
    # Measured on camera stills of the official simulator's championship worlds.
    "championship": {
        "road": "carpet",
        "road_colour": (41, 54, 71),
        "field_colour": (104, 148, 113),
        "border_width_m": 0.077,
        "border_shift_m": -0.02,
        "border_colour": (211, 211, 207),
        "dash_width_m": 0.027,
        "dash_length_m": 0.05,
        "dash_period_m": 0.1,
        "dash_colour": (213, 129, 2),
        "sky_colour": (178, 178, 178),
        "surroundings": "walls",
        "wall_distance_m": 0.8,
        "wall_height_m": 1.06,
        "wall_colour": (15, 29, 32),
    },
}
"""Values that belong together, by the name that `look` asks for; `plain` is the default."""


class LightSpec(Strict):
    """How the scene is lit."""

    brightness: float = Field(default=1.0, ge=0.1, le=3)  # of every colour but the sky's
    warmth: float = Field(default=0.0, ge=-1, le=1)  # to yellow above 0, to blue below
    direction_rad: float = Field(default=2.2, ge=-math.pi, le=math.pi)  # where it comes from


class WorldSpec(Strict):
    """The look of a world; a colour of null is the texture's own."""

    input_keys: ClassVar[tuple[str, ...]] = ("look",)

    road: TextureName = "asphalt"
    road_colour: Colour | None = None
    field: TextureName = "grass"
    field_colour: Colour | None = None
    border_width_m: float = Field(default=0.05, ge=0, le=0.5)
    border_shift_m: float = Field(default=0.0, ge=-0.25, le=0.25)  # outwards, off the road
    border_colour: Colour = (228, 226, 222)
    dash_width_m: float = Field(default=0.04, ge=0, le=0.5)  # 0 is no centre line
    dash_length_m: float = Field(default=0.15, gt=0, le=5)
    dash_period_m: float = Field(default=0.30, ge=0.05, le=20)
    dash_colour: Colour = (216, 138, 4)
    sky_colour: Colour = (22, 33, 36)
    light: LightSpec = LightSpec()
    surroundings: Surroundings = "none"
    wall_distance_m: float = Field(default=1.5, ge=0.2, le=20)  # from the outermost border
    wall_height_m: float = Field(default=2.0, ge=0.1, le=20)  # a skyline's tallest house
    wall_colour: Colour = (90, 96, 104)

    @model_validator(mode="before")
    @classmethod
    def _resolve_look(cls, data: Any) -> Any:
        """A look is a way to write values down; only the values are kept."""
        if not isinstance(data, Mapping) or "look" not in data:
            return data
        look, given = data["look"], {key: value for key, value in data.items() if key != "look"}
        if not isinstance(look, str) or look not in LOOKS:
            findings = Findings()
            findings.refuse("look", look, " or ".join(map(repr, LOOKS)))
            raise PydanticCustomError(MANY, "{problems}", {"problems": findings.problems})
        return {**LOOKS[look], **given}
