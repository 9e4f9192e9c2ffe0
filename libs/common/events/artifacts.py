"""Objects that were stored and mirrored. The uploader follows every `ArtifactEvent`."""

from typing import Literal

from libs.common.events.base import ANY, Event, Telemetry
from libs.common.events.values import CheckpointRef, ObjectRef


class ArtifactEvent(Event):
    """An event that announces objects in the store."""

    artifacts: tuple[ObjectRef, ...] = ()


class LogArchived(ArtifactEvent, producer="logger"):
    """Files made from the journal: simulation traces, metrics, the journal and its closed parts."""

    kind: Literal["simtrace", "metrics", "journal", "segment"]
    episodes: int = 0  # how many the files were made of


class ModelPackaged(ArtifactEvent, producer="submitter"):
    """Archives for the car and for the virtual league were made of a checkpoint."""

    checkpoint: CheckpointRef
    target: str  # where the archives were put beside the store, as file:///…


class ModelExported(ArtifactEvent, producer="trainer"):
    """A checkpoint was written in a format that others run, and compared with its policy."""

    checkpoint: CheckpointRef
    format: str


class ArtifactReplicated(Event, producer="uploader"):
    """An object was copied to the remote store and its size and checksum were verified there."""

    source: ObjectRef
    remote_uri: str


class ReplicationFailed(Event, producer="uploader"):
    """An object could not be copied; it stays in the backlog."""

    source: ObjectRef
    reason: str


class ObjectWanted(Telemetry, producer=ANY):
    """A request to the uploader: bring an evicted object's bytes back into the local store."""

    key: str


class ObjectBrought(Telemetry, producer="uploader"):
    """The answer: the object is there again, or why it is not."""

    key: str
    problem: str = ""


class ReplicationAsked(Telemetry, producer="logger"):
    """A request to the uploader: is this object in the remote store too?"""

    key: str


class ReplicationTold(Telemetry, producer="uploader"):
    """The answer."""

    key: str
    remote: bool  # whether there is a remote store at all
    replicated: bool
