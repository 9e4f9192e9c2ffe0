"""
What is trained: everything a run needs to be repeated, and nothing about where it runs.

A `RunSpec` travels in `RunQueued`, so that the journal alone reproduces a run. It is validated at
the border (`folder.py` reads it from a run folder) and trusted from there on.
"""

from typing import Literal

from pydantic import Field

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.strict import Strict
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.names import RUN_ID_PATTERN

TRACK_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""A track's name is part of keys and addresses: no folders in it."""

CheckpointChoice = Literal["best", "last"] | int
"""`best`, `last` or the number of a checkpoint."""


class RaceSpec(Strict):
    """The rules of the training episodes."""

    type: Literal["time_trial"] = "time_trial"
    direction: Literal["counterclockwise", "clockwise"] = "counterclockwise"
    alternate_direction: bool = False
    start_position: float = Field(default=0.0, ge=0, lt=1)  # fraction of a lap
    change_start_position: bool = True  # +5 % of a lap with every episode
    max_steps: int = Field(default=1000, ge=10, le=10_000)  # camera steps in an episode


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


class EvaluationSpec(Strict):
    """Evaluations of checkpoints while the run goes on, and the default of those asked for."""

    trials: int = Field(default=5, ge=1, le=100)
    during_training: bool = True


class RunSpec(Strict):
    """One training run."""

    name: str = Field(pattern=RUN_ID_PATTERN)
    track: str = Field(pattern=TRACK_PATTERN)
    race: RaceSpec = RaceSpec()
    start: StartSpec | None = None
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
