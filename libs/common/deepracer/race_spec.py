"""What is raced: the kind of race, what else is on the road, and the rules (section `race`)."""

from typing import Any, Literal, Self, TypeVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from libs.common.deepracer.problems import MANY
from libs.common.deepracer.strict import Strict

RaceType = Literal["time_trial", "object_avoidance", "head_to_bot", "head_to_model"]

# DeepRacer's limits of objects (reference 1.2), in fractions of a lap.
FIRST_PLACE, LAST_PLACE = 0.07, 0.90
LEAST_GAP = 0.13
MOST_BODIES = 6
ROUNDING = 1e-9

Spec = TypeVar("Spec", bound=Strict)


def _refuse(spec: Spec, problems: list[str]) -> Spec:
    """The specification, unless there are problems with it."""
    if problems:
        raise PydanticCustomError(MANY, "{problems}", {"problems": problems})
    return spec


class ObjectPlace(Strict):
    """Where a box stands, counted from the start line in the driving direction."""

    position: float = Field(ge=FIRST_PLACE, le=LAST_PLACE)  # fraction of a lap
    lane: Literal[-1, 1]  # -1 the inner lane, 1 the outer one


class ObjectsSpec(Strict):
    """The boxes of object avoidance: at fixed places, or anew for every episode without any."""

    count: int = Field(default=3, ge=1, le=MOST_BODIES)
    places: tuple[ObjectPlace, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _count_the_places(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("places") and data.get("count") is None:
            return {**data, "count": len(data["places"])}
        return data

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        if not self.places:
            return self
        problems = []
        if len(self.places) != self.count:
            problems.append(
                f"got count {self.count} with {len(self.places)} places; accepted: a place for "
                "each, or no count"
            )
        positions = sorted(place.position for place in self.places)
        for before, after in zip(positions, positions[1:], strict=False):
            if after - before < LEAST_GAP - ROUNDING:
                problems.append(
                    f"got places at {before:g} and {after:g}; accepted: {LEAST_GAP} of a lap "
                    "between any two"
                )
        return _refuse(self, problems)


class BotsSpec(Strict):
    """The bot cars of head-to-bot. Defaults are those of deepracer-for-cloud."""

    count: int = Field(default=3, ge=1, le=MOST_BODIES)
    random_places: bool = False  # else evenly spread over the lap ahead of the car
    speed_low_mps: float = Field(default=0.2, ge=0, le=4)
    speed_high_mps: float = Field(default=0.2, ge=0, le=4)  # drawn for every bot and episode
    lane_changes: bool = False
    change_every_low_s: float = Field(default=3.0, ge=0.5, le=60)
    change_every_high_s: float = Field(default=5.0, ge=0.5, le=60)
    change_time_s: float = Field(default=1.0, ge=0.1, le=10)

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        pairs = (("speed_low_mps", "speed_high_mps"), ("change_every_low_s", "change_every_high_s"))
        problems = [
            f"got {low} {getattr(self, low):g} and {high} {getattr(self, high):g}; accepted: the "
            "former no greater than the latter"
            for low, high in pairs
            if getattr(self, low) > getattr(self, high)
        ]
        return _refuse(self, problems)


class RaceSpec(Strict):
    """The race of the training episodes and of evaluations."""

    type: RaceType = "time_trial"
    direction: Literal["counterclockwise", "clockwise"] = "counterclockwise"
    alternate_direction: bool = False
    start_position: float = Field(default=0.0, ge=0, lt=1)  # fraction of a lap
    change_start_position: bool = True  # +5 % of a lap with every episode
    max_steps: int = Field(default=1000, ge=10, le=10_000)  # camera steps in an episode
    objects: ObjectsSpec = ObjectsSpec()  # of object avoidance
    bots: BotsSpec = BotsSpec()  # of head-to-bot
    cars_on_track: int = Field(default=2, ge=2, le=8)  # of head-to-model
    # Of evaluations by DeepRacer's race rules, see `EvaluationSpec.rules`.
    laps: int = Field(default=1, ge=1, le=20)
    off_track_penalty_s: float = Field(default=2.0, ge=0, le=60)
    crash_penalty_s: float = Field(default=5.0, ge=0, le=60)
    max_resets: int = Field(default=100, ge=0, le=10_000)

    @property
    def has_objects(self) -> bool:
        """Whether a reward function is told of objects: boxes or other cars."""
        return self.type != "time_trial"

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        problems = []
        if self.type == "head_to_model" and self.alternate_direction:
            problems.append(
                "got alternate_direction True with head_to_model, whose cars would meet head-on; "
                "accepted: false"
            )
        return _refuse(self, problems)

    @property
    def cars_in_arena(self) -> int:
        """How many learners' cars share one track."""
        return self.cars_on_track if self.type == "head_to_model" else 1
