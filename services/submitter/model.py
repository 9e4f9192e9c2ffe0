"""What a packaged model is made of, and the two trees that take it: the car's and the league's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.submitter.checkpoint_list import CheckpointList


@dataclass(frozen=True)
class Model:
    """One checkpoint with all that belongs to it."""

    checkpoint: str  # "13_Step-8044.ckpt"
    number: int
    policy: bytes  # the frozen graph
    metadata: bytes  # model_metadata.json
    checkpoint_files: Mapping[str, bytes]  # by file name: data, index, meta
    checkpoints: CheckpointList = CheckpointList()  # of the run
    # Files of the run by their path in the tree; those that the run has not are left out.
    others: Mapping[str, bytes] = field(default_factory=dict)


def car_tree(model: Model) -> dict[str, bytes]:
    """What the car and DREM take (reference 1.6)."""
    return {"agent/model.pb": model.policy, "model_metadata.json": model.metadata}


def virtual_tree(model: Model) -> dict[str, bytes]:
    """
    The folder that DeepRacer on AWS and deepracer-for-cloud import (reference 1.6 and 6).

    It holds one checkpoint, so that whatever the importer takes, best or last, is this one.
    """
    return {
        **model.others,
        "model_metadata.json": model.metadata,
        "model/model_metadata.json": model.metadata,
        "model/.coach_checkpoint": model.checkpoint.encode(),
        "model/deepracer_checkpoints.json": model.checkpoints.only(model.checkpoint).encode(),
        f"model/model_{model.number}.pb": model.policy,
        **{f"model/{name}": data for name, data in model.checkpoint_files.items()},
    }
