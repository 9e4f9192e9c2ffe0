"""The page of all runs in a real Chromium on the whole stack: begin, watch, stop, delete."""

import json
import re
import shutil
from collections.abc import AsyncIterator

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright, expect

from tests.e2e.embedded import EmbeddedStack
from tests.e2e.test_live_page import FLAGS, PATIENCE_MS, Seen

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

STARTED = re.compile(r"page-run is queued")
SERIOUS = ("serious", "critical")


@pytest.fixture
async def page(stack: EmbeddedStack) -> AsyncIterator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    port = stack.processes()["streamer"]["port"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        context = await browser.new_context(base_url=f"http://127.0.0.1:{port}")
        context.set_default_timeout(3 * PATIENCE_MS)
        page = await context.new_page()
        seen = Seen(page)
        yield page
        await browser.close()
    assert seen.problems == []


async def assert_accessible(page: Page) -> None:
    """No serious finding of axe-core."""
    found = (await Axe().run(page)).response["violations"]
    serious = [
        f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in SERIOUS
    ]
    assert serious == []


async def test_a_run_is_begun_watched_stopped_and_deleted_from_the_page(page: Page) -> None:
    patience = 3 * PATIENCE_MS
    await page.goto("/manage")
    await assert_accessible(page)
    await page.click("#new-run")
    await expect(page.locator("#reward")).to_have_value(re.compile("def reward_function"))
    await page.select_option("#track", "oval")
    picture = page.locator("#track-picture")
    await expect(picture).to_be_visible()
    await picture.evaluate("image => image.decode()")
    await assert_accessible(page)

    # What is wrong is told by the code that would queue it, and nothing is lost.
    right = await page.input_value("#reward")
    await page.fill("#reward", "def reward_function(params):\n    return params['nothing']\n")
    await page.click("#check")
    await expect(page.locator("#findings")).to_contain_text("'nothing'", timeout=patience)
    await page.fill("#reward", right)
    metadata = json.loads(await page.input_value("#metadata")) | {"neural_network": "FAST"}
    await page.fill("#metadata", json.dumps(metadata))
    await page.fill("#runfile", "limits: {max_seconds: 600}\n")
    await page.click("#knobs-box > summary")
    await expect(page.locator("#knob-lr")).to_have_attribute("placeholder", "0.002")
    await page.fill("#knob-num_epochs", "3")
    await page.press("#knob-num_epochs", "Tab")
    await expect(page.locator("#hyperparameters")).to_have_value(re.compile('"num_epochs": 3'))
    await page.fill("#knob-batch_size", "5000")
    await expect(page.locator("#knob-batch_size:invalid")).to_have_count(1)
    await page.press("#knob-batch_size", "Tab")
    await page.click("#check")
    await expect(page.locator("#findings")).to_contain_text("batch_size: got 5000; accepted")
    await page.fill("#knob-batch_size", "")
    await page.press("#knob-batch_size", "Tab")
    await expect(page.locator("#hyperparameters")).not_to_have_value(re.compile("batch_size"))
    await assert_accessible(page)
    await page.fill("#name", "page-run")
    await page.click("text=Queue the run")
    await expect(page.locator("#said")).to_have_text(STARTED, timeout=patience)

    row = page.locator("tr[data-run=page-run]")
    await expect(row.locator(".state")).to_have_text("running", timeout=patience)
    await row.locator("a").click()
    await expect(page.locator("#map .car").first).to_be_visible(timeout=patience)
    points = page.locator("[data-curve=progress_pct] .point")
    await expect(points.nth(1)).to_be_attached(timeout=patience)

    await expect(page.locator("#model-files")).to_contain_text(
        "reward_function.py", timeout=patience
    )
    await assert_accessible(page)

    await page.goto("/manage")
    await row.locator("[data-deed=stop]").click()
    await expect(row.locator(".state")).to_have_text("stopped", timeout=patience)
    await expect(row.locator("[data-deed=evaluate]")).to_be_visible()
    answer = await page.request.get("/api/models/page-run/files/reward_function.py")
    assert await answer.text() == right
    await page.goto("/compare?run=page-run&run=nobody")
    await expect(page.locator("#trouble")).to_contain_text("nobody")
    await expect(page.locator("figure[data-curve=progress_pct]")).to_have_attribute(
        "data-runs", "1"
    )
    await assert_accessible(page)
    await page.goto("/manage")
    await row.locator("[data-deed=copy]").click()
    await expect(page.locator("#reward")).to_have_value(right)
    await page.click("#close-editor")
    await row.locator("[data-deed=remove]").click()
    await page.click("#ask button[value=no]")
    await expect(row).to_be_visible()
    await row.locator("[data-deed=remove]").click()
    await page.click("#ask-yes")
    await expect(row).to_have_count(0, timeout=patience)


async def test_the_overlay_shows_a_run_and_says_when_there_is_none(
    page: Page, stack: EmbeddedStack
) -> None:
    await page.set_viewport_size({"width": 1920, "height": 1080})
    await page.goto("/overlay/nobody")
    await expect(page.locator("#offline")).to_be_visible()
    await expect(page.locator("#stage")).to_be_hidden()


async def test_another_sites_page_starts_nothing(page: Page) -> None:
    answer = await page.request.post(
        "/api/runs/x/stop", headers={"Origin": "http://elsewhere.example"}
    )
    assert answer.status == 403
    assert "elsewhere.example" in await answer.text()
