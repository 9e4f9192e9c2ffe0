"""The logger as a process on the real bus, store and disk; killed and starved of disk space."""

import asyncio
import json
import random
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina
from deepracer.logs import DeepRacerLog, S3FileHandler, TrainingMetrics

from libs.cli.answers import RefusedByApi
from libs.cli.journal import Query, as_text, journal_lines
from libs.cli.output import Unreachable
from libs.common.bus import Bus
from libs.common.deepracer import layout
from libs.common.deepracer.metrics import encode, evaluation_metrics, training_metrics
from libs.common.deepracer.simtrace import simtrace_csv, start_times_s
from libs.common.events import EpisodeEnded, Event, LogArchived, LogWritten, RunStarted
from libs.common.journal_reading import (
    journal_path,
    read_entries,
    read_events,
)
from libs.common.objects import ObjectStore
from tests.conftest import Connect
from tests.driven import episode, evaluation_ended, run_ended, run_queued
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess

wait = stamina.retry(on=AssertionError, attempts=None, timeout=60, wait_initial=0.05, wait_max=0.2)


@pytest.fixture
def logger(
    nats_server: NatsServer, s3_server: S3Server, objects: ObjectStore, tmp_path: Path
) -> ServiceProcess:
    """Not started yet."""
    return ServiceProcess(
        "logger",
        nats_server,
        s3_server,
        tmp_path,
        bucket=objects.bucket,
        DR_LOGGER_ACK_WAIT_S="1",
        DR_LOGGER_BATCH="32",  # many batches, so that a kill finds some done and some not
    )


def journal_of(tmp_path: Path, run_id: str = "r1") -> Path:
    return journal_path(tmp_path / "journal", run_id)


async def publish(bus: Bus, events: Iterable[Event]) -> None:
    for event in events:
        await bus.publish(event)


def ids_in(path: Path) -> list[str]:
    return [entry.id for entry in read_entries(path)] if path.exists() else []


def archived_in(path: Path) -> list[LogArchived]:
    events = read_events(path) if path.exists() else ()
    return [event for event in events if isinstance(event, LogArchived)]


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@wait
async def wait_for_ids(path: Path, ids: Iterable[str]) -> None:
    missing = set(ids) - set(ids_in(path))
    assert not missing, f"{len(missing)} are missing"


@wait
async def wait_for_archived(path: Path, *keys: str) -> list[LogArchived]:
    """The events that tell of files, as soon as every one of these is told."""
    told = archived_in(path)
    for key in keys:
        assert any(event.artifacts[0].uri.endswith(key) for event in told), key
    return told


async def test_every_event_is_in_its_runs_journal_as_it_was_published(
    connect: Connect, logger: ServiceProcess, tmp_path: Path
) -> None:
    trainer, simulator = await connect("trainer"), await connect("simulator")
    line = LogWritten(run_id="r2", service="trainer", instance="a", level="info", message="två\nx")
    driven = [episode(number) for number in range(3)]
    with logger:
        await publish(simulator, driven)
        await trainer.publish(line)
        await wait_for_ids(journal_of(tmp_path), [one.id for one in driven])
        await wait_for_ids(journal_of(tmp_path, "r2"), [line.id])
        assert logger.end() == 0
    assert journal_of(tmp_path).read_bytes() == b"".join(one.encode() + b"\n" for one in driven)
    assert journal_of(tmp_path, "r2").read_bytes() == line.encode() + b"\n"
    said = [event for event in read_events(journal_of(tmp_path, "platform"))]
    assert all(isinstance(event, LogWritten) and event.service == "logger" for event in said)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_each_event_is_there_once_after_the_logger_was_killed_in_a_flood(
    connect: Connect, logger: ServiceProcess, tmp_path: Path, seed: int
) -> None:
    simulator, chance = await connect("simulator"), random.Random(seed)
    events: list[EpisodeEnded] = []
    is_over = asyncio.Event()

    async def flood() -> None:
        while not is_over.is_set():
            number = len(events)
            events.append(episode(number, f"r{number % 3}", steps=chance.randrange(1, 200)))
            await simulator.publish(events[-1])

    with logger:
        flooding = asyncio.create_task(flood())
        for _ in range(2):
            await grown_by(journal_of(tmp_path, "r0"), chance.randrange(1, 400_000))
            logger.kill()
            await asyncio.to_thread(logger.start)
        is_over.set()
        await flooding
        for run in ("r0", "r1", "r2"):
            mine = [one.id for one in events if one.run_id == run]
            await wait_for_ids(journal_of(tmp_path, run), mine)
    for run in ("r0", "r1", "r2"):
        counted = Counter(ids_in(journal_of(tmp_path, run)))
        assert set(counted.values()) == {1}
        assert journal_of(tmp_path, run).read_bytes().count(b"\n") == counted.total()


