"""The JetStream streams, computed from the registry of messages."""

from typing import Any

from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from libs.common.events import REGISTRY, Command, Event

DEDUPLICATION_S = 600.0
"""How long the server remembers message ids; longer than any outage that a publish outlives."""

DEAD_STREAM = "DR_DEAD"


def stream_configs(event_stream_max_bytes: int) -> list[StreamConfig]:
    queues = {
        stream: sorted({f"dr.cmd.{c.noun}.>" for c in REGISTRY.values() if c.stream == stream})
        for stream in {c.stream for c in REGISTRY.values() if issubclass(c, Command)}
    }
    shared: dict[str, Any] = {
        "storage": StorageType.FILE,
        "duplicate_window": DEDUPLICATION_S,
    }
    return [
        *(
            StreamConfig(
                name=stream, subjects=subjects, retention=RetentionPolicy.WORK_QUEUE, **shared
            )
            for stream, subjects in queues.items()
        ),
        StreamConfig(
            name=Event.stream,
            subjects=["dr.evt.>"],
            max_bytes=event_stream_max_bytes,
            discard=DiscardPolicy.OLD,
            **shared,
        ),
        StreamConfig(
            name=DEAD_STREAM,
            subjects=["dr.dead.>"],
            max_bytes=64 * 1024**2,
            discard=DiscardPolicy.OLD,
            **shared,
        ),
    ]
