"""The pages of models and of races in a real Chromium on the whole stack."""

import json
import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.embedded import STARTER, EmbeddedStack
from tests.e2e.test_live_page import PATIENCE_MS
from tests.e2e.test_manage_page import assert_accessible, page

__all__ = ["page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

RUN = "model-run"


async def train(page: Page) -> None:
    """A short run, to its end."""
    files = {file.name: file.read_text(encoding="utf-8") for file in STARTER.iterdir()}
    metadata = json.loads(files["model_metadata.json"]) | {"neural_network": "FAST"}
    files["model_metadata.json"] = json.dumps(metadata)
    files["run.yaml"] = "track: oval\nlimits: {max_env_steps: 6000}\n"
    answer = await page.request.post("/api/runs", data={"files": files, "name": RUN})
    assert answer.ok, await answer.text()
    await page.goto("/manage")
    state = page.locator(f"tr[data-run={RUN}] .state")
    await expect(state).to_have_text("finished", timeout=6 * PATIENCE_MS)


async def test_a_model_is_evaluated_cloned_packaged_and_raced_from_the_page(
    page: Page, stack: EmbeddedStack
) -> None:
    patience = 6 * PATIENCE_MS
    await train(page)
    await page.click("nav >> text=Models")
    await page.locator(f"#models tr[data-run={RUN}] a").first.click()
    await expect(page.locator("#one-title")).to_have_text(RUN)
    await expect(page.locator("#scores .best")).to_have_count(1)
    await expect(page.locator("#files")).to_contain_text("reward_function.py")
    async with page.expect_download() as download:
        await page.locator("#scores a").first.click()
    assert (await download.value).suggested_filename.endswith(".pb")

    await page.click("#one-deeds [data-deed=evaluate]")
    await expect(page.locator("#said")).to_contain_text("will be evaluated")
    await page.click("#one-deeds [data-deed=submit]")
    await expect(page.locator("#said")).to_contain_text("is packaged", timeout=patience)
    await expect(page.locator("#files")).to_contain_text("virtual-model.tar.gz")
    await page.click("#one-deeds [data-deed=clone]")
    await expect(page.locator("#said")).to_contain_text("begins with the best checkpoint")
    await expect(page.locator("#descents li")).to_contain_text([f"of {RUN}"])
    await expect(page.locator("#lineage [data-relation=descendant]")).to_have_count(1)
    await assert_accessible(page)

    await expect(page.locator("#scores")).to_contain_text("request", timeout=patience)
    await page.fill("#find", "no-such-name")
    await expect(page.locator("#none")).to_contain_text("no-such-name")
    await page.fill("#find", RUN)
    await expect(page.locator("#models tr").first).to_be_visible()

    await page.click("nav >> text=Races")
    await expect(page.locator(f"#places tr[data-run={RUN}]")).to_contain_text(
        re.compile("1|no lap")
    )
    await page.select_option("#by", "fewest_resets")
    await expect(page.locator(f"#places tr[data-run={RUN}]")).to_be_visible()
    await assert_accessible(page)


@pytest.mark.parametrize("path", ["/", "/manage", "/models", "/races", "/compare"])
async def test_a_page_fits_a_phone_and_is_accessible_in_the_dark(page: Page, path: str) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.emulate_media(color_scheme="dark")
    await page.goto(path)
    await page.wait_for_load_state("load")
    await assert_accessible(page)
    wider = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wider <= 0
