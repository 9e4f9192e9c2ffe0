"""Events into Grafana Loki: a line each, by its push API."""

import json
from collections import defaultdict
from collections.abc import Sequence

import httpx

from libs.common.events import REGISTRY
from libs.common.log import get_log
from services.logger.forwarding import Forwarded, post

JSON = "application/json"


class Loki:
    """
    A client of `<url>/loki/api/v1/push`.

    Labels are what there are few of: `job`, `service`, `type`, and `level` of log lines. Loki keeps
    a line that comes twice with the same time once.
    """

    name = "loki"

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http, self._log = http, get_log()

    async def send(self, events: Sequence[Forwarded]) -> None:
        """Push the lines; what Loki refuses, as lines that are too old, is told and lost."""
        streams: defaultdict[tuple[tuple[str, str], ...], list[list[str]]] = defaultdict(list)
        for event in events:
            moment_ns = f"{int(event.at.timestamp() * 1e6)}000"
            streams[_labels(event)].append([moment_ns, json.dumps(event.document)])
        body = {
            "streams": [
                {"stream": dict(labels), "values": sorted(values)}
                for labels, values in streams.items()
            ]
        }
        answer = await post(self._http, "/loki/api/v1/push", json.dumps(body).encode(), JSON)
        if answer.is_error:
            self._log.warning("events were not taken", target=self.name, reason=answer.text[:300])


def _labels(event: Forwarded) -> tuple[tuple[str, str], ...]:
    message_class = REGISTRY.get(event.type)
    service = event.document.get("service") or (message_class.producer if message_class else "")
    labels = {"job": "slipstream", "service": service, "type": event.type}
    if level := event.document.get("level"):
        labels["level"] = level
    return tuple(labels.items())
