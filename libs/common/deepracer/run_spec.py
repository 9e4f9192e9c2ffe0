"""
What is trained: everything a run needs to be repeated, and nothing about where it runs.

A `RunSpec` travels in `RunQueued`, so that the journal alone reproduces a run. It is validated at
the border (`folder.py` reads it from a run folder) and trusted from there on.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from libs.common.deepracer.hyperparameters import Hyperparameters, fit_preset
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.problems import MANY
from libs.common.deepracer.race_spec import RaceSpec as RaceSpec
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.strict import Strict
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.names import RUN_ID_PATTERN

TRACK_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""A track's name is part of keys and addresses: no folders in it."""

CheckpointChoice = Literal["best", "last"] | int
"""`best`, `last` or the number of a checkpoint."""

EngineName = Literal["native", "coach"]
"""Who learns: the learner of this project, or stock rl-coach in an environment of its own."""

BestBy = Literal["progress", "completion", "reward", "lap_time"]
"""What tells checkpoints apart that completed as many of their trials."""

SECONDS_IN_HOUR = 3600

EvaluationRules = Literal["clean", "race"]
"""Whether a trial ends where the car leaves the road, or goes on with a penalty, as in races."""


class StartSpec(Strict):
    """Train on from another run's checkpoint."""

    run: str = Field(pattern=RUN_ID_PATTERN)
    checkpoint: CheckpointChoice = "best"


class LimitsSpec(Strict):
    """The run ends at the first of these that is reached; None is no limit."""

    max_seconds: float | None = Field(default=3600, gt=0)  # wall-clock of learning
    max_episodes: int | None = Field(default=None, ge=1)
    max_env_steps: int | None = Field(default=None, ge=1)
    max_iterations: int | None = Field(default=None, ge=1)
    # Ends when this many evaluations in a row completed every trial; 0 = never.
    target_evaluations: int = Field(default=0, ge=0)
    # Ends when this share of the training episodes was completed in each of the last iterations.
    target_completion: float | None = Field(default=None, gt=0, le=1)
    target_iterations: int = Field(default=3, ge=1, le=1000)
    # Ends when for so many iterations neither training nor evaluations had a better mean progress.
    plateau_iterations: int | None = Field(default=None, ge=1)
    # Ends when this is spent, in the currency of the price.
    budget: float | None = Field(default=None, gt=0)
    price_per_hour: float | None = Field(default=None, gt=0)  # of learning, wall-clock

    @property
    def affordable_s(self) -> float | None:
        """Seconds of learning that the budget pays for; None where there is none."""
        if self.budget is None or self.price_per_hour is None:
            return None
        return self.budget / self.price_per_hour * SECONDS_IN_HOUR

    @model_validator(mode="after")
    def _price_the_budget(self) -> Self:
        if (self.budget is None) != (self.price_per_hour is None):
            problem = (
                f"got budget {self.budget} with price_per_hour {self.price_per_hour}; accepted: "
                "both or neither"
            )
            raise PydanticCustomError(MANY, "{problems}", {"problems": [problem]})
        return self


class EvaluationSpec(Strict):
    """Evaluations of checkpoints while the run goes on, and the default of those asked for."""

    trials: int = Field(default=5, ge=1, le=100)
    during_training: bool = True
    best_by: BestBy = "progress"  # after the share of completed trials
    most_share: float = Field(default=0.1, gt=0, le=1)  # of the run's wall-clock, in training
    rules: EvaluationRules = "clean"  # of a checkpoint on trial, and of those asked for


class RunSpec(Strict):
    """One training run."""

    name: str = Field(pattern=RUN_ID_PATTERN)
    track: str = Field(pattern=TRACK_PATTERN)
    race: RaceSpec = RaceSpec()
    start: StartSpec | None = None
    engine: EngineName = "native"
    limits: LimitsSpec = LimitsSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    world: WorldSpec = WorldSpec()
    randomisation: RandomisationSpec = RandomisationSpec()
    seed: int = Field(default=0, ge=0, lt=2**31)
    simulators: int = Field(default=1, ge=1, le=64)  # each drives cars / simulators of the cars
    metadata: ModelMetadata
    hyperparameters: Hyperparameters = Hyperparameters()
    reward_function: str  # Python source
    notes: str = ""

    @model_validator(mode="before")
    @classmethod
    def _fit_the_preset(cls, data: Any) -> Any:
        """A preset has values of its own for some models."""
        if not isinstance(data, Mapping) or not isinstance(data.get("hyperparameters"), Mapping):
            return data
        try:
            metadata = ModelMetadata.model_validate(data.get("metadata"))
        except ValidationError:
            return data  # which is told of the field itself
        return {**data, "hyperparameters": fit_preset(data["hyperparameters"], metadata)}

    @model_validator(mode="after")
    def _fill_the_tracks(self) -> Self:
        """Learners that share a track come in whole tracks."""
        together, cars = self.race.cars_in_arena, self.hyperparameters.cars
        if cars % together:
            problem = (
                f"cars: got {cars} for tracks that race.cars_on_track {together} share; accepted: "
                f"a multiple of {together}"
            )
            raise PydanticCustomError(MANY, "{problems}", {"problems": [problem]})
        return self

    @property
    def workers(self) -> int:
        """Simulators that share the cars; cars on one track stay together."""
        return min(self.simulators, self.hyperparameters.cars // self.race.cars_in_arena)
