"""
`hyperparameters.json`: DeepRacer's keys with their published defaults, and ours beside them.

Where each acts is told in `docs/training.md`. Two ways to collect experience exist, and they
exclude each other: by episodes, as DeepRacer does (`num_episodes_between_training`), and by a
fixed horizon of steps for each car (`horizon`), as the presets `sprint` and `race` do.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from libs.common.deepracer.checked import Checked, Findings
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.problems import MANY, note_errors
from libs.common.deepracer.strict import Strict
from libs.common.deepracer.syntax import parse_json_object
from libs.common.errors import InvalidInput

PRESETS: dict[str, dict[str, Any]] = {
    # The official defaults (reference 1.2, column simapp); they are the fields' own.
    "deepracer": {},
    # Reliable laps soonest: few cars, short rollouts, many small updates.
    "sprint": {
        "batch_size": 64,
        "num_epochs": 2,
        "lr": 5e-4,
        "lr_decay": 0.2,
        "decay_steps": 10_000,
        "discount_factor": 0.95,
        "beta_entropy": 0.01,
        "cars": 8,
        "horizon": 16,
        "updates_per_iteration": 4,
        "gae_lambda": 0.95,
        "clip_coef": 0.2,
        "max_grad_norm": 1.0,
        "reward_scale": 0.1,
        "policy_averaging": 0.85,
        "sac_alpha": 0.002,
        "replay_ratio": 0.5,
        "warm_up_steps": 512,
        "tau": 0.05,
    },
    # The fastest laps in an hour: many cars all round the track, sight of what a bend costs.
    "race": {
        "batch_size": 128,
        "num_epochs": 2,
        "lr": 5e-4,
        "discount_factor": 0.98,
        "beta_entropy": 0.005,
        "decay_steps": 600_000,
        "entropy_decay": 0.05,
        "lr_decay": 0.4,
        "cars": 48,
        "horizon": 32,
        "updates_per_iteration": 4,
        "gae_lambda": 0.95,
        "clip_coef": 0.2,
        "max_grad_norm": 1.0,
        "reward_scale": 0.1,
        "policy_averaging": 0.9,
    },
}
"""What `"preset"` stands for: the defaults of the keys that are not given."""

FIRST_PROMPT_VERSION = 5
"""Of model metadata: the first whose car answers at once."""
LATE = "late"
"""The trait of models that learn by PPO with the dynamics of 2022 (version 1 to 4)."""

LATE_FAST = "FAST with late dynamics"
"""The trait of those of them that have our small network."""

TRAIT_PRESETS: dict[tuple[str, str], dict[str, Any]] = {
    # A small network takes far larger steps: a quarter of the steps to reliable laps.
    ("sprint", "FAST"): {"lr": 2e-3},
    # What an action leads to shows later, and one picture does not tell how the wheels stand: look
    # further ahead, average over more, and settle.
    ("sprint", LATE): {
        "batch_size": 128,
        "lr_decay": 0.1,
        "decay_steps": 15_000,
        "discount_factor": 0.99,
        "horizon": 32,
        "updates_per_iteration": 4,
        "policy_averaging": 0.9,
    },
    # Twice as much practice before it is tried, with more cars for steadier steps: it is cheap.
    ("sprint", LATE_FAST): {"cars": 16, "updates_per_iteration": 8},
    # It was tuned without a decay.
    ("sprint", "sac"): {"lr_decay": 1.0, "decay_steps": None},
}
"""
What differs from a preset, by its name and a trait of the model: its network, its algorithm,
`LATE` or `LATE_FAST`. Of several traits the later in this table goes before the earlier.
"""

CONSOLE_RANGES: dict[str, tuple[float, float]] = {
    "batch_size": (32, 512),
    "num_epochs": (3, 10),
    "lr": (1e-8, 1e-3),
    "num_episodes_between_training": (1, 100),
}
"""What DeepRacer itself accepts where we accept more (reference 1.2)."""

NO_EFFECT = ("lr_decay_rate", "lr_decay_steps", "dump_mp4", "dump_gifs")
"""Keys of 2019 that are taken and have no effect."""


class Hyperparameters(Strict):
    """All values that steer the learner."""

    input_keys: ClassVar[tuple[str, ...]] = ("preset",)

    # DeepRacer's
    batch_size: int = Field(default=64, ge=1, le=4096)
    num_epochs: int = Field(default=10, ge=1, le=100)
    lr: float = Field(default=3e-4, ge=1e-8, le=1e-2)
    beta_entropy: float = Field(default=0.01, ge=0, le=1)
    discount_factor: float = Field(default=0.999, ge=0, le=1)
    loss_type: Literal["huber", "mean squared error"] = "mean squared error"
    num_episodes_between_training: int = Field(default=20, ge=1, le=1000)
    exploration_type: Literal["categorical", "e-greedy"] = "categorical"
    e_greedy_value: float = Field(default=0.05, ge=0, le=1)
    epsilon_steps: int = Field(default=10_000, ge=1)
    stack_size: int = Field(default=1, ge=1)  # DeepRacer always stacks one frame: ignored
    term_cond_max_episodes: int = Field(default=100_000, ge=1)
    term_cond_avg_score: float = 100_000.0
    sac_alpha: float = Field(default=0.2, ge=0, le=1)
    # ours
    cars: int = Field(default=8, ge=1, le=256)
    horizon: int | None = Field(default=None, ge=1, le=4096)  # steps of each car between updates
    updates_per_iteration: int = Field(default=8, ge=1)  # with a horizon: what an iteration is
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    clip_coef: float = Field(default=0.2, gt=0, le=1)
    max_grad_norm: float | None = Field(default=None, gt=0)
    reward_scale: float = Field(default=1.0, gt=0)
    policy_averaging: float = Field(default=0.0, ge=0, lt=1)  # of the exported policy
    target_kl: float | None = Field(default=None, gt=0)  # nats; ends an update's epochs
    decay_steps: int | None = Field(default=None, ge=1)  # of all cars, for both that follow
    lr_decay: float = Field(default=1.0, gt=0, le=1)  # the share of it that is left in the end
    entropy_decay: float = Field(default=1.0, ge=0, le=1)
    precision: Literal["fp32", "bfloat16"] = "fp32"
    tensorboard: bool = False  # event files beside the checkpoints
    # ours, for SAC
    replay_size: int = Field(default=20_000, ge=1, le=1_000_000)  # steps of all cars
    replay_ratio: float = Field(default=1.0, gt=0, le=64)  # minibatches for each of them
    warm_up_steps: int = Field(default=1_000, ge=1)  # of all cars, before the first update
    tau: float = Field(default=0.01, gt=0, le=1)  # of the target network, each minibatch

    @model_validator(mode="before")
    @classmethod
    def _resolve_preset(cls, data: Any) -> Any:
        """A preset is a way to write values down; only the values are kept."""
        if not isinstance(data, Mapping) or "preset" not in data:
            return data
        given = {key: value for key, value in data.items() if key != "preset"}
        findings = Findings()
        _check_preset(data["preset"], findings)
        if findings.problems:
            context = {"problems": findings.problems}
            raise PydanticCustomError(MANY, "{problems}", context)
        return {**_preset_for(data["preset"], given), **given}

    @model_validator(mode="after")
    def _check_decay(self) -> "Hyperparameters":
        """What decays needs to know until when."""
        decays = self.lr_decay < 1 or self.entropy_decay < 1
        if decays and self.decay_steps is None:
            given = f"lr_decay {self.lr_decay:g} and entropy_decay {self.entropy_decay:g}"
            raise PydanticCustomError(
                MANY,
                "{problems}",
                {"problems": [f"decay_steps: missing beside {given}; accepted: 1 or more steps"]},
            )
        return self

    @field_validator("loss_type", "exploration_type", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        """2019 files have "Mean squared error"."""
        return value.lower() if isinstance(value, str) else value


def parse_hyperparameters(
    data: bytes, filename: str = "hyperparameters.json", metadata: ModelMetadata | None = None
) -> Checked[Hyperparameters]:
    """
    Read the file; numbers may be text, and all may lie under a key `hyperparameters`.

    `metadata` are the model's, for whose traits a preset may have values of its own.

    Raises:
        InvalidInput: every problem, each with the value and what is accepted.
    """
    raw = parse_json_object(data, filename)
    if list(raw) == ["hyperparameters"] and isinstance(raw["hyperparameters"], dict):
        raw = raw["hyperparameters"]
    return check_hyperparameters(raw, filename, metadata)


def check_hyperparameters(
    raw: Mapping[str, Any], where: str, metadata: ModelMetadata | None = None
) -> Checked[Hyperparameters]:
    """As `parse_hyperparameters`, for values that are read already."""
    findings = Findings(where)
    given = _without_idle_keys(raw, findings)
    if not _check_preset(given.get("preset", "deepracer"), findings):
        del given["preset"]  # the other keys are read all the same
    _check_exclusion(given, findings)
    try:
        value = Hyperparameters.model_validate(fit_preset(given, metadata))
    except ValidationError as error:
        note_errors(error, Hyperparameters, findings)
        raise InvalidInput(findings.problems) from error
    findings.raise_problems()
    value = _fit_batch(value, given, findings)
    _warn_of_console(value, given, findings)
    return findings.checked(value)


def fit_preset(given: Mapping[str, Any], metadata: ModelMetadata | None) -> dict[str, Any]:
    """What is given; where it names a preset, with what this differs in for that model."""
    if metadata is None or "preset" not in given:
        return dict(given)
    traits: set[str] = {metadata.neural_network, metadata.training_algorithm}
    late = float(metadata.version) < FIRST_PROMPT_VERSION
    if late and metadata.training_algorithm == "clipped_ppo":
        traits.add(LATE)
        if metadata.neural_network == "FAST":
            traits.add(LATE_FAST)
    fitted: dict[str, Any] = {}
    for (preset, trait), values in TRAIT_PRESETS.items():
        if preset == given["preset"] and trait in traits:
            fitted |= values
    if "num_episodes_between_training" in given:
        fitted.pop("horizon", None)  # who asks for episodes does not get a horizon
    return {**fitted, **given}


def _fit_batch(
    value: Hyperparameters, given: Mapping[str, Any], findings: Findings
) -> Hyperparameters:
    """A batch that nobody asked for is no larger than what few cars, or a short horizon, drive."""
    if value.horizon is None or "batch_size" in given:
        return value
    steps = value.cars * value.horizon
    if value.batch_size <= steps:
        return value
    fitting = 1 << (steps.bit_length() - 1)
    findings.warn(
        f"batch_size is {fitting} instead of {value.batch_size}: {value.cars} cars drive {steps} "
        f"steps over a horizon of {value.horizon}"
    )
    return value.model_copy(update={"batch_size": fitting})


def _check_preset(name: Any, findings: Findings) -> bool:
    known = isinstance(name, str) and name in PRESETS
    if not known:
        findings.refuse("preset", name, " or ".join(repr(preset) for preset in PRESETS))
    return known


def _preset_for(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The preset's values; who asks for episodes does not get its horizon."""
    by_episodes = "num_episodes_between_training" in given
    return {
        key: value for key, value in PRESETS[name].items() if not (key == "horizon" and by_episodes)
    }


def _without_idle_keys(raw: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    for key in NO_EFFECT:
        if key in raw:
            findings.warn(f"{key} is accepted and has no effect")
    return {key: value for key, value in raw.items() if key not in NO_EFFECT}


def _check_exclusion(given: Mapping[str, Any], findings: Findings) -> None:
    if given.get("horizon") is not None and "num_episodes_between_training" in given:
        findings.problem(
            f"horizon: got {given['horizon']!r} beside num_episodes_between_training "
            f"{given['num_episodes_between_training']!r}; accepted: one of the two, "
            "they exclude each other"
        )


def _warn_of_console(value: Hyperparameters, given: Mapping[str, Any], findings: Findings) -> None:
    for key in given.keys() & CONSOLE_RANGES:
        (low, high), number = CONSOLE_RANGES[key], getattr(value, key)
        if not low <= number <= high:
            findings.warn(f"{key} is {number}: accepted here, DeepRacer takes {low:g} to {high:g}")