async def grown_by(path: Path, size_bytes: int) -> None:
    """Return when a file has grown by so much."""
    before = size_of(path)

    @stamina.retry(on=AssertionError, attempts=None, timeout=60, wait_initial=0.002, wait_max=0.01)
    async def check() -> None:
        assert size_of(path) >= before + size_bytes

    await check()


@pytest.mark.slow
async def test_each_event_is_there_once_after_the_bus_was_killed_in_a_flood(
    connect: Connect, logger: ServiceProcess, nats_server: NatsServer, tmp_path: Path
) -> None:
    simulator, path = await connect("simulator"), journal_of(tmp_path)
    events = [episode(number, steps=100) for number in range(300)]
    with logger:
        flood = asyncio.create_task(publish(simulator, events))
        await grown_by(path, 200_000)
        nats_server.kill()
        await asyncio.to_thread(nats_server.start)
        await flood
        await wait_for_ids(path, [one.id for one in events])
    assert set(Counter(ids_in(path)).values()) == {1}


async def test_a_torn_last_line_is_cut_off_and_told(
    connect: Connect, logger: ServiceProcess, tmp_path: Path
) -> None:
    simulator, path = await connect("simulator"), journal_of(tmp_path)
    path.parent.mkdir()
    path.write_bytes(episode(0).encode() + b"\n" + episode(1).encode()[:100])
    with logger:
        await publish(simulator, [episode(0), episode(1)])
        await wait_for_ids(path, [episode(1).id])
        assert list(read_events(path)) == [episode(0), episode(1)]

        @wait
        async def told() -> None:
            assert b"torn line cut off" in journal_of(tmp_path, "platform").read_bytes()

        await told()


async def test_a_full_disk_makes_the_logger_not_ready_and_loses_nothing(
    connect: Connect, logger: ServiceProcess, tmp_path: Path
) -> None:
    simulator = await connect("simulator")
    with logger:
        await publish(simulator, [episode(0)])
        await wait_for_ids(journal_of(tmp_path), [episode(0).id])
        limit_files(logger, journal_of(tmp_path).stat().st_size + 3000)
        driven = [episode(number, steps=60) for number in range(1, 30)]
        await publish(simulator, driven)
        assert "the journal can't be written" in await asyncio.to_thread(
            logger.wait_until_not_ready
        )
        limit_files(logger, resource.RLIM_INFINITY)
        await asyncio.to_thread(logger.wait_until_ready)
        await wait_for_ids(journal_of(tmp_path), [one.id for one in driven])
    assert list(read_events(journal_of(tmp_path))) == [episode(0), *driven]


def limit_files(process: ServiceProcess, size_bytes: int) -> None:
    """How large a file of the process may become; beyond it the disk is full."""
    limits = (size_bytes, resource.RLIM_INFINITY)
    resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, limits)


