"""`model_metadata.json`: action space, sensors, network. Angles are degrees, as in the file."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from libs.common.deepracer import metadata_rules
from libs.common.deepracer.checked import Checked, Findings
from libs.common.deepracer.problems import MANY, note_errors
from libs.common.deepracer.strict import Strict
from libs.common.deepracer.syntax import parse_json_object
from libs.common.errors import InvalidInput

Sensor = Literal[
    "FRONT_FACING_CAMERA",
    "LEFT_CAMERA",
    "STEREO_CAMERAS",
    "LIDAR",
    "SECTOR_LIDAR",
    "DISCRETIZED_SECTOR_LIDAR",
]
NeuralNetwork = Literal[
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
    "DEEP_CONVOLUTIONAL_NETWORK",
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP",
    "FAST",
]


class DiscreteAction(Strict):
    """One row of a discrete action space."""

    steering_angle: float  # degrees, + = left
    speed: float  # m/s
    index: int

    @property
    def steering_rad(self) -> float:
        """The steering angle in radians, + = left."""
        return math.radians(self.steering_angle)


class ContinuousRange(Strict):
    """The bounds of one continuous action."""

    low: float
    high: float


class ContinuousActionSpace(Strict):
    """Speed in m/s and steering angle in degrees, each between its bounds."""

    speed: ContinuousRange
    steering_angle: ContinuousRange


class LidarConfig(Strict):
    """How `DISCRETIZED_SECTOR_LIDAR` condenses the lidar's 64 rays; defaults as DeepRacer's."""

    num_sectors: Literal[1, 2, 4, 8, 16, 32, 64] = 8  # each has the same number of rays
    num_values_per_sector: int = Field(default=8, ge=1, le=100)
    clipping_dist: float = Field(default=2.0, ge=0.15, le=12)  # metres


class ModelMetadata(Strict):
    """The whole of `model_metadata.json`, every rule of it kept."""

    action_space: tuple[DiscreteAction, ...] | ContinuousActionSpace
    sensor: tuple[Sensor, ...] = ("FRONT_FACING_CAMERA",)
    neural_network: NeuralNetwork = "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"
    training_algorithm: Literal["clipped_ppo", "sac"] = "clipped_ppo"
    action_space_type: Literal["discrete", "continuous"] = "discrete"
    version: str = "5"
    lidar_config: LidarConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _keep_the_rules(cls, data: Any) -> Any:
        """Everything that is wrong becomes one error, so that nothing hides behind another."""
        if not isinstance(data, Mapping):
            return data
        findings = Findings()
        plain = metadata_rules.read({"version": "5", **_plain(data)}, findings)
        if findings.problems:
            context = {"problems": findings.problems}
            raise PydanticCustomError(MANY, "many problems: {problems}", context)
        return plain


def parse_model_metadata(
    data: bytes, filename: str = "model_metadata.json", *, allow_2019: bool = True
) -> Checked[ModelMetadata]:
    """
    Read the file.

    Keys that are absent get DeepRacer's defaults (reference 1.3). With `allow_2019` a file that
    holds an action space and nothing else may go beyond today's limits, with a warning.

    Raises:
        InvalidInput: every problem, each with the value and what is accepted.
    """
    return check_model_metadata(parse_json_object(data, filename), filename, allow_2019=allow_2019)


def check_model_metadata(
    raw: Mapping[str, Any], where: str, *, allow_2019: bool = True
) -> Checked[ModelMetadata]:
    """As `parse_model_metadata`, for JSON that is read already."""
    findings = Findings(where)
    plain = metadata_rules.read(metadata_rules.with_defaults(raw), findings, allow_2019=allow_2019)
    findings.raise_problems()
    try:
        return findings.checked(ModelMetadata.model_validate(plain))
    except ValidationError as error:
        note_errors(error, ModelMetadata, findings)
        raise InvalidInput(findings.problems) from error


def _plain(data: Mapping[Any, Any]) -> dict[Any, Any]:
    """The values with models among them turned back into mappings."""
    space = data.get("action_space")
    if isinstance(space, BaseModel):
        return {**data, "action_space": space.model_dump()}
    if isinstance(space, list | tuple):
        rows = [row.model_dump() if isinstance(row, BaseModel) else row for row in space]
        return {**data, "action_space": rows}
    return dict(data)
