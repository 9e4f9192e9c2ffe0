"""The run queue across trainers, their deaths, and those of their learners."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import nats
import pytest

from libs.common.bus import Bus, Received
from libs.common.deepracer.folder import read_run_folder
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import (
    CheckpointSaved,
    Event,
    Message,
    MessageRejected,
    ResumeRun,
    RunDeleted,
    RunEnded,
    RunInterrupted,
    RunQueued,
    RunStarted,
    StartRun,
    StopRun,
)
from tests.conftest import Connect
from tests.servers import NatsServer, S3Server
from tests.trainer_process import TrainerProcess, run_folder

LIFE = (RunQueued, RunStarted, RunInterrupted, RunEnded)

Start = Callable[..., TrainerProcess]


@pytest.fixture
def start(nats_server: NatsServer, s3_server: S3Server, tmp_path: Path) -> Iterator[Start]:
    """Start a trainer; all of a test share one bus and one bucket."""
    bucket = f"test-{uuid4().hex[:12]}"
    with ExitStack() as stack:

        def start_trainer(**variables: str) -> TrainerProcess:
            process = TrainerProcess(nats_server, s3_server, tmp_path, bucket=bucket, **variables)
            return stack.enter_context(process)

        yield start_trainer


@pytest.fixture
async def bus(connect: Connect) -> Bus:
    """A connection of somebody who sends commands and looks on."""
    return await connect("cli")


class Story:
    """The events of a run or of all runs, in their order, each waited for."""

    def __init__(self, bus: Bus, *classes: type[Event], run_id: str = "*") -> None:
        self._events = bus.follow(run_id, classes=classes or LIFE)
        self.told: list[Message] = []

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The next event that is wanted."""
        async with asyncio.timeout(60):
            while True:
                received: Received = await anext(self._events)
                self.told.append(received.message)
                if wanted(received.message):
                    return received.message

    async def ends(self, run_id: str) -> RunEnded:
        """The end of a run."""
        ended: RunEnded = await self.until(lambda e: isinstance(e, RunEnded) and e.run_id == run_id)
        return ended


def spec(name: str, notes: str) -> RunSpec:
    files = run_folder(**{"run.yaml": f"track: oval\nname: {name}\nnotes: {notes}\n"})
    return read_run_folder({key: text.encode() for key, text in files.items()}).value


async def queue(bus: Bus, name: str, notes: str = "finish", priority: int = 0) -> None:
    await bus.publish(StartRun(run_id=name, spec=spec(name, notes), priority=priority))


async def test_a_run_goes_from_command_to_end(start: Start, bus: Bus) -> None:
    start()
    await queue(bus, "one")
    story = Story(bus)
    ended = await story.ends("one")
    assert [type(event) for event in story.told] == [RunQueued, RunStarted, RunEnded]
    queued, started, _ = story.told
    assert isinstance(queued, RunQueued)
    assert len(queued.artifacts) == 6
    assert isinstance(started, RunStarted)
    assert (started.attempt, started.resumed_from) == (1, None)
    assert (ended.outcome, ended.iterations, ended.episodes) == ("finished", 2, 2)
    assert ended.last is not None
    assert ended.best == ended.last
    assert ended.env_steps == 200


async def test_the_same_command_twice_is_one_run(start: Start, bus: Bus) -> None:
    start()
    await queue(bus, "one")
    await queue(bus, "one")
    await queue(bus, "two")
    story = Story(bus)
    await story.ends("two")
    assert len([event for event in story.told if isinstance(event, RunQueued)]) == 2


async def test_runs_go_by_priority_and_then_by_age(start: Start, bus: Bus) -> None:
    start()
    await queue(bus, "blocker", "wait", priority=9)
    story = Story(bus)
    await story.until(lambda e: isinstance(e, RunStarted))
    for name, priority in (("old", 0), ("new", 0), ("urgent", 5)):
        await queue(bus, name, priority=priority)
        await story.until(lambda e, name=name: isinstance(e, RunQueued) and e.run_id == name)
    await bus.publish(StopRun(run_id="blocker"))
    await story.ends("new")
    started = [event.run_id for event in story.told if isinstance(event, RunStarted)]
    assert started == ["blocker", "urgent", "old", "new"]


