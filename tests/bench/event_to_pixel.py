"""
From an event on the bus to a pixel of the live page, in a real Chromium.

    python -m tests.bench.event_to_pixel [--events 60]

An iteration's event is published while eight cars move and a camera takes pictures ten times a
second. The page's own clock says when the figure was there; the next frame is what a person sees.
Bus, streamer and browser share one machine, so that there is one clock. The peer is what the
sandbox of 2019 did: a page that reloads itself every 30 s, fed by a worker that looks for new
summaries every 4 minutes, which makes up to 4.5 minutes.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from playwright.async_api import Page, async_playwright
from rich.console import Console

from libs.common.bus import Bus
from libs.common.tasks import end
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess
from tests.staged_run import StagedRun

RUN = "pixels"
SANDBOX_S = 270.0
READY_MS = 30_000
WATCH = """() => {
  window.seen = {};
  const note = () => {
    const text = document.querySelector('[data-name=Iterations]')?.textContent;
    if (text && !(text in window.seen)) {
      requestAnimationFrame(() => {
        window.seen[text] ??= performance.timeOrigin + performance.now();
      });
    }
  };
  const everything = { subtree: true, childList: true, characterData: true };
  new MutationObserver(note).observe(document.body, everything);
}"""


async def measure(page: Page, run: StagedRun, events: int) -> list[float]:
    """Seconds from each event to the frame that shows it."""
    took_s = []
    for number in range(1, events + 1):
        began_s = time.time()
        await run.iterate(0)
        await page.wait_for_function(
            "number => window.seen[number] !== undefined", arg=number, timeout=READY_MS
        )
        took_s.append(await page.evaluate(f"window.seen['{number}'] / 1000") - began_s)
    return took_s


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=60)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        Console().print("event to pixel: no Chromium is installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("nats", "s3"):
            (Path(folder) / name).mkdir()
        nats, s3 = NatsServer(Path(folder) / "nats"), S3Server(Path(folder) / "s3")
        nats.start()
        s3.start()
        try:
            streamer = ServiceProcess("streamer", nats, s3, Path(folder), bucket="pixels")
            with streamer:
                took_s = await _with_browser(chromium, streamer.url, nats.url, arguments.events)
        finally:
            nats.kill()
            s3.kill()
    cuts = quantiles(took_s, n=20)
    Console().print(
        f"event to pixel: p50 {1000 * cuts[9]:.0f} ms, p95 {1000 * cuts[18]:.0f} ms, worst "
        f"{1000 * max(took_s):.0f} ms of {len(took_s)}; the sandbox took up to {SANDBOX_S:.0f} s, "
        f"{SANDBOX_S / cuts[18]:.0f} times as long as p95"
    )


async def _with_browser(chromium: str, url: str, nats_url: str, events: int) -> list[float]:
    trainer, simulator = (
        await Bus.connect(nats_url, "trainer"),
        await Bus.connect(nats_url, "simulator"),
    )
    run = StagedRun(trainer, simulator, RUN)
    await run.queue()
    await run.start()
    driving = asyncio.create_task(run.keep_moving())
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page()
        await page.goto(f"{url}/runs/{RUN}")
        await page.wait_for_selector("#map .car", state="attached", timeout=READY_MS)
        await page.evaluate(WATCH)
        took_s = await measure(page, run, events)
        await browser.close()
    await end(driving)
    for bus in (trainer, simulator):
        await bus.close()
    return took_s


if __name__ == "__main__":
    asyncio.run(main())
