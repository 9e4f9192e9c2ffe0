"""The files of a run as DeepRacer lays them out, written from its specification."""

import json
from typing import Any

import yaml

from libs.common.deepracer import layout
from libs.common.deepracer.run_spec import RaceSpec, RunSpec


def run_files(spec: RunSpec) -> dict[str, bytes]:
    """
    Contents by key in the store. The same specification gives the same bytes.

    The files at the top are a run folder again; those in `model/` and `ip/` are what DeepRacer's
    console reads, with every default filled in.
    """
    metadata = _json(spec.metadata.model_dump(mode="json"))
    every = spec.hyperparameters.model_dump(mode="json", exclude_none=True)
    # With a horizon the number of episodes has no say, and a run folder must not have both.
    idle = {"num_episodes_between_training"} if spec.hyperparameters.horizon else set()
    run_id = spec.name
    return {
        layout.reward_function(run_id): spec.reward_function.encode(),
        layout.run_model_metadata(run_id): metadata,
        layout.model_metadata(run_id): metadata,
        layout.hyperparameters(run_id): _json({k: every[k] for k in every if k not in idle}),
        layout.ip_hyperparameters(run_id): _json(every),
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
        **_road_users(spec.race),
        "MODEL_METADATA_FILE_S3_KEY": layout.run_model_metadata(spec.name),
        "REWARD_FILE_S3_KEY": layout.reward_function(spec.name),
        "SAGEMAKER_SHARED_S3_PREFIX": layout.run_prefix(spec.name),
    }
    return yaml.safe_dump(values, sort_keys=False).encode()


def _road_users(race: RaceSpec) -> dict[str, object]:
    """What else is on the road, in the same spelling."""
    if race.type == "object_avoidance":
        places = [f"{place.position:g},{place.lane}" for place in race.objects.places]
        return {
            "NUMBER_OF_OBSTACLES": str(race.objects.count),
            "IS_OBSTACLE_BOT_CAR": "False",
            "RANDOMIZE_OBSTACLE_LOCATIONS": str(not places),
            **({"OBJECT_POSITIONS": places} if places else {}),
        }
    if race.type == "head_to_bot":
        return {
            "NUMBER_OF_BOT_CARS": str(race.bots.count),
            "RANDOMIZE_BOT_CAR_LOCATIONS": str(race.bots.random_places),
            "BOT_CAR_SPEED": f"{race.bots.speed_high_mps:g}",
            "IS_LANE_CHANGE": str(race.bots.lane_changes),
            "LOWER_LANE_CHANGE_TIME": f"{race.bots.change_every_low_s:g}",
            "UPPER_LANE_CHANGE_TIME": f"{race.bots.change_every_high_s:g}",
        }
    return {}


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
