"""Pages of a platform that is years old: ten thousand runs, and a run of five hours."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from libs.common.bus import Bus
from tests.e2e.test_live_page import PROGRESS, page, streamer
from tests.long_run import ITERATIONS, LongRun
from tests.seeded_runs import SeededRuns
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess

__all__ = ["page", "streamer"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

RUNS = 10_000
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A bus with ten thousand runs that have ended."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    asyncio.run(_seed(server.url))
    yield server
    server.kill()


async def _seed(url: str) -> None:
    bus = await Bus.connect(url, "trainer")
    await SeededRuns(RUNS).store(bus)
    await bus.close()


@pytest.fixture
async def trainer(
    nats: NatsServer, s3_server: S3Server, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    """Answers for the pages."""
    process = ServiceProcess(
        "trainer", nats, s3_server, tmp_path, bucket="scale-tests", DR_TRAINER_WARM_LEARNERS="0"
    )
    with process:
        yield process


@pytest.fixture
async def run(nats: NatsServer) -> AsyncIterator[LongRun]:
    """Began five hours ago."""
    run = await LongRun.begin(nats.url, f"long-{uuid4().hex[:6]}")
    yield run
    await run.close()


async def test_one_run_is_found_among_ten_thousand(page: Page, trainer: ServiceProcess) -> None:
    await page.goto("/manage")
    rows = page.locator("#runs tr")
    await expect(rows).to_have_count(50, timeout=PATIENCE_MS)
    await page.click("#more")
    await expect(rows).to_have_count(100)
    await page.fill("#find", "old-00042")
    await expect(rows).to_have_count(1)
    await page.goto("/models")
    await page.fill("#find", "old-00042")
    await expect(page.locator("#models tr")).to_have_count(1)
    await page.locator("#models a").first.click()
    await expect(page.locator("#one-title")).to_have_text("old-00042")
    await page.goto("/")
    last = page.locator("#picker option").last
    await expect(last).to_have_text(f"{RUNS - 200:,} older ones: see Runs")


async def test_a_run_of_five_hours_is_whole_after_its_server_was_killed(
    page: Page, run: LongRun, streamer: ServiceProcess
) -> None:
    await run.go_on()
    await page.goto(f"/runs/{run.run_id}")
    await expect(page.locator("#status")).to_have_text("running")
    streamer.kill()  # as the reading goes on
    await expect(page.locator("#connection")).to_contain_text("trying again")
    streamer.start()
    await expect(page.locator("[data-name=Iterations]")).to_have_text(
        f"{ITERATIONS:,}", timeout=PATIENCE_MS
    )
    await expect(page.locator("#connection")).to_have_text("", timeout=PATIENCE_MS)
    await run.go_on(iterations=3)
    await expect(page.locator("[data-name=Iterations]")).to_have_text(f"{ITERATIONS + 3:,}")
    drawn = f"document.querySelector('{PROGRESS} .chart').data[0].x"
    await page.wait_for_function(f"() => {drawn}.at(-1) === {ITERATIONS + 2}")
    iterations = await page.evaluate(drawn)
    assert iterations == sorted(set(iterations))
    await page.goto(f"/classic/{run.run_id}")
    await page.wait_for_function("() => document.getElementById('graph').data?.[0].x.length === 10")
    shown = await page.locator("#graph").evaluate("graph => graph.data[0].x")
    assert shown == list(range(ITERATIONS - 7, ITERATIONS + 3))
