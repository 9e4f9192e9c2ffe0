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


async def test_a_past_episode_is_filmed_and_played_and_the_run_goes_on_the_air(page: Page) -> None:
    patience = 6 * PATIENCE_MS
    await page.goto(f"/runs/{RUN}")
    await page.click("#video > summary")
    await page.click("text=Make the film")
    film = page.locator("#films li").first
    await expect(film).to_have_attribute("data-state", "made", timeout=patience)
    await film.locator("button").click()
    playing = "video => video.readyState >= 2 && video.videoWidth"
    video = await film.locator("video").element_handle()
    assert video is not None
    await page.wait_for_function(playing, arg=video, timeout=patience)
    assert await video.evaluate("video => [video.videoWidth, video.videoHeight]") == [640, 480]

    await page.select_option("#episode-of", "training number")
    await page.fill("#number", "99999")
    await page.click("text=Make the film")
    await expect(page.locator("#films [data-state=failed] .problem")).to_contain_text(
        "has no training episode 99999", timeout=patience
    )
    await page.select_option("#target", "udp")
    await page.fill("#address", "file:///etc/passwd")
    await page.click("text=Go on the air")
    await expect(page.locator("#video-trouble")).to_contain_text("accepted: hls, udp://host:port")
    await page.select_option("#target", "hls")
    await page.click("text=Go on the air")
    await expect(page.locator("#broadcasts [data-state='on air']")).to_have_count(
        1, timeout=patience
    )
    await assert_accessible(page)
    await page.click("#broadcasts button")
    await expect(page.locator("#broadcasts li")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/manage", "/models", "/races", "/compare"])
async def test_a_page_fits_a_phone_and_is_accessible_in_the_dark(page: Page, path: str) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.emulate_media(color_scheme="dark")
    await page.goto(path)
    await page.wait_for_load_state("load")
    await assert_accessible(page)
    wider = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wider <= 0
