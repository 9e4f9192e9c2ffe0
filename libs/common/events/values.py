"""Values that several messages carry: pointers to objects, checkpoints, tracks, step columns."""

import base64
from typing import Any, Literal

from pydantic import Field, field_serializer, field_validator

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.events.base import Value

Phase = Literal["training", "evaluation"]

EpisodeStatus = Literal[
    "lap_complete", "off_track", "immobilized", "reversed", "crashed", "time_up", "in_progress"
]
"""DeepRacer's raw status names (reference, section 1.4)."""


class ObjectRef(Value):
    """A pointer to an object in the store; the object itself never travels on the bus."""

    uri: str  # s3://bucket/key
    sha256: str
    size_bytes: int


class TrackRef(Value):
    """A track by name; `source` is None for a built-in one, else its stored `.npy` file."""

    name: str
    source: ObjectRef | None = None


class Opponent(Value):
    """Another exported policy in a head-to-model evaluation."""

    policy: ObjectRef
    checkpoint: str
    metadata: ModelMetadata


class CheckpointRef(Value):
    """One checkpoint of a run with every file that belongs to it."""

    name: str  # "13_Step-8044.ckpt", as DeepRacer names it
    number: int
    env_steps: int
    files: tuple[ObjectRef, ...]  # the TF1 checkpoint: data, index, meta
    policy: ObjectRef  # model_N.pb, the frozen policy


class StepColumns(Value):
    """
    The steps of one episode as columns of equal length, oldest first.

    Lengths in metres, angles in radians (+ = left), times in simulated seconds since the episode
    began. Row 0 is the start (`reward` 0), as DeepRacer's traces have it.
    """

    x_m: tuple[float, ...] = ()  # a point 0.14 m ahead of the model's origin, as DeepRacer logs
    y_m: tuple[float, ...] = ()
    heading_rad: tuple[float, ...] = ()
    steering_rad: tuple[float, ...] = ()  # commanded
    speed_mps: tuple[float, ...] = ()  # commanded
    action: tuple[int, ...] = ()  # index; -1 in row 0 and for continuous actions
    reward: tuple[float, ...] = ()
    progress_pct: tuple[float, ...] = ()
    closest_waypoint: tuple[int, ...] = ()
    all_wheels_on_track: tuple[bool, ...] = ()
    sim_time_s: tuple[float, ...] = ()
    pause_s: tuple[float, ...] = ()  # of penalties waited so far; none where there was none
    crashes: tuple[int, ...] = ()  # so far; none where there was none


class ActionOdds(Value):
    """One discrete action and how likely the policy was to take it."""

    steering_rad: float  # + = left
    speed_mps: float
    probability: float


class CommandRange(Value):
    """
    One number of a continuous action: steering in radians (+ = left), or speed in m/s.

    `lower` and `upper` are one standard deviation from the mean, as they would be driven: two
    thirds of what the policy draws lie between them.
    """

    least: float  # of the action space
    most: float
    mean: float
    lower: float
    upper: float
    taken: float


class SaliencyGrid(Value):
    """
    How much each part of a picture weighed in the likeliest action, row by row from the top left.

    A cell is of 0 to 255, the weightiest; on the wire the cells are base64.
    """

    rows: int = Field(ge=1, le=255)
    columns: int = Field(ge=1, le=255)
    cells: bytes

    @field_validator("cells", mode="before")
    @classmethod
    def _decode(cls, value: Any) -> Any:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value

    @field_serializer("cells")
    def _encode(self, value: bytes) -> str:
        return base64.b64encode(value).decode()


class PolicyView(Value):
    """What a policy made of what a car saw, and what the car was told then."""

    actions: tuple[ActionOdds, ...] = ()  # of a discrete action space, by index
    taken: int | None = None  # the index of the action that was taken
    commands: tuple[CommandRange, ...] = ()  # of a continuous one: steering, then speed
    saliency: SaliencyGrid | None = None  # only where somebody asked for it


class TrialResult(Value):
    """One evaluation episode."""

    trial: int = Field(ge=0)
    status: EpisodeStatus
    progress_pct: float
    steps: int
    lap_s: float | None = None  # of laps the mean; None where not all were completed
    reward: float = 0.0
    lap_times_s: tuple[float, ...] = ()  # of each completed lap, penalties included
    off_track_count: int = 0
    crash_count: int = 0
    immobilized_count: int = 0
    reversed_count: int = 0
    reset_count: int = 0  # how often the car was put back on the road

    @property
    def clean(self) -> bool:
        """Whether all laps were completed without ever being put back."""
        return self.lap_s is not None and self.reset_count == 0
