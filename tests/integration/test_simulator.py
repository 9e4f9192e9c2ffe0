"""The simulator as a process on a real bus, with a driver in place of a learner."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from libs.common.bus import Bus
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RaceSpec
from libs.common.events import (
    PLATFORM,
    ActionRequest,
    CameraSeen,
    CarsMoved,
    CollectRollout,
    EpisodeEnded,
    EvaluatePolicy,
    EvaluationFailed,
    FilmEpisode,
    FilmFailed,
    FilmMade,
    FilmWish,
    MessageRejected,
    ObjectRef,
    PolicyView,
    RewardFailed,
    RunWatched,
    SensorArray,
    TrackRef,
)
from libs.common.objects import ObjectStore
from libs.common.observations import sensors_of
from libs.common.tracks import load_built_in
from services.simulator.race import Race
from services.trainer.lockstep import Lockstep, Turn, rollout_name
from tests.conftest import Connect
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess
from tests.small_policy import small_weights, write_policy
from tests.staged_run import StagedRun

STRAIGHT = 1
METADATA = ModelMetadata.model_validate(
    {
        "action_space": [
            {"steering_angle": angle, "speed": 2.0, "index": index}
            for index, angle in enumerate((-30.0, 0.0, 30.0))
        ]
    }
)


CONTINUOUS = ModelMetadata.model_validate(
    {
        "action_space": {
            "steering_angle": {"low": -30, "high": 30},
            "speed": {"low": 1.0, "high": 3.0},
        },
        "action_space_type": "continuous",
    }
)


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One bus and one simulator for this module; each test drives a run of its own."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def simulator(
    nats_server: NatsServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    state = tmp_path_factory.mktemp("simulator")
    patience = {"DR_SIMULATOR_PATIENCE_S": "2"}  # with drivers that have left
    with ServiceProcess(
        "simulator", nats_server, s3_server, state, bucket="simulator", **patience
    ) as process:
        yield process


@pytest.fixture
def run() -> str:
    return f"drive-{uuid4().hex[:8]}"


def rollout(
    name: str,
    cars: range,
    reward: str = "return 1.0",
    race: RaceSpec | None = None,
    metadata: ModelMetadata = METADATA,
) -> CollectRollout:
    return CollectRollout(
        id=name,
        run_id=name.split(".")[0],
        rollout_id=name,
        track=TrackRef(name="oval"),
        race=race or RaceSpec(),
        metadata=metadata,
        reward_function=f"def reward_function(params):\n    {reward}\n",
        cars=tuple(cars),
        seeds=tuple(cars),
    )


class Driver:
    """Drives straight on and numbers episodes, as the learner does."""

    def __init__(
        self,
        bus: Bus,
        run: str,
        first_episode: int = 0,
        continuous: bool = False,
        sensors: Sequence[SensorArray] = sensors_of(METADATA),
    ) -> None:
        self.lockstep, self._bus, self._run = Lockstep(run, sensors), bus, run
        self._continuous = continuous
        self.episodes: list[int] = []
        self.ended: list[int] = []
        self._next = first_episode
        self.asked_for_saliency = False
        self.turns: tuple[Turn, ...] = ()  # the first and the last

    @asynccontextmanager
    async def driving(self, *commands: CollectRollout) -> AsyncIterator[None]:
        await self._bus.serve(ActionRequest, self.lockstep.on_request, self._run)
        seats = [(c.rollout_id, slice(c.cars[0], c.cars[-1] + 1)) for c in commands]
        self.episodes = [self._number() for command in commands for _ in command.cars]
        self.lockstep.open(seats)
        for command in commands:
            await self._bus.publish(command)
        task = asyncio.create_task(self._drive())
        try:
            yield
        finally:
            self.lockstep.stop()
            task.cancel()

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    async def _drive(self) -> None:
        while True:
            turn = await self.lockstep.turn()
            self.turns = (*self.turns[:1], turn)
            for car, step in enumerate(turn.steps):
                if step.done and car not in turn.anew:
                    self.ended.append(step.episode)
                    self.episodes[car] = self._number()
            count = len(self.episodes)
            actions, commands = [STRAIGHT] * count, [(0.0, 2.0)] * count
            given = ([], commands) if self._continuous else (actions, [])
            self.asked_for_saliency |= turn.tell_saliency
            policy = PolicyView(taken=STRAIGHT) if turn.tell_policy else None
            self.lockstep.reply(turn, given[0], self.episodes, 3, given[1], policy)


async def first_episodes(bus: Bus, run: str, count: int) -> list[EpisodeEnded]:
    found: list[EpisodeEnded] = []
    async with asyncio.timeout(60):
        async for received in bus.follow(run, classes=[EpisodeEnded]):
            assert isinstance(received.message, EpisodeEnded)
            found.append(received.message)
            if len(found) == count:
                break
    return found


async def test_cars_drive_and_every_episode_is_told_with_its_steps(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus = await connect("trainer")
    driver = Driver(bus, run)
    async with driver.driving(rollout(rollout_name(run, 1, 0), range(4))):
        episodes = await first_episodes(bus, run, 12)
    for episode in episodes:
        columns = episode.columns
        assert episode.status == "off_track"  # straight on leaves an oval
        assert episode.iteration == 3
        assert episode.id == EpisodeEnded.training_id(run, episode.episode)
        assert len(columns.x_m) == episode.steps + 1
        assert sum(columns.reward) == pytest.approx(episode.reward)
        assert columns.action[1:] == (STRAIGHT,) * episode.steps
    assert len({episode.episode for episode in episodes}) == 12


async def test_two_rollouts_of_one_run_move_in_lockstep(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus = await connect("trainer")
    commands = [
        rollout(rollout_name(run, 1, 0), range(2)),
        rollout(rollout_name(run, 1, 1), range(2, 4)),
    ]
    async with Driver(bus, run).driving(*commands):
        episodes = await first_episodes(bus, run, 8)
    assert {episode.car for episode in episodes} == {0, 1, 2, 3}


async def test_the_same_seeds_drive_the_same_episodes(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus = await connect("trainer")
    for attempt in (1, 2):
        driver = Driver(bus, run, first_episode=100 * attempt)
        async with driver.driving(rollout(rollout_name(run, attempt, 0), range(2))):
            await first_episodes(bus, run, 4 * attempt)
    episodes = [e for e in await first_episodes(bus, run, 8) if e.car == 0]
    one, two = (next(e for e in episodes if e.episode // 100 == attempt) for attempt in (1, 2))
    assert one.columns == two.columns


async def test_a_killed_simulators_rollout_goes_on_in_the_next_and_nothing_counts_twice(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus = await connect("trainer")
    driver = Driver(bus, run)
    async with driver.driving(rollout(rollout_name(run, 1, 0), range(4))):
        await first_episodes(bus, run, 4)
        simulator.kill()
        simulator.launch()
        await first_episodes(bus, run, 24)
    ids = [episode.id for episode in await first_episodes(bus, run, 24)]
    assert len(set(ids)) == len(ids)


async def test_a_reward_that_raises_ends_the_rollout_and_the_simulator_lives_on(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus = await connect("trainer")
    broken = "return 1 / (params['steps'] - 7)"
    async with Driver(bus, run).driving(rollout(rollout_name(run, 1, 0), range(2), broken)):
        async with asyncio.timeout(30):
            failed = (await anext(bus.follow(run, classes=[RewardFailed]))).message
    assert isinstance(failed, RewardFailed)
    assert "ZeroDivisionError" in failed.reason + failed.traceback
    assert (failed.line, failed.params["steps"]) == (2, 7)
    async with Driver(bus, run).driving(rollout(rollout_name(run, 2, 0), range(2))):
        await first_episodes(bus, run, 2)


@pytest.mark.parametrize("kind", ["object_avoidance", "head_to_bot", "head_to_model"])
async def test_every_race_is_driven(
    simulator: ServiceProcess, connect: Connect, run: str, kind: str
) -> None:
    bus = await connect("trainer")
    race = RaceSpec(type=kind, objects={"count": 3}, bots={"count": 3}, cars_on_track=4)
    reward = "return len(params['objects_location']) + params['object_in_camera']"
    command = rollout(rollout_name(run, 1, 0), range(8), reward, race)
    async with Driver(bus, run).driving(command):
        episodes = await first_episodes(bus, run, 16)
    for episode in episodes:
        assert set(episode.columns.reward[1:]) <= {3.0, 4.0}
        assert episode.status in ("crashed", "off_track")
        assert episode.crash_count == (episode.status == "crashed")


async def test_continuous_commands_are_driven_as_they_are(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus = await connect("trainer")
    command = rollout(rollout_name(run, 1, 0), range(2), metadata=CONTINUOUS)
    async with Driver(bus, run, continuous=True).driving(command):
        for episode in await first_episodes(bus, run, 2):
            assert set(episode.columns.action) == {-1}
            assert set(episode.columns.speed_mps[1:]) == {2.0}


async def rejected(bus: Bus, run: str) -> MessageRejected:
    """The first message of a run that was refused."""
    async for received in bus.follow(PLATFORM, classes=[MessageRejected]):
        if isinstance(event := received.message, MessageRejected) and run in event.rejected_subject:
            return event
    raise AssertionError("the stream has ended")


@pytest.mark.parametrize(
    "sensors",
    [("LEFT_CAMERA",), ("LIDAR", "FRONT_FACING_CAMERA"), ("STEREO_CAMERAS", "SECTOR_LIDAR")],
    ids="+".join,
)
async def test_what_every_sensor_observes_reaches_the_learner_over_the_bus(
    simulator: ServiceProcess, connect: Connect, run: str, sensors: tuple[str, ...]
) -> None:
    bus = await connect("trainer")
    metadata = METADATA.model_copy(update={"sensor": sensors})
    race = RaceSpec(type="object_avoidance", objects={"count": 6})
    commands = [
        rollout(rollout_name(run, 1, number), range(2 * number, 2 * number + 2), race=race)
        for number in range(2)
    ]
    commands = [command.model_copy(update={"metadata": metadata}) for command in commands]
    driver = Driver(bus, run, sensors=sensors_of(metadata))
    async with driver.driving(*commands):
        await first_episodes(bus, run, 2)
    track = load_built_in("oval")
    at_the_start = Race(track, race, metadata, range(4)).observed_by(metadata)
    first, last = driver.turns
    for name, array in at_the_start.items():
        assert np.array_equal(first.observations[name], array)
        assert last.observations[name].shape == array.shape
    camera = next(name for name in sensors if name.endswith(("CAMERA", "CAMERAS")))
    assert not np.array_equal(last.observations[camera], at_the_start[camera])


async def test_a_simulator_with_other_sensors_than_the_runs_is_refused_with_both(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus = await connect("trainer")
    command = rollout(rollout_name(run, 1, 0), range(2))
    stereo = METADATA.model_copy(update={"sensor": ("STEREO_CAMERAS",)})
    async with Driver(bus, run, sensors=sensors_of(stereo)).driving(command):
        async with asyncio.timeout(30):
            refused = await rejected(bus, run)
    assert "got FRONT_FACING_CAMERA uint8 (120, 160, 1); accepted: STEREO" in refused.reason


async def test_actions_of_another_kind_of_action_space_are_refused_with_the_reason(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus = await connect("trainer")
    command = rollout(rollout_name(run, 1, 0), range(2), metadata=CONTINUOUS)
    async with Driver(bus, run).driving(command):
        async with asyncio.timeout(30):
            refused = await rejected(bus, run)
    assert "got 2 indices and 0 commands for 2 cars" in refused.reason


async def test_pictures_and_poses_are_sent_while_someone_watches(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus, streamer = await connect("trainer"), await connect("streamer")
    moved: asyncio.Queue[CarsMoved] = asyncio.Queue()
    seen: asyncio.Queue[CameraSeen] = asyncio.Queue()

    async def on_moved(event: CarsMoved) -> None:
        moved.put_nowait(event)

    async def on_seen(event: CameraSeen) -> None:
        seen.put_nowait(event)

    await streamer.watch(CarsMoved, on_moved, run)
    await streamer.watch(CameraSeen, on_seen, run)
    driver = Driver(bus, run)
    async with driver.driving(rollout(rollout_name(run, 1, 0), range(3))):
        await first_episodes(bus, run, 3)
        assert moved.empty()
        await streamer.publish(RunWatched(run_id=run, saliency=True))
        async with asyncio.timeout(10):
            poses, picture = await moved.get(), await seen.get()
    assert [pose.car for pose in poses.cars] == [0, 1, 2]
    assert picture.jpeg.startswith(b"\xff\xd8")
    assert picture.policy == PolicyView(taken=STRAIGHT)
    assert driver.asked_for_saliency


async def test_a_reward_that_raises_in_an_evaluation_is_told_with_its_params(
    simulator: ServiceProcess, connect: Connect, run: str, s3_server: S3Server, tmp_path: Path
) -> None:
    bus = await connect("trainer")
    file = await asyncio.to_thread(write_policy, small_weights(3), tmp_path / "model.pb")
    async with store(s3_server) as objects:
        policy = await objects.put("broken-reward/model.pb", file.read_bytes())
    source = "def reward_function(params):\n    return 1 / (params['steps'] - 7)\n"
    command = evaluation(run, policy).model_copy(update={"reward_function": source})
    await bus.publish(command)
    failures: dict[type, object] = {}
    async with asyncio.timeout(60):
        async for received in bus.follow(run, classes=[RewardFailed, EvaluationFailed]):
            failures[type(received.message)] = received.message
            if len(failures) == 2:
                break
    failed = failures[RewardFailed]
    assert isinstance(failed, RewardFailed)
    assert failed.rollout_id == command.evaluation_id
    assert (failed.line, failed.params["steps"]) == (2, 7)
    assert "ZeroDivisionError" in failed.traceback


async def test_a_policy_that_is_no_graph_fails_its_evaluation_with_the_reason(
    simulator: ServiceProcess, connect: Connect, run: str, s3_server: S3Server
) -> None:
    bus = await connect("trainer")
    async with store(s3_server) as objects:
        policy = await objects.put("model.pb", b"no graph")
    await bus.publish(evaluation(run, policy))
    async with asyncio.timeout(30):
        failed = (await anext(bus.follow(run, classes=[EvaluationFailed]))).message
    assert isinstance(failed, EvaluationFailed)
    assert "8 bytes" in failed.reason


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffmpeg is not installed")
async def test_a_past_episode_becomes_a_film_in_the_store(
    simulator: ServiceProcess, connect: Connect, run: str, s3_server: S3Server, tmp_path: Path
) -> None:
    bus, streamer = await connect("trainer"), await connect("streamer")
    staged = StagedRun(bus, await connect("simulator"), run)
    await staged.queue()
    await staged.drive(progress_pct=8.0)
    best = await staged.drive(progress_pct=10.0)
    for wish in (FilmWish(view="camera-topview"), FilmWish(episode=7)):
        await streamer.publish(
            FilmEpisode(
                run_id=run,
                film_id=f"{run}-{wish.episode}",
                wish=wish,
                spec=staged.spec(),
                track=TrackRef(name=staged.track.name),
            )
        )
    told: dict[type, FilmMade | FilmFailed] = {}
    async with asyncio.timeout(120):
        async for received in bus.follow(run, classes=[FilmMade, FilmFailed]):
            assert isinstance(received.message, FilmMade | FilmFailed)
            told[type(received.message)] = received.message
            if len(told) == 2:
                break
    made, failed = told[FilmMade], told[FilmFailed]
    assert isinstance(made, FilmMade)
    assert isinstance(failed, FilmFailed)
    assert failed.reason == f"run {run!r} has no training episode 7; there are: 0 to 1"
    assert (made.episode, made.path) == (1, "mp4/camera-topview/1-video.mp4")
    assert made.pictures == len(best.columns.x_m)
    async with store(s3_server) as objects:
        film = await objects.get(made.artifacts[0])
    file = tmp_path / "film.mp4"
    file.write_bytes(film)
    command = ["ffprobe", "-v", "error", "-of", "json", "-count_frames", "-show_entries"]
    command += ["stream=codec_name,width,height,nb_read_frames", str(file)]
    probed = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    assert json.loads(probed.stdout)["streams"] == [
        {"codec_name": "h264", "width": 640, "height": 480, "nb_read_frames": str(made.pictures)}
    ]


def store(server: S3Server) -> ObjectStore:
    return ObjectStore(server.address("simulator"))


def evaluation(run: str, policy: ObjectRef) -> EvaluatePolicy:
    return EvaluatePolicy(
        run_id=run,
        evaluation_id=f"{run}.e1",
        policy=policy,
        checkpoint="1_Step-1.ckpt",
        track=TrackRef(name="oval"),
        race=RaceSpec(),
        metadata=METADATA,
        reward_function="def reward_function(params):\n    return 1.0\n",
        trials=3,
    )


async def test_it_ends_cleanly_in_the_middle_of_a_rollout_and_hands_it_back(
    simulator: ServiceProcess, connect: Connect, run: str
) -> None:
    bus = await connect("trainer")
    async with Driver(bus, run).driving(rollout(rollout_name(run, 1, 0), range(2))):
        await first_episodes(bus, run, 2)
        assert await asyncio.to_thread(simulator.end) == 0
        await asyncio.to_thread(simulator.start)
        await first_episodes(bus, run, 8)
