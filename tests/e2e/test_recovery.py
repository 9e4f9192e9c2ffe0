"""SIGKILL of each process in the middle of a run: it comes back and the run goes on to its end."""

import random
from pathlib import Path

import pytest

from libs.common.events import EpisodeEnded, IterationEnded, RunEnded
from tests.e2e.conftest import starter_with
from tests.e2e.embedded import EmbeddedStack

VICTIMS = (
    "learner",
    "trainer",
    "simulator-1",
    "logger",
    "uploader",
    "streamer",
    "submitter",
    "nats",
    "s3",
)
ITERATIONS, UPDATES = 6, 12
STEPS_OF_AN_UPDATE = 128


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_run_survives_the_death_of(victim: str, stack: EmbeddedStack, tmp_path: Path) -> None:
    folder = starter_with(
        tmp_path / victim, {"max_iterations": ITERATIONS}, updates_per_iteration=2
    )
    run_id = stack.start(folder, "--name", f"killed-{victim}")
    # Any moment in its first half: the commands that look and kill take their time, too.
    stack.wait_for_steps(run_id, random.randrange(1, UPDATES * STEPS_OF_AN_UPDATE // 2))
    before = stack.processes()
    died = stack.kill(victim)
    run = stack.wait_for_end(run_id)
    assert run["outcome"] == "finished", run["reason"]
    assert f"{ITERATIONS} iterations" in run["reason"]
    assert_restarted(stack, victim, died, before)
    assert_nothing_lost_or_doubled(stack, run_id)


def assert_restarted(
    stack: EmbeddedStack, victim: str, died: int, before: dict[str, dict[str, object]]
) -> None:
    """The victim lives again, and nobody else had to be restarted."""
    stack.up()  # waits until all is ready
    for name, process in stack.processes().items():
        assert process["ready"], process
        if name == victim:
            assert process["pid"] != died
        else:
            assert process["pid"] == before[name]["pid"], f"{name} was restarted too"


def assert_nothing_lost_or_doubled(stack: EmbeddedStack, run_id: str) -> None:
    """Each episode number stands in the journal once, and only open episodes have none."""
    events = stack.wait_for_journal(run_id, RunEnded)
    assert len({event.id for event in events}) == len(events)
    driven = [e.episode for e in events if isinstance(e, EpisodeEnded) and e.phase == "training"]
    assert len(set(driven)) == len(driven)
    missing = set(range(max(driven) + 1)) - set(driven)
    assert len(missing) < 8, f"more than the open episodes of 8 cars are missing: {missing}"
    counted = {number for e in events if isinstance(e, IterationEnded) for number in e.episodes}
    assert counted <= set(driven)
    assert sum(isinstance(event, RunEnded) for event in events) == 1