async def test_a_waiting_run_is_stopped_at_once(start: Start, bus: Bus) -> None:
    start()
    await queue(bus, "blocker", "wait", priority=9)
    story = Story(bus)
    await story.until(lambda e: isinstance(e, RunStarted))
    await queue(bus, "waiting")
    await story.until(lambda e: isinstance(e, RunQueued) and e.run_id == "waiting")
    await bus.publish(StopRun(run_id="waiting", reason="not needed"))
    ended = await story.ends("waiting")
    assert (ended.outcome, ended.reason) == ("stopped", "not needed")
    await bus.publish(ResumeRun(run_id="waiting"))
    await story.until(lambda e: isinstance(e, RunQueued) and e.run_id == "waiting")
    await bus.publish(StopRun(run_id="blocker"))
    assert (await story.ends("waiting")).outcome == "finished"


async def test_two_runs_at_once_where_the_machine_allows(start: Start, bus: Bus) -> None:
    start(DR_TRAINER_RUNS_AT_ONCE="2")
    await queue(bus, "one", "wait")
    await queue(bus, "two", "wait")
    story = Story(bus)
    for _ in range(2):
        await story.until(lambda e: isinstance(e, RunStarted))
    assert not any(isinstance(event, RunEnded) for event in story.told)


async def test_a_learner_that_dies_is_started_again_from_the_last_checkpoint(
    start: Start, bus: Bus
) -> None:
    start()
    await queue(bus, "one", "die-once")
    story = Story(bus, *LIFE, CheckpointSaved)
    interrupted = await story.until(lambda e: isinstance(e, RunInterrupted))
    assert "exit code -9" in interrupted.reason
    again = await story.until(lambda e: isinstance(e, RunStarted))
    assert again.attempt == 2
    assert again.resumed_from.number == 1
    await story.until(lambda e: isinstance(e, CheckpointSaved) and e.checkpoint.number == 2)
    await bus.publish(StopRun(run_id="one", reason="enough"))
    ended = await story.ends("one")
    assert (ended.outcome, ended.reason, ended.episodes) == ("stopped", "enough", 2)


async def test_a_learner_that_always_dies_ends_the_run(start: Start, bus: Bus) -> None:
    dying = json.dumps([sys.executable, "-c", "raise SystemExit(9)"])
    start(DR_TRAINER_LEARNER_COMMAND=dying)
    await queue(bus, "hopeless")
    story = Story(bus)
    ended = await story.ends("hopeless")
    assert ended.outcome == "failed"
    assert "5 attempts in a row" in ended.reason
    assert "exit code 9" in ended.reason
    started = [event for event in story.told if isinstance(event, RunStarted)]
    assert [event.attempt for event in started] == [1, 2, 3, 4, 5]


async def test_a_learner_that_reports_a_failure_ends_the_run(start: Start, bus: Bus) -> None:
    start()
    await queue(bus, "one", "refuse")
    ended = await Story(bus).ends("one")
    assert (ended.outcome, ended.reason) == ("failed", "the reward function returned 'text'")


async def test_a_trainer_that_is_told_to_end_puts_its_run_back(start: Start, bus: Bus) -> None:
    first = start()
    await queue(bus, "one", "wait")
    story = Story(bus, *LIFE, CheckpointSaved)
    await story.until(lambda e: isinstance(e, CheckpointSaved))
    async with _api(first) as api, api.stream("GET", "/runs/one/events") as follower:
        lines = follower.aiter_lines()
        assert "run.queued" in await anext(lines)
        assert await asyncio.to_thread(first.end) == 0
        assert [line async for line in lines]  # the follower does not hold up the end
    assert "graceful" not in first.log.read_text()
    interrupted = await story.until(lambda e: isinstance(e, RunInterrupted))
    assert interrupted.reason == "the trainer stops"
    second = start()
    again = await story.until(lambda e: isinstance(e, RunStarted))
    assert (again.attempt, again.resumed_from.number) == (2, 1)
    with second.client() as client:
        assert client.get("/runs/one").json()["status"] == "running"