@asynccontextmanager
async def a_driven_run(
    connect: Connect, logger: ServiceProcess
) -> AsyncIterator[list[EpisodeEnded]]:
    """Two iterations, a partial third one and an evaluation between them; then the end."""
    trainer, simulator = await connect("trainer"), await connect("simulator")
    driven = [episode(number, iteration=number // 4) for number in range(10)]
    trials = [episode(n, phase="evaluation", rollout_id="r1-e1", steps=30) for n in range(3)]
    with logger:
        await trainer.publish(run_queued())
        await publish(simulator, driven[:4])
        await publish(simulator, [*trials, evaluation_ended(trials), *driven[4:8]])
        await publish(simulator, driven[8:])
        await trainer.publish(run_ended())
        yield [*driven[:4], *trials, *driven[4:]]


async def test_files_in_deepracers_layout_are_made_of_the_same_episodes(
    connect: Connect, logger: ServiceProcess, objects: ObjectStore, tmp_path: Path
) -> None:
    async with a_driven_run(connect, logger) as driven:
        key = layout.journal_file("r1", "r1.jsonl")
        told = await wait_for_archived(journal_of(tmp_path), key)

    training = [one for one in driven if one.phase == "training"]
    trials = [one for one in driven if one.phase == "evaluation"]
    expected = {
        layout.training_metrics("r1"): encode(training_metrics(driven)),
        layout.evaluation_metrics("r1", "20260101120000"): encode(evaluation_metrics(trials)),
        layout.evaluation_simtrace("r1", "20260101120000"): simtrace_csv(
            trials, start_times_s(trials)
        ).encode(),
    }
    for number in range(3):
        mine = [one for one in training if one.iteration == number]
        csv = simtrace_csv(mine, start_times_s(driven)).encode()
        expected[layout.training_simtrace("r1", number)] = csv
    for key, data in expected.items():
        assert await objects.get_key(key) == data, key
    stored = {key async for key, _ in objects.keys("runs/")}
    assert stored == {*expected, layout.journal_file("r1", "r1.jsonl")}
    for event in told:
        assert event.cause
        assert event.episodes
    latest = {event.artifacts[0].uri: event.artifacts[0] for event in told}
    for reference in latest.values():
        await objects.get(reference)  # its checksum is the one that was told


async def test_the_stored_journal_has_every_event_up_to_the_end_of_the_run(
    connect: Connect, logger: ServiceProcess, objects: ObjectStore, tmp_path: Path
) -> None:
    key = layout.journal_file("r1", "r1.jsonl")
    async with a_driven_run(connect, logger) as driven:
        await wait_for_archived(journal_of(tmp_path), key)
    stored = await objects.get_key(key)
    assert journal_of(tmp_path).read_bytes().startswith(stored)
    ids = [json.loads(line)["id"] for line in stored.splitlines()]
    assert {one.id for one in driven} | {run_ended().id} <= set(ids)


async def test_a_restarted_logger_makes_what_is_missing_and_nothing_twice(
    connect: Connect, logger: ServiceProcess, objects: ObjectStore, tmp_path: Path
) -> None:
    trainer, simulator, path = await connect("trainer"), await connect("simulator"), None
    path, driven = journal_of(tmp_path), [episode(n, iteration=n // 4) for n in range(8)]
    first, second = (layout.training_simtrace("r1", number) for number in range(2))
    with logger:
        await trainer.publish(run_queued())
        await publish(simulator, driven[:4])
        await wait_for_archived(path, first, layout.training_metrics("r1"))
        await publish(simulator, driven[4:6])
        await wait_for_ids(path, [driven[5].id])
        logger.kill()
        await publish(simulator, driven[6:])
        await trainer.publish(run_ended())
        logger.start()
        await wait_for_archived(path, second, "r1.jsonl")
        logger.kill()
        logger.start()  # all is made: nothing is due
        await trainer.publish(RunStarted(run_id="r1", attempt=2, trainer="t"))
        await trainer.publish(run_ended(number=2))
        await wait_for_journals(path, 2)
    starts_s = start_times_s(driven)
    assert await objects.get_key(second) == simtrace_csv(driven[4:], starts_s).encode()
    assert await objects.get_key(layout.training_metrics("r1")) == encode(training_metrics(driven))
    told = archived_in(path)
    assert Counter(event.kind for event in told) == {"simtrace": 2, "metrics": 2, "journal": 2}


@wait
async def wait_for_journals(path: Path, number: int) -> None:
    told = archived_in(path)
    assert [event.kind for event in told].count("journal") == number


async def test_the_journal_waits_for_no_file_while_the_store_is_away(
    connect: Connect,
    nats_server: NatsServer,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    trainer, simulator = await connect("trainer"), await connect("simulator")
    store = S3Server(tmp_path_factory.mktemp("s3"))
    store.start()
    driven = [episode(number) for number in range(4)]
    try:
        with ServiceProcess("logger", nats_server, store, tmp_path, bucket="away") as logger:
            store.kill()
            await trainer.publish(run_queued())
            await publish(simulator, driven)
            await trainer.publish(run_ended())
            await wait_for_ids(journal_of(tmp_path), [run_ended().id])
            logger.wait_until_ready()
            await asyncio.to_thread(store.start)
            await wait_for_archived(journal_of(tmp_path), "0-iteration.csv", "r1.jsonl")
    finally:
        store.kill()


# -- the HTTP API ----------------------------------------------------------------------------


async def test_the_api_gives_a_journal_and_what_is_asked_of_it(
    connect: Connect, logger: ServiceProcess, tmp_path: Path
) -> None:
    trainer, simulator = await connect("trainer"), await connect("simulator")
    lines = [
        LogWritten(run_id="r1", service=service, instance="a", level=level, message=level)
        for service in ("trainer", "simulator")
        for level in ("debug", "info", "warning", "error")
    ]
    with logger, httpx.Client(base_url=f"{logger.url}/v1/journal") as client:
        await publish(simulator, [episode(0)])
        await publish(trainer, lines)
        await wait_for_ids(journal_of(tmp_path), [lines[-1].id])

        def ids(**query: Any) -> list[str]:
            answer = client.get("/r1", params=query).raise_for_status()
            return [json.loads(line)["id"] for line in answer.text.splitlines()]

        assert ids() == [episode(0).id, *(line.id for line in lines)]
        assert ids(after=7) == [line.id for line in lines[6:]]
        assert ids(after=100) == []
        assert ids(level="warning") == [lines[i].id for i in (2, 3, 6, 7)]
        assert ids(level="error", service="trainer") == [lines[3].id]
        assert ids(service="simulator") == [episode(0).id, *(line.id for line in lines[4:])]
        assert ids(event="EpisodeEnded") == ids(event="evt.episode.ended.v1") == [episode(0).id]
        assert ids(event=["EpisodeEnded", "LogWritten"]) == ids()

        def refused(path: str, **query: Any) -> tuple[int, str]:
            answer = client.get(path, params=query)
            return answer.status_code, answer.json()["detail"]

        assert refused("/nothing") == (404, "no journal of a run 'nothing'")
        for query, problem in (
            ({"event": "RunExploded"}, "no event 'RunExploded'; accepted: "),
            ({"level": "loud"}, "got 'loud'"),
            ({"after": "-1"}, "got '-1'"),
        ):
            status, detail = refused("/r1", **query)
            assert status == 422
            assert problem in detail
        assert refused("/..%2Fcredentials")[0] in (404, 422)


async def test_a_follower_sees_what_comes_and_a_stopping_logger_lets_it_go(
    connect: Connect, logger: ServiceProcess, tmp_path: Path
) -> None:
    simulator = await connect("simulator")
    with logger:
        await publish(simulator, [episode(0)])
        await wait_for_ids(journal_of(tmp_path), [episode(0).id])
        url = f"{logger.url}/v1/journal/r1?follow=true&event=EpisodeEnded"
        async with httpx.AsyncClient() as client, client.stream("GET", url, timeout=30) as answer:
            lines = answer.aiter_lines()
            assert json.loads(await anext(lines))["id"] == episode(0).id
            for number in (1, 2):
                await simulator.publish(episode(number))
                assert json.loads(await anext(lines))["id"] == episode(number).id
            ending = asyncio.create_task(asyncio.to_thread(logger.end))
            assert [line async for line in lines] == []
            assert await ending == 0


async def test_the_command_line_follows_a_journal_over_a_restart_of_the_logger(
    connect: Connect, logger: ServiceProcess, tmp_path: Path
) -> None:
    simulator = await connect("simulator")
    with logger:
        await simulator.publish(episode(0))
        await wait_for_ids(journal_of(tmp_path), [episode(0).id])
        query: Query = {"event": ["EpisodeEnded"]}
        followed = journal_lines(logger.url, "r1", query, follow=True)
        assert json.loads(await asyncio.to_thread(next, followed))["id"] == episode(0).id
        logger.kill()
        await simulator.publish(episode(1))
        logger.start()
        line = await asyncio.to_thread(next, followed)
        assert json.loads(line)["id"] == episode(1).id
        assert (as_text(line) or "").endswith("training 1: off_track, 10 %, 21 steps, reward 10.5")
        followed.close()
        told = await asyncio.to_thread(
            lambda: list(journal_lines(logger.url, "r1/simulation.log", {"fields": 17}, False))
        )
        assert [line[:18] for line in told if "SIM_TRACE" in line][:22:21] == [
            "SIM_TRACE_LOG:0,1,",
            "SIM_TRACE_LOG:1,1,",
        ]
        with pytest.raises(RefusedByApi, match="no journal of a run 'nothing'"):
            await asyncio.to_thread(lambda: list(journal_lines(logger.url, "nothing", {}, False)))
    with pytest.raises(Unreachable, match="DR_LOGGER_URL"):
        await asyncio.to_thread(lambda: list(journal_lines(logger.url, "r1", {}, False)))


async def test_the_public_reader_takes_a_run_from_the_store(
    connect: Connect,
    logger: ServiceProcess,
    objects: ObjectStore,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_driven_run(connect, logger) as driven:
        await wait_for_archived(journal_of(tmp_path), layout.journal_file("r1", "r1.jsonl"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    where = {"s3_endpoint_url": s3_server.endpoint, "region": "us-east-1"}
    training = [one for one in driven if one.phase == "training"]

    def read() -> None:
        files = S3FileHandler(objects.bucket, layout.run_prefix("r1"), **where)
        log = DeepRacerLog(filehandler=files)
        log.load()
        assert log.dataframe()["unique_episode"].nunique() == len(training)
        log.load_evaluation_trace(force=True)
        assert log.dataframe()["episode"].nunique() == len(driven) - len(training)
        metrics = TrainingMetrics(objects.bucket, layout.run_prefix("r1"), **where)
        assert len(metrics.getTraining()) == len(training)

    await asyncio.to_thread(read)
