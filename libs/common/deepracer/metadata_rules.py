"""
The rules of `model_metadata.json` (reference 1.3), told of raw values.

What DeepRacer knows and this version's learner can't train is refused by `support`, not here.
"""

from collections.abc import Mapping
from typing import Any

from libs.common.deepracer.action_space import DISCRETE, SANDBOX_2019, read_action_space
from libs.common.deepracer.checked import Findings, unknown_key

VERSIONS = ("1", "2", "3", "4", "5", "6")

FRONT_CAMERA = "FRONT_FACING_CAMERA"
OLD_FRONT_CAMERA = "OBSERVATION"  # what the one camera was called in 2019
CAMERAS = (FRONT_CAMERA, OLD_FRONT_CAMERA, "LEFT_CAMERA", "STEREO_CAMERAS")
LIDARS = ("LIDAR", "SECTOR_LIDAR", "DISCRETIZED_SECTOR_LIDAR")
SENSORS = (FRONT_CAMERA, *CAMERAS[2:], *LIDARS)

FAST = "FAST"  # ours
NETWORKS = (
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW",
    "DEEP_CONVOLUTIONAL_NETWORK",
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP",
    FAST,
)
ALGORITHMS = ("clipped_ppo", "sac")
SPACE_TYPES = ("discrete", "continuous")

KEYS = (
    "action_space",
    "sensor",
    "neural_network",
    "training_algorithm",
    "action_space_type",
    "version",
    "lidar_config",
)


def with_defaults(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The file with DeepRacer's default version: 2 where a sensor is named, else 1."""
    return {"version": "2" if "sensor" in raw else "1", **raw}


def read(raw: Mapping[str, Any], findings: Findings, *, allow_2019: bool = True) -> dict[str, Any]:
    """The file's values made regular for `ModelMetadata`; what is wrong goes to `findings`."""
    for key in raw:
        if key not in KEYS:
            findings.problem(unknown_key(key, KEYS))
    plain = dict(raw)
    plain["version"] = _read_version(raw.get("version"), findings)
    plain["action_space"] = _read_action_space(raw, plain["version"], allow_2019, findings)
    plain["action_space_type"] = _read_space_type(raw, findings)
    plain["training_algorithm"] = _read_algorithm(raw, plain["action_space_type"], findings)
    if "sensor" in raw:
        plain["sensor"] = _read_sensors(raw["sensor"], findings)
    if raw.get("lidar_config") is not None and LIDARS[-1] not in (plain.get("sensor") or ()):
        findings.warn(f"lidar_config has no effect without {LIDARS[-1]}")
    if "neural_network" in raw:
        _check_network(raw["neural_network"], findings)
    return plain


def _read_version(value: Any, findings: Findings) -> Any:
    version = str(value) if isinstance(value, int | str) else value
    if version not in VERSIONS:
        findings.refuse("version", value, ", ".join(VERSIONS))
    return version


def _read_action_space(
    raw: Mapping[str, Any], version: Any, allow_2019: bool, findings: Findings
) -> Any:
    if "action_space" not in raw:
        findings.problem("action_space is missing; accepted: a list of actions, or two ranges")
        return None
    limits = SANDBOX_2019 if version == "1" and allow_2019 else DISCRETE
    return read_action_space(raw["action_space"], limits, findings)


def _read_space_type(raw: Mapping[str, Any], findings: Findings) -> Any:
    """The named type, or the one that the action space has."""
    form = "continuous" if isinstance(raw.get("action_space"), Mapping) else "discrete"
    named = raw.get("action_space_type", form)
    if named not in SPACE_TYPES:
        findings.refuse("action_space_type", named, " or ".join(SPACE_TYPES))
    elif named != form and "action_space" in raw:
        findings.refuse("action_space_type", named, f"{form!r}, which action_space is")
    return named


def _read_algorithm(raw: Mapping[str, Any], space_type: Any, findings: Findings) -> Any:
    algorithm = raw.get("training_algorithm", "clipped_ppo")
    if algorithm not in ALGORITHMS:
        findings.refuse("training_algorithm", algorithm, " or ".join(ALGORITHMS))
    elif algorithm == "sac" and space_type == "discrete":
        findings.refuse("training_algorithm", algorithm, "clipped_ppo with discrete actions")
    return algorithm


def _read_sensors(value: Any, findings: Findings) -> Any:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        findings.refuse("sensor", value, f'a list of names, as ["{FRONT_CAMERA}"]')
        return value
    names = [_modern_sensor(name, findings) for name in value]
    for name in names:
        if name not in SENSORS:
            findings.refuse("sensor", name, ", ".join(SENSORS))
    if sum(name in CAMERAS for name in names) != 1:
        findings.refuse("sensor", list(value), f"exactly one camera, as {FRONT_CAMERA}")
    if sum(name in LIDARS for name in names) > 1:
        findings.refuse("sensor", list(value), "at most one lidar")
    return names


def _modern_sensor(name: str, findings: Findings) -> str:
    if name.upper() != OLD_FRONT_CAMERA:
        return name
    findings.warn(f"sensor {name!r} is the 2019 name of {FRONT_CAMERA}")
    return FRONT_CAMERA


def _check_network(value: Any, findings: Findings) -> None:
    if value not in NETWORKS:
        findings.refuse("neural_network", value, ", ".join(NETWORKS))
    elif value == FAST:
        findings.warn(
            f"neural_network {FAST!r} is for quick experiments here: the car drives it, "
            "DeepRacer's training does not know it"
        )
