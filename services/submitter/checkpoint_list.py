"""`deepracer_checkpoints.json`: which checkpoint is the best and which the last (reference 1.4)."""

from pydantic import BaseModel, ConfigDict, ValidationError

from libs.common.errors import InvalidInput


class CheckpointEntry(BaseModel):
    """One of the two checkpoints; a metric of -1 says that it was not evaluated."""

    model_config = ConfigDict(frozen=True)

    name: str
    avg_eval_metric: float = -1.0
    time_stamp: float = 0.0


class CheckpointList(BaseModel):
    """The document."""

    model_config = ConfigDict(frozen=True)

    best_checkpoint: CheckpointEntry | None = None
    last_checkpoint: CheckpointEntry | None = None

    def only(self, name: str) -> "CheckpointList":
        """The document of a model that has this checkpoint alone: it is the best and the last."""
        entry = CheckpointEntry(name=name)
        if self.best_checkpoint is not None and self.best_checkpoint.name == name:
            entry = self.best_checkpoint
        return CheckpointList(best_checkpoint=entry, last_checkpoint=entry)

    def encode(self) -> bytes:
        """The file's bytes."""
        return self.model_dump_json().encode()


def parse_checkpoint_list(data: bytes) -> CheckpointList:
    """Read the document. Raises `InvalidInput`."""
    try:
        return CheckpointList.model_validate_json(data)
    except ValidationError as error:
        raise InvalidInput(f"not a deepracer_checkpoints.json: {data[:80]!r}") from error
