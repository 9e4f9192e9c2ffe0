"""What two specifications differ in, setting by setting: for comparisons and for lineages."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any, Literal

from pydantic import BaseModel, Field

from libs.common.deepracer.run_spec import RunSpec

Area = Literal[
    "reward function",
    "action space",
    "network",
    "hyperparameters",
    "track",
    "race",
    "start",
    "limits",
    "evaluation",
    "world",
    "other",
]

AREAS: Mapping[str, Area] = {
    "reward_function": "reward function",
    "metadata.action_space": "action space",
    "metadata.action_space_type": "action space",
    "metadata": "network",
    "hyperparameters": "hyperparameters",
    "track": "track",
    "race": "race",
    "start": "start",
    "limits": "limits",
    "evaluation": "evaluation",
    "world": "world",
    "randomisation": "world",
}
"""By the longest path that a setting's own begins with."""

LEFT_OUT = ("name",)
NAMED_ELSEWHERE = ("name", "start")
CONTEXT = 2
"""Unchanged lines round a changed one."""


class Difference(BaseModel):
    """One setting that is not the same in all runs."""

    setting: str = Field(description="Its path, as `hyperparameters.lr`")
    area: Area
    values: list[str | None] = Field(
        description="In the order of the runs, lists with a line for each item; null: not set"
    )
    diff: list[str] = Field(
        description="Of two values with several lines: those that changed, as `diff -u` shows them"
    )


def settings_of(spec: RunSpec) -> dict[str, str]:
    """Every setting that is set, as text by its path."""
    return dict(_flat(spec.model_dump(mode="json"), ""))


def differences(
    specs: Sequence[RunSpec], left_out: Sequence[str] = LEFT_OUT
) -> tuple[list[Difference], int]:
    """
    The settings that differ, by area, and how many were compared.

    Args:
        left_out: settings, or sections of them, that are not compared.
    """
    maps = [settings_of(spec) for spec in specs]
    settings = [
        setting
        for setting in dict.fromkeys(setting for each in maps for setting in each)
        if setting.partition(".")[0] not in left_out
    ]
    differing = [name for name in settings if len({each.get(name) for each in maps}) > 1]
    order = list(dict.fromkeys(AREAS.values()))
    found = [_difference(name, [each.get(name) for each in maps]) for name in differing]
    found.sort(key=lambda each: order.index(each.area) if each.area in order else len(order))
    return found, len(settings)


def _difference(setting: str, values: list[str | None]) -> Difference:
    return Difference(setting=setting, area=_area(setting), values=values, diff=_diff(values))


def _area(setting: str) -> Area:
    path = setting
    while path:
        if path in AREAS:
            return AREAS[path]
        path = path.rpartition(".")[0]
    return "other"


def _diff(values: Sequence[str | None]) -> list[str]:
    """Without the heads of files; nothing where lines would not help."""
    if len(values) != 2 or not any("\n" in (value or "") for value in values):
        return []
    before, after = ((value or "").splitlines() for value in values)
    return list(unified_diff(before, after, lineterm="", n=CONTEXT))[2:]


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif value is not None:
        yield path, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "\n".join(json.dumps(item, ensure_ascii=False) for item in value)
    return json.dumps(value, ensure_ascii=False)
