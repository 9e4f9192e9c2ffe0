"""`run.yaml`: where and how a run folder's car is trained."""

from typing import Any

from pydantic import BaseModel, Field

from libs.common.deepracer.checked import Checked
from libs.common.deepracer.problems import read_model
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.run_spec import (
    TRACK_PATTERN,
    EngineName,
    EvaluationSpec,
    LimitsSpec,
    RaceSpec,
    StartSpec,
)
from libs.common.deepracer.strict import Strict
from libs.common.deepracer.syntax import parse_yaml_mapping
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.names import RUN_ID_PATTERN


class RunFile(Strict):
    """The file's keys, all of them optional; see `RunSpec` for what they mean."""

    name: str | None = Field(default=None, pattern=RUN_ID_PATTERN)
    track: str | None = Field(default=None, pattern=TRACK_PATTERN)
    race: RaceSpec = RaceSpec()
    start: StartSpec | None = None
    engine: EngineName = "native"
    limits: LimitsSpec = LimitsSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    world: WorldSpec = WorldSpec()
    randomisation: RandomisationSpec = RandomisationSpec()
    seed: int = Field(default=0, ge=0, lt=2**31)
    simulators: int = Field(default=1, ge=1, le=64)
    notes: str = ""


def parse_run_file(data: bytes, filename: str = "run.yaml") -> Checked[RunFile]:
    """
    Read the file.

    Raises:
        InvalidInput: every problem, each with the value and what is accepted.
    """
    raw = parse_yaml_mapping(data, filename)
    return Checked(read_model(RunFile, _without_empty_sections(raw), filename))


def _without_empty_sections(raw: dict[str, Any]) -> dict[str, Any]:
    """`race:` with nothing under it means its defaults."""
    return {key: value for key, value in raw.items() if value is not None or key not in _sections()}


def _sections() -> set[str]:
    return {
        name
        for name, field in RunFile.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
