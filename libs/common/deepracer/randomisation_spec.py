"""
What differs from episode to episode, so that a policy learns not to depend on it.

Section `randomisation:` of run.yaml. Each key is a range, `[from, to]`, of which every episode of
every car draws a value of its own; a key that is not there is off.
"""

from typing import Annotated, get_args

from libs.common.deepracer.short_lists import Span, some_of, within
from libs.common.deepracer.strict import Strict
from libs.common.deepracer.world_spec import TextureName

MAX_TEXTURES = 4
"""Each texture is a world of up to 16 MB."""


class RandomisationSpec(Strict):
    """Ranges by what they change; everything is off by default."""

    in_evaluation: bool = False

    # The picture.
    brightness: Annotated[Span, within(0.1, 3)] | None = None  # factor
    contrast: Annotated[Span, within(0.1, 3)] | None = None  # factor
    hue_rad: Annotated[Span, within(-3.1416, 3.1416)] | None = None  # turn of all colours
    saturation: Annotated[Span, within(0, 3)] | None = None  # factor
    noise: Annotated[Span, within(0, 64)] | None = None  # greys, standard deviation
    blur: Annotated[Span, within(0, 1)] | None = None  # share of the neighbours' mean
    textures: Annotated[
        tuple[TextureName, ...], some_of(get_args(TextureName), MAX_TEXTURES)
    ] = ()  # of the road; () is the world's own

    # How the camera sits, added to where it is.
    camera_height_m: Annotated[Span, within(-0.08, 0.2)] | None = None
    camera_ahead_m: Annotated[Span, within(-0.2, 0.2)] | None = None
    camera_pitch_rad: Annotated[Span, within(-0.2, 0.3)] | None = None  # + = down
    camera_yaw_rad: Annotated[Span, within(-0.3, 0.3)] | None = None  # + = left
    camera_fov_rad: Annotated[Span, within(-0.4, 0.6)] | None = None  # across

    # How the car drives.
    friction: Annotated[Span, within(0.1, 3)] | None = None  # factor
    mass: Annotated[Span, within(0.3, 3)] | None = None  # factor
    lag: Annotated[Span, within(0.2, 5)] | None = None  # factor
    action_delay_s: Annotated[Span, within(0, 0.15)] | None = None

    @property
    def varies_picture(self) -> bool:
        """Whether any range changes what cars see."""
        return bool(self.textures) or any(getattr(self, key) is not None for key in PICTURE_KEYS)

    @property
    def varies_dynamics(self) -> bool:
        """Whether any range changes how cars drive."""
        return any(getattr(self, key) is not None for key in DYNAMICS_KEYS)

    def in_phase(self, *, evaluation: bool) -> "RandomisationSpec":
        """What holds in training or in an evaluation, which is nothing unless it is asked for."""
        return RandomisationSpec() if evaluation and not self.in_evaluation else self


DYNAMICS_KEYS = ("friction", "mass", "lag", "action_delay_s")
PICTURE_KEYS = tuple(
    key
    for key in RandomisationSpec.model_fields
    if key not in (*DYNAMICS_KEYS, "in_evaluation", "textures")
)
