"""Every hyperparameter with its range and what it is where it is not given: for forms."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from libs.common.deepracer.hyperparameters import CONSOLE_RANGES, Hyperparameters, fit_preset
from libs.common.deepracer.metadata import ModelMetadata, NeuralNetwork

Preset = Literal["deepracer", "sprint", "race"]
Algorithm = Literal["clipped_ppo", "sac"]
Version = Literal["1", "2", "3", "4", "5", "6"]
Kind = Literal["integer", "number", "choice", "switch"]
KINDS: dict[str, Kind] = {"integer": "integer", "number": "number", "boolean": "switch"}
SAC_ONLY = frozenset({"sac_alpha", "replay_size", "replay_ratio", "warm_up_steps", "tau"})
"""What PPO does not ask for."""


class Knob(BaseModel):
    """One hyperparameter."""

    name: str
    kind: Kind
    least: float | None
    most: float | None
    above: float | None = Field(description="It has to be larger than this")
    below: float | None = Field(description="It has to be smaller than this")
    choices: list[str]
    value: Any = Field(description="Where it is not given; null: there is none")
    console: tuple[float, float] | None = Field(
        description="What DeepRacer itself accepts, where we accept more"
    )


def knobs(
    preset: Preset, network: NeuralNetwork, algorithm: Algorithm, version: Version
) -> list[Knob]:
    """Those that the algorithm asks for, as a preset has them for such a model."""
    model = ModelMetadata.model_construct(
        action_space=(), neural_network=network, training_algorithm=algorithm, version=version
    )
    values = Hyperparameters.model_validate(fit_preset({"preset": preset}, model))
    schema = Hyperparameters.model_json_schema()["properties"]
    names = [name for name in schema if algorithm == "sac" or name not in SAC_ONLY]
    return [_knob(name, schema[name], getattr(values, name)) for name in names]


def _knob(name: str, schema: dict[str, Any], value: Any) -> Knob:
    """A value that may be absent has its range in the first of two forms."""
    form = schema["anyOf"][0] if "anyOf" in schema else schema
    return Knob(
        name=name,
        kind="choice" if "enum" in form else KINDS[form["type"]],
        least=form.get("minimum"),
        most=form.get("maximum"),
        above=form.get("exclusiveMinimum"),
        below=form.get("exclusiveMaximum"),
        choices=form.get("enum", []),
        value=value,
        console=CONSOLE_RANGES.get(name),
    )
