"""
Driving: the commands to simulators, and what is said between a simulator and a learner.

In training the policy acts with the learner: for every camera step a simulator sends one
`ActionRequest`, its observations as raw bytes behind it, and gets one `ActionReply`. Both are core
NATS request and reply; a request that is sent again (same rollout, attempt and step) gets the same
reply again. In evaluations the simulator runs the exported policy itself.
`libs/common/observations.py` makes those bytes and reads them.
"""

from math import prod
from typing import Annotated, Any, Literal

from pydantic import Field

from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.run_spec import EvaluationRules, RaceSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.events.base import Command, Event, Telemetry, Value
from libs.common.events.values import (
    EpisodeStatus,
    ObjectRef,
    Opponent,
    Phase,
    PolicyView,
    StepColumns,
    TrackRef,
    TrialResult,
)

ROLLOUT_STREAM = "DR_ROLLOUT"


class CollectRollout(Command, producer="trainer", stream=ROLLOUT_STREAM):
    """
    Drive these cars until the learner says stop.

    `rollout_id` names one session with one attempt of the learner. The seeds are the cars': what a
    car does depends on its seed and its actions alone.
    """

    rollout_id: str
    track: TrackRef
    race: RaceSpec
    metadata: ModelMetadata
    reward_function: str
    cars: tuple[int, ...]  # numbers of the cars, the learner's order
    seeds: tuple[int, ...]  # one for each car
    world: WorldSpec = WorldSpec()
    randomisation: RandomisationSpec = RandomisationSpec()


class EvaluatePolicy(Command, producer="trainer", stream=ROLLOUT_STREAM):
    """
    Drive `trials` episodes with an exported policy, greedily, and publish what came of it.

    By the `clean` rules a trial ends where the car leaves the road; by those of a `race` it is put
    back and waits for its penalty. In head-to-model the `opponents` are on the road too, or where
    there are none `race.cars_on_track` - 1 copies of the policy itself.
    """

    evaluation_id: str
    policy: ObjectRef
    checkpoint: str
    track: TrackRef
    race: RaceSpec
    metadata: ModelMetadata
    reward_function: str
    trials: int = Field(ge=1)
    seed: int = 0
    rules: EvaluationRules = "clean"
    opponents: tuple[Opponent, ...] = ()
    world: WorldSpec = WorldSpec()
    randomisation: RandomisationSpec = RandomisationSpec()


class CarStep(Value):
    """What became of one car since the last reply."""

    reward: float = 0.0
    done: bool = False  # the episode ended with this reward; the observation is the next one's
    truncated: bool = False  # it ended by the step cap, not by what the car did
    status: EpisodeStatus = "in_progress"
    episode: int = -1  # the number that the learner gave it
    progress_pct: float = 0.0
    steps: int = 0
    episode_reward: float = 0.0
    lap_s: float | None = None


class SensorArray(Value):
    """The form of one sensor's observations: of a camera (height, width, channels)."""

    name: str  # as in `model_metadata.json`
    shape: tuple[Annotated[int, Field(ge=1, le=65536)], ...]  # for one car
    dtype: Literal["uint8", "float32"]

    @property
    def bytes_a_car(self) -> int:
        """How much of the payload is one car's."""
        return prod(self.shape) * (4 if self.dtype == "float32" else 1)

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {self.shape}"


class ActionRequest(Telemetry, producer="simulator"):
    """
    Observations of all cars of one rollout, as raw bytes behind the JSON.

    The bytes are those of each of the `sensors`, in their order, with nothing in between: an array
    (cars, *shape), the last axis fastest, numbers little-endian.

    `attempt` is a token of the simulator's session: another token for the same rollout means that
    the simulator died, that all its cars begin anew and that their open episodes never ended.
    """

    rollout_id: str
    attempt: str
    step: int  # from 0
    cars: tuple[CarStep, ...]
    height: int  # of the camera's pictures
    width: int
    # None is one grey FRONT_FACING_CAMERA, all that the first simulators sent.
    sensors: tuple[SensorArray, ...] = ()
    explain: bool = False  # somebody looks at the first car: tell what the policy makes of it
    saliency: bool = False  # and which parts of its picture weighed most


class ActionReply(Telemetry, producer="trainer"):
    """
    One action for each car, or the end of the rollout.

    Of a discrete action space `actions` are indices; of a continuous one `commands` are steering
    (radians, + = left) and speed (m/s).

    `episodes` are the numbers of the episodes the cars drive now: the learner gives a new number
    to a car whose last step was `done`. A number is used once in a run, and none is left out.
    """

    rollout_id: str
    step: int
    actions: tuple[int, ...] = ()
    commands: tuple[tuple[float, float], ...] = ()
    episodes: tuple[int, ...] = ()
    iteration: int = 0
    stop: bool = False
    wait: bool = False  # the learner is busy with this very request: ask again
    policy: PolicyView | None = None  # of the first car, where the request asked for it


class EpisodeEnded(Event, producer="simulator"):
    """
    One finished episode with all its steps. Published before the learner hears of it.

    Its `id` is made of run and number (`training_id`, `trial_id`), so that an episode is in the
    journal once even if a simulator died between telling the bus and telling the learner.
    """

    phase: Phase
    episode: int  # from 0; in evaluations the trial
    iteration: int
    rollout_id: str  # or the evaluation's id
    car: int
    checkpoint: str | None = None  # of an evaluation
    track: str
    track_length_m: float
    status: EpisodeStatus
    reward: float
    progress_pct: float
    steps: int
    lap_s: float | None = None  # of laps the mean
    started_at_s: float  # wall-clock, epoch seconds
    columns: StepColumns
    lap_times_s: tuple[float, ...] = ()  # of each completed lap, penalties included
    off_track_count: int = 0
    crash_count: int = 0
    immobilized_count: int = 0
    reversed_count: int = 0
    reset_count: int = 0  # how often the car was put back on the road

    @staticmethod
    def training_id(run_id: str, episode: int) -> str:
        """The event id of a training episode."""
        return f"{run_id}.training.{episode}"

    @staticmethod
    def trial_id(evaluation_id: str, trial: int) -> str:
        """The event id of one trial of an evaluation."""
        return f"{evaluation_id}.trial.{trial}"

    @staticmethod
    def number_in(event_id: str) -> int | None:
        """The number of the training episode that an event id names; None for a trial."""
        _, phase, number = event_id.rsplit(".", 2)
        return int(number) if phase == "training" else None


class EvaluationEnded(Event, producer="simulator"):
    """All trials of an evaluation are over."""

    evaluation_id: str
    checkpoint: str
    track: str
    trials: tuple[TrialResult, ...]


class EvaluationFailed(Event, producer="simulator"):
    """An evaluation could not be driven, as where the policy's file can't be read."""

    evaluation_id: str
    checkpoint: str
    reason: str


class RewardFailed(Event, producer="simulator"):
    """The reward function broke its contract; the run ends, the simulator lives on."""

    rollout_id: str
    episode: int
    step: int
    reason: str  # one sentence
    line: int | None = None  # in the reward function's source
    traceback: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
