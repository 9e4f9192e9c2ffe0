"""`/metrics` of every service, as Prometheus reads it, and the dashboard that shows it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import stamina
from prometheus_client.parser import text_string_to_metric_families

from libs.common.events import LogWritten, StopRun
from libs.common.objects import ObjectStore
from tests.conftest import Connect
from tests.servers import NatsServer, S3Server
from tests.service_process import ROOT, ServiceProcess

SERVICES = ("trainer", "simulator", "logger", "uploader", "streamer", "submitter")
DASHBOARD = ROOT / "deploy" / "grafana" / "slipstream.json"

wait = stamina.retry(on=AssertionError, attempts=None, timeout=120, wait_initial=0.05, wait_max=0.2)

Stack = dict[str, ServiceProcess]
Start = Callable[..., Stack]


@pytest.fixture
def start(
    nats_server: NatsServer, s3_server: S3Server, objects: ObjectStore, tmp_path: Path
) -> Iterator[Start]:
    """Starts services side by side; they are gone after the test."""
    with ExitStack() as running:

        def start_all(*names: str) -> Stack:
            bucket = objects.bucket
            services = {
                name: ServiceProcess(name, nats_server, s3_server, tmp_path, bucket=bucket)
                for name in names
            }
            for service in services.values():
                service.launch()
                running.callback(service.kill)
            for service in services.values():
                service.wait_until_ready()
            return services

        yield start_all


def scrape(service: ServiceProcess) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Every sample by its name: labels and value."""
    answer = httpx.get(f"{service.url}/metrics").raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain")
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def value(service: ServiceProcess, name: str, **labels: str) -> float:
    """One sample; 0 where it was not counted yet."""
    found = [number for given, number in scrape(service).get(name, []) if given == labels]
    return found[0] if found else 0.0


async def test_numbers_move_with_what_happens(start: Start, connect: Connect) -> None:
    stack = start("logger", "trainer")
    cli = await connect("cli")
    before = value(stack["logger"], "slipstream_journal_events_total")

    await cli.publish(LogWritten(service="cli", instance="1", level="info", message="hello"))
    await cli.publish(StopRun(run_id="nobody"))

    @wait
    def told() -> None:
        assert value(stack["logger"], "slipstream_journal_events_total") > before
        handled = value(
            stack["trainer"], "slipstream_message_handling_seconds_count", type=StopRun.type_name
        )
        assert handled >= 1
        assert scrape(stack["trainer"])["slipstream_runs"]

    told()


@pytest.mark.slow
async def test_prometheus_finds_all_that_the_dashboard_asks_for(start: Start) -> None:
    stack = start(*SERVICES)

    @wait
    def told() -> None:
        groups = httpx.get(f"{stack['streamer'].url}/v1/prometheus").raise_for_status().json()
        assert {group["labels"]["service"] for group in groups} == set(SERVICES)
        for group in groups:
            (target,) = group["targets"]
            assert "slipstream_ready" in httpx.get(f"http://{target}/metrics").text

    told()

    board = json.loads(DASHBOARD.read_text())
    asked = {
        re.sub(r"_(total|sum|count)$", "", name)
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:slipstream|process)_\w+", target["expr"])
    }
    # A family is told from the start, with or without a value.
    told = {name for service in stack.values() for name in _families(service)}
    assert asked - told == set()
    places = {tuple(panel["gridPos"].values()) for panel in board["panels"]}
    assert len(places) == len(board["panels"])


def _families(service: ServiceProcess) -> set[str]:
    text = httpx.get(f"{service.url}/metrics").raise_for_status().text
    return {family.name for family in text_string_to_metric_families(text)}
