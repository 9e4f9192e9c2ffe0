"""Live and lossy: what viewers see while someone looks, and the heartbeats."""

import base64
from typing import Any, Literal

from pydantic import Base64Bytes, field_validator

from libs.common.events.base import ANY, Event, Telemetry, Value
from libs.common.events.values import PolicyView


class RunWatched(Telemetry, producer="streamer"):
    """Someone looks at this run: for five seconds simulators publish poses and pictures of it."""

    saliency: bool = False  # and wants to know what in a picture weighs most


class CarPose(Value):
    """Where one car is now: x and y in metres, heading in radians."""

    car: int
    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    progress_pct: float
    episode: int


class CarsMoved(Telemetry, producer="simulator"):
    """Poses of all cars of a rollout, at most 10 times a second."""

    rollout_id: str
    cars: tuple[CarPose, ...]


class CameraSeen(Telemetry, producer="simulator"):
    """What the first car's camera saw, as JPEG, at most 10 times a second."""

    car: int
    width: int
    height: int
    jpeg: Base64Bytes  # given as the picture's own bytes; base64 on the wire alone
    policy: PolicyView | None = None  # of this very picture; None where nobody tells

    @field_validator("jpeg", mode="before")
    @classmethod
    def _encode(cls, value: Any) -> Any:
        is_picture = isinstance(value, bytes) and value.startswith(b"\xff\xd8")
        return base64.b64encode(value) if is_picture else value


class ServiceBeat(Telemetry, producer=ANY):
    """Every service's sign of life, once a second."""

    service: str
    instance: str
    ready: bool
    url: str  # of its health server
    started_at_s: float
    detail: dict[str, Any] = {}
    reasons: tuple[str, ...] = ()  # why it is not ready


class LogWritten(Event, producer=ANY):
    """One structured log line of any service."""

    service: str
    instance: str
    level: Literal["debug", "info", "warning", "error", "critical"]
    message: str
    fields: dict[str, Any] = {}


class MessageRejected(Event, producer=ANY):
    """A message was unreadable or could not be handled; it lies in the dead-letter stream."""

    service: str
    rejected_subject: str
    reason: str
    excerpt: str  # the first bytes, as text
