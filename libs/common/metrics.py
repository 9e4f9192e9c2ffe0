"""`/metrics` of every service, for Prometheus."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from libs.common.bus.tally import Tally


class Measured(Protocol):
    """What a service tells of itself."""

    ready: bool
    loop_lag_s: float

    def measures(self) -> Iterable[Metric]:
        """What is its own."""


@dataclass(frozen=True, eq=False)
class ServiceCollector(Collector):
    """Reads a service when Prometheus asks: nothing is computed before."""

    service: Measured
    tally: Tally

    def collect(self) -> Iterator[Metric]:
        """Every family, the bus's and the service's."""
        yield gauge("slipstream_ready", "1 while the service is ready.", self.service.ready)
        yield gauge(
            "slipstream_event_loop_lag_seconds",
            "How late the event loop woke for its last heartbeat.",
            self.service.loop_lag_s,
        )
        yield from _bus_measures(self.tally)
        yield from self.service.measures()


def add_metrics(app: FastAPI, service: Measured, tally: Tally) -> None:
    """Serve the registry of this service: its own measures and those of its process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(ServiceCollector(service, tally))

    # On the event loop: what is counted there does not change while it is read.
    @app.get("/metrics", tags=["health"], summary="Prometheus metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def gauge(name: str, told: str, value: float) -> Metric:
    """One number that rises and falls."""
    return GaugeMetricFamily(name, told, value=float(value))


def counter(name: str, told: str, value: float) -> Metric:
    """One number that only grows; `_total` is added to its name."""
    return CounterMetricFamily(name, told, value=float(value))


def gauges(name: str, told: str, label: str, values: Mapping[str, float]) -> Metric:
    """A number for each value of a label."""
    family = GaugeMetricFamily(name, told, labels=[label])
    for value, number in values.items():
        family.add_metric([value], float(number))
    return family


def counters(name: str, told: str, label: str, values: Mapping[str, float]) -> Metric:
    """As `gauges`, of numbers that only grow."""
    family = CounterMetricFamily(name, told, labels=[label])
    for value, number in values.items():
        family.add_metric([value], float(number))
    return family


def _bus_measures(tally: Tally) -> Iterator[Metric]:
    yield counters(
        "slipstream_messages_sent", "Messages and requests sent over the bus.", "type", tally.sent
    )
    handling = SummaryMetricFamily(
        "slipstream_message_handling_seconds",
        "Seconds in handlers of messages, waiting included.",
        labels=["type"],
    )
    for kind, count in tally.handled.items():
        handling.add_metric([kind], count, tally.spent_s[kind])
    yield handling
    yield counters(
        "slipstream_messages_failed", "Messages whose handler raised.", "type", tally.failed
    )
    yield counter(
        "slipstream_messages_rejected",
        "Messages that were unreadable or given up.",
        tally.rejected,
    )
    yield counter(
        "slipstream_bus_reconnects", "Times the bus was lost and found again.", tally.reconnects
    )
