"""Which services live, from their heartbeats."""

from typing import Any, Literal
from urllib.parse import urlsplit

from libs.common.events import ServiceBeat
from services.streamer.shown import Shown

SILENT_AFTER_S = 5.0
"""Services beat once a second."""
FORGET_AFTER_S = 600.0


class ServiceShown(Shown):
    """One replica of one service."""

    service: str
    instance: str
    state: Literal["ready", "not ready", "silent"]
    started_at_s: float
    reasons: tuple[str, ...]  # why it is not ready
    detail: dict[str, Any]  # what it says of itself


class ServicesShown(Shown):
    """All replicas of all services."""

    services: list[ServiceShown]


class Targets(Shown):
    """What Prometheus reads from one replica, as its discovery over HTTP takes it."""

    targets: list[str]  # host and port
    labels: dict[str, str]


class Heartbeats:
    """The last beat of each replica."""

    def __init__(self) -> None:
        self._beats: dict[tuple[str, str], tuple[ServiceBeat, float]] = {}

    def beat(self, message: ServiceBeat, now_s: float) -> None:
        """Take one heartbeat."""
        self._beats[message.service, message.instance] = (message, now_s)

    def shown(self, now_s: float) -> list[ServiceShown]:
        """Every replica that is alive or missed, by name."""
        self._forget(now_s)
        return [
            _shown(beat, now_s - at_s)
            for _, (beat, at_s) in sorted(self._beats.items(), key=lambda item: item[0])
        ]

    def url_of(self, service: str, now_s: float) -> str | None:
        """Where a replica of a service listens that has just beaten; a ready one, if there is."""
        alive = [
            beat
            for beat, at_s in self._beats.values()
            if beat.service == service and now_s - at_s <= SILENT_AFTER_S
        ]
        return max(alive, key=lambda beat: beat.ready).url if alive else None

    def targets(self, now_s: float) -> list[Targets]:
        """Where Prometheus reads: every replica that is shown."""
        self._forget(now_s)
        return [
            Targets(
                targets=[urlsplit(beat.url).netloc],
                labels={"service": service, "replica": replica},
            )
            for (service, replica), (beat, _) in sorted(self._beats.items())
        ]

    def _forget(self, now_s: float) -> None:
        """A silent replica is missed until another has taken its place, or for ten minutes."""
        for key, (beat, at_s) in list(self._beats.items()):
            silent_s = now_s - at_s
            replaced = silent_s > SILENT_AFTER_S and self._is_replaced(beat)
            if replaced or silent_s > FORGET_AFTER_S:
                del self._beats[key]

    def _is_replaced(self, gone: ServiceBeat) -> bool:
        last_s = gone.at.timestamp()
        return any(
            beat.service == gone.service and beat.started_at_s >= last_s
            for beat, _ in self._beats.values()
        )


def _shown(beat: ServiceBeat, silent_s: float) -> ServiceShown:
    alive: Literal["ready", "not ready"] = "ready" if beat.ready else "not ready"
    return ServiceShown(
        service=beat.service,
        instance=beat.instance,
        state="silent" if silent_s > SILENT_AFTER_S else alive,
        started_at_s=beat.started_at_s,
        reasons=beat.reasons,
        detail=beat.detail,
    )
