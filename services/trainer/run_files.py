"""The files of a run as DeepRacer lays them out, written from its specification."""

import json
from typing import Any

import yaml

from libs.common.deepracer import layout
from libs.common.deepracer.run_spec import RunSpec


def run_files(spec: RunSpec) -> dict[str, bytes]:
    """
    Contents by key in the store. The same specification gives the same bytes.

    Every default is filled in, so that the files say what the learner does; DeepRacer's console
    reads the metadata beside the checkpoints and the hyperparameters in `ip/`, its community tools
    read both at the top.
    """
    metadata = _json(spec.metadata.model_dump(mode="json"))
    hyperparameters = _json(spec.hyperparameters.model_dump(mode="json"))
    run_id = spec.name
    return {
        layout.reward_function(run_id): spec.reward_function.encode(),
        layout.run_model_metadata(run_id): metadata,
        layout.model_metadata(run_id): metadata,
        layout.hyperparameters(run_id): hyperparameters,
        layout.ip_hyperparameters(run_id): hyperparameters,
        layout.training_params(run_id): training_params(spec),
    }


def training_params(spec: RunSpec) -> bytes:
    """`training_params.yaml`, in the spelling of DeepRacer's simulation (reference 1.6 and 7)."""
    values = {
        "JOB_TYPE": "TRAINING",
        "WORLD_NAME": spec.track,
        "RACE_TYPE": spec.race.type.upper(),
        "TRACK_DIRECTION_CLOCKWISE": spec.race.direction == "clockwise",
        "ALTERNATE_DRIVING_DIRECTION": spec.race.alternate_direction,
        "CHANGE_START_POSITION": spec.race.change_start_position,
        "MODEL_METADATA_FILE_S3_KEY": layout.run_model_metadata(spec.name),
        "REWARD_FILE_S3_KEY": layout.reward_function(spec.name),
        "SAGEMAKER_SHARED_S3_PREFIX": layout.run_prefix(spec.name),
    }
    return yaml.safe_dump(values, sort_keys=False).encode()


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
