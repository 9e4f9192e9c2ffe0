"""
The rules of action spaces, told of raw values so that every broken one is named at once.

Limits: reference 1.2 (what DeepRacer's console accepts). Training folders of 2019 were driven on a
simulator that took far more; theirs are the largest values that were seen in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from libs.common.deepracer.checked import Findings, quote, unknown_key


@dataclass(frozen=True)
class ActionLimits:
    """Bounds of one kind of action space; degrees and m/s."""

    steering_deg: float
    speed_low_mps: float
    speed_high_mps: float
    most_actions: int


DISCRETE = ActionLimits(steering_deg=30, speed_low_mps=0.1, speed_high_mps=4, most_actions=30)
CONTINUOUS = ActionLimits(steering_deg=30, speed_low_mps=0.5, speed_high_mps=4, most_actions=0)
SANDBOX_2019 = ActionLimits(steering_deg=60, speed_low_mps=0, speed_high_mps=14, most_actions=64)

FEWEST_ACTIONS = 2
ROW_KEYS = ("steering_angle", "speed", "index")
RANGE_KEYS = ("steering_angle", "speed")
SHAPES = (
    'a list of {"steering_angle", "speed", "index"}, or '
    '{"steering_angle": {"low", "high"}, "speed": {"low", "high"}}'
)


def read_action_space(raw: Any, limits: ActionLimits, findings: Findings) -> Any:
    """
    The action space with `index` filled in, whatever is wrong with it noted in `findings`.

    `limits` are those of a discrete space; a continuous one has its own.
    """
    if isinstance(raw, Mapping):
        _check_ranges(raw, findings)
        return raw
    if isinstance(raw, list | tuple):
        rows = list(raw)
        _check_rows(rows, limits, findings)
        return _with_indices(rows, findings)
    findings.refuse("action_space", raw, SHAPES)
    return raw


def _check_rows(rows: list[Any], limits: ActionLimits, findings: Findings) -> None:
    if not FEWEST_ACTIONS <= len(rows) <= limits.most_actions:
        accepted = f"{FEWEST_ACTIONS} to {limits.most_actions}"
        findings.problem(f"action_space: got {len(rows)} actions; accepted: {accepted}")
    for position, row in enumerate(rows):
        where = f"action_space[{position}]"
        if not isinstance(row, Mapping):
            findings.refuse(where, row, f"a mapping with the keys {', '.join(ROW_KEYS)}")
            continue
        _check_keys(row, where, ROW_KEYS, findings)
        _check_row(row, where, limits, findings)
    if limits is SANDBOX_2019 and not findings.problems:
        _warn_of_2019(rows, findings)


def _check_row(
    row: Mapping[Any, Any], where: str, limits: ActionLimits, findings: Findings
) -> None:
    low, high = limits.speed_low_mps, limits.speed_high_mps
    steering, speed = row.get("steering_angle"), row.get("speed")
    _check_number(steering, f"{where}.steering_angle", *_symmetric(limits), "degrees", findings)
    _check_number(speed, f"{where}.speed", low, high, "m/s", findings)


def _warn_of_2019(rows: list[Any], findings: Findings) -> None:
    """Say how many actions are beyond what DeepRacer takes today."""
    beyond = [row for row in rows if not _is_of_today(row)]
    if beyond:
        findings.warn(
            f"action_space: {len(beyond)} of {len(rows)} actions, as {quote(dict(beyond[0]))}, "
            f"are accepted in a 2019 file but beyond today's +-{DISCRETE.steering_deg:g} degrees "
            f"and {DISCRETE.speed_low_mps:g} to {DISCRETE.speed_high_mps:g} m/s"
        )


def _is_of_today(row: Mapping[Any, Any]) -> bool:
    steering_fits = abs(row["steering_angle"]) <= DISCRETE.steering_deg
    speed_fits = DISCRETE.speed_low_mps <= row["speed"] <= DISCRETE.speed_high_mps
    return bool(steering_fits and speed_fits)


def _symmetric(limits: ActionLimits) -> tuple[float, float]:
    return -limits.steering_deg, limits.steering_deg


def _check_number(
    value: Any, where: str, low: float, high: float, unit: str, findings: Findings
) -> None:
    """Note a value that is missing, no number, or out of its bounds."""
    accepted = f"a number from {low} to {high} ({unit})"
    if value is None:
        findings.problem(f"{where} is missing; accepted: {accepted}")
    elif not is_number(value) or not low <= value <= high:
        findings.refuse(where, value, accepted)


def is_number(value: Any) -> bool:
    """A number as JSON has it: neither a truth value nor text that looks like one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_keys(
    raw: Mapping[Any, Any], where: str, known: tuple[str, ...], findings: Findings
) -> None:
    for key in raw:
        if key not in known:
            findings.problem(f"{where}: {unknown_key(key, known)}")


def _with_indices(rows: list[Any], findings: Findings) -> list[Any]:
    """The rows with `index` as their position; DeepRacer goes by the position too."""
    given = [row.get("index") if isinstance(row, Mapping) else None for row in rows]
    if any(index is not None for index in given):
        _check_indices(given, findings)
    return [
        {**row, "index": position} if isinstance(row, Mapping) else row
        for position, row in enumerate(rows)
    ]


def _check_indices(given: list[Any], findings: Findings) -> None:
    wanted = list(range(len(given)))
    accepted = f"each of 0 to {len(given) - 1} once"
    for position, index in enumerate(given):
        if not isinstance(index, int) or isinstance(index, bool):
            findings.refuse(f"action_space[{position}].index", index, "a whole number")
    numbers = [index for index in given if isinstance(index, int)]
    for index in sorted({index for index in numbers if numbers.count(index) > 1}):
        findings.problem(f"action_space: index {index} is there twice; accepted: {accepted}")
    missing = sorted(set(wanted) - set(numbers))
    if missing and len(numbers) == len(given):
        indices = quote(given)
        findings.problem(
            f"action_space: no action has index {missing[0]}, got {indices}; accepted: {accepted}"
        )
    elif given != wanted and sorted(numbers) == wanted:
        findings.warn("action_space: the rows are not in the order of `index`; their order counts")


def _check_ranges(raw: Mapping[Any, Any], findings: Findings) -> None:
    """The rules of a continuous action space."""
    _check_keys(raw, "action_space", RANGE_KEYS, findings)
    speed = (CONTINUOUS.speed_low_mps, CONTINUOUS.speed_high_mps)
    _check_range(raw.get("speed"), "action_space.speed", speed, speed, "m/s", findings)
    left, right = (0.0, CONTINUOUS.steering_deg), (-CONTINUOUS.steering_deg, 0.0)
    name = "action_space.steering_angle"
    _check_range(raw.get("steering_angle"), name, right, left, "degrees", findings)


def _check_range(
    raw: Any,
    where: str,
    low_bounds: tuple[float, float],
    high_bounds: tuple[float, float],
    unit: str,
    findings: Findings,
) -> None:
    if not isinstance(raw, Mapping):
        findings.refuse(where, raw, '{"low": number, "high": number}')
        return
    _check_keys(raw, where, ("low", "high"), findings)
    low, high = raw.get("low"), raw.get("high")
    _check_number(low, f"{where}.low", *low_bounds, unit, findings)
    _check_number(high, f"{where}.high", *high_bounds, unit, findings)
    if isinstance(low, int | float) and isinstance(high, int | float) and low >= high:
        findings.refuse(where, dict(raw), "low below high")