async def test_a_run_whose_trainer_died_goes_on_with_another(start: Start, bus: Bus) -> None:
    first = start(DR_TRAINER_LEASE_S="2")
    await queue(bus, "one", "wait")
    story = Story(bus, *LIFE, CheckpointSaved)
    await story.until(lambda e: isinstance(e, CheckpointSaved))
    first.process.kill()
    start(DR_TRAINER_LEASE_S="2")
    interrupted = await story.until(lambda e: isinstance(e, RunInterrupted))
    assert "was not heard of any more" in interrupted.reason
    again = await story.until(lambda e: isinstance(e, RunStarted))
    assert (again.attempt, again.resumed_from.number) == (2, 1)
    assert again.trainer != story.told[1].trainer  # type: ignore[attr-defined]


@pytest.mark.slow
async def test_a_trainer_that_was_frozen_gives_up_a_run_that_another_one_took(
    start: Start, bus: Bus
) -> None:
    frozen = start(DR_TRAINER_LEASE_S="2")
    await queue(bus, "one", "wait")
    story = Story(bus, *LIFE, CheckpointSaved)
    await story.until(lambda e: isinstance(e, CheckpointSaved))
    frozen.freeze()
    start(DR_TRAINER_LEASE_S="2")
    again = await story.until(lambda e: isinstance(e, RunStarted) and e.attempt == 2)
    frozen.thaw()
    await asyncio.to_thread(frozen.wait_for_log, "another trainer has the run now")
    await bus.publish(StopRun(run_id="one", reason="enough"))
    ended = await story.ends("one")
    assert ended.reason == "enough"
    attempts = [event.attempt for event in story.told if isinstance(event, RunStarted)]
    assert attempts == [1, 2], again


@pytest.mark.slow
async def test_the_queue_survives_a_killed_bus(
    start: Start, bus: Bus, nats_server: NatsServer
) -> None:
    start()
    await queue(bus, "one", "wait")
    await queue(bus, "two")
    story = Story(bus, *LIFE, CheckpointSaved)
    await story.until(lambda e: isinstance(e, CheckpointSaved))
    nats_server.kill()
    await asyncio.to_thread(nats_server.start)
    await bus.publish(StopRun(run_id="one", reason="enough"))
    assert (await story.ends("one")).reason == "enough"
    assert (await story.ends("two")).outcome == "finished"


async def test_what_is_no_command_is_dead_lettered_and_the_queue_goes_on(
    start: Start, bus: Bus, nats_server: NatsServer
) -> None:
    start()
    stranger = await nats.connect(nats_server.url)
    await stranger.jetstream().publish("dr.cmd.run.start.v1.odd", b'{"type": "nothing"}')
    await stranger.close()
    await bus.publish(StopRun(run_id="nobody"))
    await bus.publish(StartRun(run_id="other", spec=spec("name", "finish")))
    broken = spec("broken", "finish").model_copy(update={"reward_function": "x = 1"})
    await bus.publish(StartRun(run_id="broken", spec=broken))
    await queue(bus, "one")
    story = Story(bus, RunEnded, MessageRejected)
    await story.ends("one")
    rejected = {e.rejected_subject for e in story.told if isinstance(e, MessageRejected)}
    assert rejected == {
        "dr.cmd.run.start.v1.odd",
        "dr.cmd.run.stop.v1.nobody",
        "dr.cmd.run.start.v1.other",
        "dr.cmd.run.start.v1.broken",
    }


async def test_deleting_a_run_removes_its_objects_and_tells(start: Start, bus: Bus) -> None:
    trainer = start()
    await queue(bus, "one")
    story = Story(bus, RunEnded, RunDeleted)
    await story.ends("one")
    async with _api(trainer) as api:
        assert (await api.get("/models/one")).json()["files"]
        assert (await api.delete("/runs/one")).status_code == 204
        await story.until(lambda e: isinstance(e, RunDeleted))
        await queue(bus, "one", "refuse")
        await story.ends("one")
        files = (await api.get("/models/one")).json()["files"]
    assert not [file for file in files if file["path"].endswith(".pb")]


def _api(trainer: TrainerProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{trainer.url}/v1", timeout=30)
