"""The live page in a real headless Chromium: from an event on the bus to what a person sees."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Page, async_playwright, expect

from libs.common.bus import Bus
from libs.common.events import RunWatched
from libs.common.tasks import end
from tests.conftest import Connect
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess
from tests.staged_run import StagedRun

pytestmark = pytest.mark.browser

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 20_000
PROGRESS = "[data-curve=progress_pct]"

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def streamer(
    nats: NatsServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """One for all tests here, each with runs of its own."""
    state = tmp_path_factory.mktemp("streamer")
    with ServiceProcess("streamer", nats, s3_server, state, bucket="page-tests") as process:
        yield process


class Seen:
    """What a page did that nobody should see: errors, and requests to other hosts."""

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.problems.append(f"asked for {url}")


@pytest.fixture
async def page(streamer: ServiceProcess) -> AsyncIterator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        context = await browser.new_context(base_url=streamer.url)
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        seen = Seen(page)
        yield page
        await browser.close()
    assert seen.problems == []


@pytest.fixture
async def run(nats: NatsServer) -> AsyncIterator[StagedRun]:
    trainer = await Bus.connect(nats.url, "trainer")
    simulator = await Bus.connect(nats.url, "simulator")
    yield StagedRun(trainer, simulator, f"run-{uuid4().hex[:6]}")
    await trainer.close()
    await simulator.close()


async def expect_points(page: Page, count: int) -> None:
    """Wait until the progress curve is drawn with so many points."""
    await expect(page.locator(PROGRESS)).to_have_attribute("data-points", str(count))


def value_of(page: Page, card: str) -> Any:
    return page.locator(f"#{card} .value")


async def test_without_a_run_the_page_says_what_to_do_and_shows_the_first_one_by_itself(
    page: Page, nats_server: NatsServer, s3_server: S3Server, tmp_path: Path, connect: Connect
) -> None:
    run = StagedRun(await connect("trainer"), await connect("simulator"))
    streamer = ServiceProcess("streamer", nats_server, s3_server, tmp_path, bucket="page-tests")
    with streamer:
        await page.goto(streamer.url)
        await expect(page.locator("#empty-title")).to_have_text("No run yet")
        await expect(page.locator("#empty-command")).to_have_text("make train")
        await run.queue()
        await expect(page.locator("#status")).to_have_text("queued")
        await expect(page.locator("#empty")).to_be_hidden()
        await run.start()
        await expect(page.locator("#status")).to_have_text("running")


async def test_figures_curves_and_the_evaluation_follow_the_events(
    page: Page, run: StagedRun
) -> None:
    await run.queue()
    await run.start()
    await page.goto(f"/runs/{run.run_id}")
    await expect(value_of(page, "fastest-lap")).to_have_text("–")
    await run.drive(progress_pct=62.0)
    await expect(value_of(page, "furthest")).to_have_text("62.0%")
    await expect(value_of(page, "fastest-lap")).to_have_text("–")
    await expect(page.locator("#fastest-pace")).to_contain_text("extrapolated, episode 0")
    await run.drive(progress_pct=100.0, lap_s=9.25)
    await expect(value_of(page, "fastest-lap")).to_have_text("9.25s")
    await expect(page.locator("#fastest-lap .note").first).to_have_text("episode 1")
    await run.iterate(2)
    await run.iterate(2)
    await expect_points(page, 2)
    await expect(page.locator("[data-name=Iterations]")).to_have_text("2")
    await expect(page.locator("[data-name=Episodes]")).to_have_text("6")
    checkpoint = await run.save_checkpoint(best=True)
    await run.evaluate(checkpoint, (100.0, 55.0))
    await expect(page.locator("#evaluation-note")).to_have_text(
        f"1 of 2 laps · {checkpoint.removesuffix('.ckpt')}"
    )
    await expect(page.locator("#trials .failed")).to_have_text("55.0 %off track")
    await run.end(reason="5 of 5 laps")
    await expect(page.locator("#status")).to_contain_text("finished5 of 5 laps")
    await expect(page.locator("#uses li")).to_have_count(5)
    await expect(page.locator("#uses li").nth(2)).to_have_text(re.compile(r"straight.*33\.3 %"))


async def test_cars_move_over_the_track_and_the_camera_shows_what_the_first_one_sees(
    page: Page, run: StagedRun
) -> None:
    await run.queue()
    await run.start()
    await page.goto(f"/runs/{run.run_id}")
    await expect(page.locator("#camera-empty")).to_contain_text("appears when a simulator drives")
    await expect(page.locator("#map .road")).to_be_attached()
    driving = asyncio.create_task(run.keep_moving())
    cars = page.locator("#map .car")
    await expect(cars).to_have_count(8)
    await expect(page.locator("#camera")).to_be_visible()
    first = page.locator("#map [data-car='rollout-1/000']")
    pose = await first.get_attribute("transform")
    picture = await page.locator("#camera").get_attribute("src")
    await expect(first).not_to_have_attribute("transform", str(pose))
    await expect(page.locator("#camera")).not_to_have_attribute("src", str(picture))
    await end(driving)
    await expect(cars).to_have_count(0)  # nobody tells of them any more
    await expect(page.locator("#camera-note")).to_have_text("last picture; nobody drives now")


async def test_the_policy_tells_how_likely_each_action_is_and_what_weighs_most(
    page: Page, run: StagedRun
) -> None:
    wishes: asyncio.Queue[RunWatched] = asyncio.Queue()
    await run.simulator.watch(RunWatched, wishes.put)
    await run.queue()
    await run.start()
    await page.goto(f"/runs/{run.run_id}")
    driving = asyncio.create_task(run.keep_moving())
    await expect(page.locator("#odds .chance")).to_have_count(5)
    await expect(page.locator("#odds .taken")).to_have_attribute("title", "straight, 1.5 m/s")
    await expect(page.locator("#policy-note")).to_have_text(
        "Likeliest: straight at 1.5 m/s, 60.0 %"
    )
    await page.check("#see-saliency")
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while not (await wishes.get()).saliency:
            pass
    canvas = page.locator("#saliency")
    await expect(canvas).to_be_visible()
    shown = await canvas.evaluate("c => c.getContext('2d').getImageData(5, 4, 1, 1).data[3]")
    assert shown > 100
    await end(driving)


async def test_trails_are_coloured_by_speed_and_what_cannot_be_done_says_why(
    page: Page, run: StagedRun
) -> None:
    await run.queue()
    await run.start()
    await run.drive(progress_pct=62.0)
    await page.goto(f"/runs/{run.run_id}")
    await expect(page.locator("#map .path")).to_have_count(1)
    await page.select_option("#trail", "speed")
    await expect(page.locator("#map .path.scaled").first).to_be_attached()
    await expect(page.locator("#scale-most")).to_contain_text("m/s")
    await page.select_option("#trail", "outcome")
    await expect(page.locator("#map .path.scaled")).to_have_count(0)
    resume = page.locator("#deeds [data-deed=resume]")
    await expect(resume).to_be_disabled()
    await expect(resume).to_have_attribute("title", re.compile("goes on"))
    await page.click("#deeds [data-deed=stop]")
    await expect(page.locator(".doing .said")).to_contain_text("no trainer lives")


async def test_the_classic_page_has_the_cards_of_the_sandbox(page: Page, run: StagedRun) -> None:
    await run.queue()
    await run.start()
    await run.drive(progress_pct=100.0, lap_s=9.25)
    for _ in range(12):
        await run.iterate(1)
    await page.goto(f"/classic/{run.run_id}")
    driving = asyncio.create_task(run.keep_moving())
    await expect(page.locator("#names")).to_contain_text(f"Model Name{run.run_id}")
    await expect(page.locator("#peaks")).to_contain_text("Fastest Lap9.25sepisode 0")
    await expect(page.locator("#session")).to_contain_text("Training Iterations12")
    await expect(page.locator("#map .car")).to_have_count(8)
    await expect(page.locator("#camera")).to_be_visible()
    iterations = await page.locator("#graph").evaluate("graph => graph.data[0].x")
    assert iterations == list(range(2, 12))
    await end(driving)


async def test_a_service_tells_more_of_itself(page: Page, run: StagedRun) -> None:
    await run.queue()
    await page.goto(f"/runs/{run.run_id}")
    line = page.locator("#services li[data-service=streamer]").first
    await line.locator("summary").click()
    await expect(line).to_contain_text("watched runs")


async def test_the_page_comes_back_after_the_streamer_restarts_and_doubles_no_point(
    page: Page, run: StagedRun, streamer: ServiceProcess
) -> None:
    await run.queue()
    await run.start()
    for _ in range(3):
        await run.iterate(2)
    await page.goto(f"/runs/{run.run_id}")
    await expect_points(page, 3)
    assert streamer.end() == 0
    await expect(page.locator("#connection")).to_contain_text("trying again")
    await run.iterate(2)
    streamer.start()
    await expect(page.locator("#connection")).to_have_text("")
    await run.iterate(2)
    await expect_points(page, 5)
    iterations = await page.locator(f"{PROGRESS} .chart").evaluate("chart => chart.data[0].x")
    assert iterations == [0, 1, 2, 3, 4]
    await expect(page.locator("#map .path")).to_have_count(10)


async def test_a_run_is_picked_with_the_keyboard_and_has_an_address_of_its_own(
    page: Page, run: StagedRun
) -> None:
    other = StagedRun(run.trainer, run.simulator, f"{run.run_id}-b")
    await run.queue()
    await run.start()
    await other.queue()
    await page.goto(f"/runs/{run.run_id}")
    await expect(page.locator("#status")).to_have_text("running")
    await expect(page.locator(f"#picker option[value={other.run_id}]")).to_be_attached()
    await page.locator("#picker").focus()
    await page.keyboard.type(other.run_id)
    await expect(page).to_have_url(re.compile(f"/runs/{other.run_id}$"))
    await expect(page.locator("#status")).to_have_text("queued")
    await page.go_back()
    await expect(page.locator("#status")).to_have_text("running")


async def test_a_run_that_does_not_exist_is_said_to_and_others_can_be_picked(
    page: Page, run: StagedRun
) -> None:
    await run.queue()
    await page.goto("/runs/nope")
    await expect(page.locator("#empty-title")).to_have_text("There is no run nope")
    await page.locator("#picker").select_option(run.run_id)
    await expect(page.locator("#status")).to_have_text("queued")


async def test_a_run_that_is_waited_for_appears_when_it_is_queued(
    page: Page, run: StagedRun
) -> None:
    await page.goto(f"/runs/{run.run_id}")
    await expect(page.locator("#empty-title")).to_have_text(f"There is no run {run.run_id}")
    await run.queue()
    await expect(page.locator("#status")).to_have_text("queued")


async def test_a_narrow_screen_needs_no_sideways_scrolling(page: Page, run: StagedRun) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await run.queue()
    await run.start()
    await run.iterate(3)
    await run.evaluate(await run.save_checkpoint(), (100.0, 100.0, 40.0, 100.0, 100.0))
    await page.goto(f"/runs/{run.run_id}")
    await expect_points(page, 1)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(overflow) == 0


async def test_services_that_live_are_named(page: Page) -> None:
    await page.goto("/")
    await expect(page.locator("#services [data-service=streamer] summary")).to_have_text("streamer")
