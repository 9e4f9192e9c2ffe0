"""No service holds its event loop for over 50 ms, measured callback by callback during a run."""

import re
from pathlib import Path

import pytest

from services.simulator.warm_up import LATER, warm_up
from tests.e2e.conftest import starter_with
from tests.e2e.embedded import EmbeddedStack

SERVICES = ("trainer", "simulator-1", "logger", "uploader", "streamer", "submitter")
WATCH = Path(__file__).with_name("loop_watch")
HELD = re.compile(r"HELD \S*/services/\w+/__main__\.py .*")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_callback_holds_an_event_loop_for_over_50_ms(tmp_path: Path) -> None:
    for compiled in (warm_up, *LATER):  # once for each installation, and then the cache has it
        compiled()
    stack = EmbeddedStack(tmp_path, PYTHONPATH=str(WATCH))
    stack.up()
    try:
        folder = starter_with(tmp_path / "run", {"max_iterations": 4}, updates_per_iteration=4)
        run = stack.wait_for_end(stack.start(folder, "--name", "watched"))
        assert run["outcome"] == "finished"
    finally:
        stack.down()
    assert [told for name in SERVICES for told in held(stack, name)] == []


def held(stack: EmbeddedStack, service: str) -> list[str]:
    """What was told of a service between its being ready and its end."""
    log = (stack.state / "logs" / f"{service}.log").read_text()
    _, _, running = log.partition('"event": "ready"')
    assert running, f"{service} never was ready"
    running, _, _ = running.partition('"event": "stopped"')
    return [f"{service}: {told}" for told in HELD.findall(running)]
