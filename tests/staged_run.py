"""
A plausible run without a simulator or a learner: its events and telemetry on a real bus.

For the tests of what follows runs, and to look at the live page while working on it:

    python -m tests.staged_run nats://127.0.0.1:7422 --run demo --iterations 40
"""

import argparse
import asyncio
import itertools
import math
import random
from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from libs.common.bus import Bus
from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ContinuousActionSpace, DiscreteAction, ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import (
    ActionOdds,
    BestCheckpointChosen,
    CameraSeen,
    CarPose,
    CarsMoved,
    CheckpointRef,
    CheckpointSaved,
    EpisodeEnded,
    EpisodeStatus,
    EpochLosses,
    EvaluationEnded,
    IterationEnded,
    ObjectRef,
    Outcome,
    PolicyView,
    RunEnded,
    RunQueued,
    RunStarted,
    SaliencyGrid,
    StepColumns,
    TrackRef,
    TrialResult,
)
from libs.common.tracks import Track, load_built_in

STEP_S = 1 / 15
FRAME_S = 0.1
CARS = 8


class StagedRun:
    """
    Publishes what a trainer and a simulator would; the driving gets better with the iterations.

    Everything depends on the seed and the calls alone. `began` moves the whole run in time.
    """

    def __init__(
        self,
        trainer: Bus,
        simulator: Bus,
        run_id: str = "staged",
        track: Track | None = None,
        began: datetime | None = None,
        seed: int = 1,
    ) -> None:
        self.trainer, self.simulator, self.run_id = trainer, simulator, run_id
        self.track = track or load_built_in("loop")
        self.reference = TrackRef(name=self.track.name)
        self.iterations = self.episodes = self.env_steps = 0
        self._clock = began or datetime.now(UTC)
        self._random = random.Random(seed)

    async def queue(self) -> None:
        await self.trainer.publish(
            RunQueued(**self._envelope(), spec=self.spec(), track=self.reference)
        )

    async def start(self, attempt: int = 1) -> None:
        await self.trainer.publish(
            RunStarted(**self._envelope(), attempt=attempt, trainer="trainer-1")
        )

    async def end(self, outcome: Outcome = "finished", reason: str = "target reached") -> None:
        await self.trainer.publish(RunEnded(**self._envelope(), outcome=outcome, reason=reason))

    async def iterate(self, episodes: int = CARS, progress_pct: float | None = None) -> None:
        """One iteration: its episodes, then what the learner made of them."""
        ended = [await self.drive(progress_pct) for _ in range(episodes)]
        self._clock += timedelta(seconds=2)
        laps = sum(episode.lap_s is not None for episode in ended)
        decay = math.exp(-self.iterations / 15)
        losses = EpochLosses(
            epoch=2,
            surrogate_loss=-0.02 * decay + self._random.gauss(0, 0.002),
            value_loss=0.4 * decay + 0.05 + abs(self._random.gauss(0, 0.02)),
            kl_divergence=0.012 * decay + abs(self._random.gauss(0, 0.001)),
            entropy=1.6 * decay + 0.25 + self._random.gauss(0, 0.02),
        )
        await self.trainer.publish(
            IterationEnded(
                **self._envelope(),
                iteration=self.iterations,
                episodes=tuple(episode.episode for episode in ended),
                total_episodes=self.episodes,
                env_steps=self.env_steps,
                steps_per_s=610 + self._random.gauss(0, 15),
                mean_reward=sum(episode.reward for episode in ended) / max(len(ended), 1),
                mean_progress_pct=sum(e.progress_pct for e in ended) / max(len(ended), 1),
                completion_ratio=laps / max(len(ended), 1),
                action_counts=(3, 5, 8, 5, 3),
                losses=(losses,),
            )
        )
        self.iterations += 1

    async def drive(
        self, progress_pct: float | None = None, lap_s: float | None = None
    ) -> EpisodeEnded:
        """One training episode, to this progress or to a chance one that grows with time."""
        skill = 1 - math.exp(-self.iterations / 14)
        if progress_pct is None:
            progress_pct = min(100.0, max(4.0, self._random.gauss(125 * skill, 28)))
        speed_mps = 1.1 + 0.9 * skill + self._random.gauss(0, 0.06)
        if lap_s is not None:
            speed_mps = self.track.length_m / lap_s
        columns = self._columns(progress_pct, speed_mps)
        status: EpisodeStatus = "lap_complete" if progress_pct >= 100 else "off_track"
        event = EpisodeEnded(
            **self._envelope(),
            phase="training",
            episode=self.episodes,
            iteration=self.iterations,
            rollout_id="rollout-1",
            car=self.episodes % CARS,
            track=self.track.name,
            track_length_m=self.track.length_m,
            status=status,
            reward=sum(columns.reward),
            progress_pct=progress_pct,
            steps=len(columns.x_m) - 1,
            lap_s=columns.sim_time_s[-1] if progress_pct >= 100 else None,
            started_at_s=self._clock.timestamp(),
            columns=columns,
        )
        await self.simulator.publish(event)
        self.episodes += 1
        self.env_steps += event.steps
        return event

    async def save_checkpoint(self, best: bool = False) -> str:
        name = f"{self.iterations}_Step-{self.env_steps}.ckpt"
        pointer = ObjectRef(uri=f"s3://staged/{name}", sha256="0" * 64, size_bytes=1)
        checkpoint = CheckpointRef(
            name=name, number=self.iterations, env_steps=self.env_steps, files=(), policy=pointer
        )
        await self.trainer.publish(
            CheckpointSaved(
                **self._envelope(), checkpoint=checkpoint, iteration=self.iterations - 1
            )
        )
        if best:
            await self.trainer.publish(
                BestCheckpointChosen(
                    **self._envelope(), checkpoint=checkpoint, trials=(), metric=100.0
                )
            )
        return name

    async def evaluate(self, checkpoint: str, progress_pct: tuple[float, ...]) -> None:
        """An evaluation with one trial for each progress."""
        trials = [
            TrialResult(
                trial=number,
                status="lap_complete" if progress >= 100 else "off_track",
                progress_pct=progress,
                steps=140,
                lap_s=9.1 + 0.15 * number if progress >= 100 else None,
            )
            for number, progress in enumerate(progress_pct)
        ]
        await self.simulator.publish(
            EvaluationEnded(
                **self._envelope(),
                evaluation_id=f"{self.run_id}-{self.iterations}",
                checkpoint=checkpoint,
                track=self.track.name,
                trials=tuple(trials),
            )
        )

    async def move(self, time_s: float) -> None:
        """Poses of all cars, and the picture of the first, at a moment of the driving."""
        distances_m = [
            (time_s * (1.5 + 0.1 * car) + car * 2.2) % self.track.length_m for car in range(CARS)
        ]
        await self.simulator.publish(
            CarsMoved(
                run_id=self.run_id,
                rollout_id="rollout-1",
                cars=tuple(self._pose(car, at_m) for car, at_m in enumerate(distances_m)),
            )
        )
        picture = camera_picture(self.track, distances_m[0])
        await self.simulator.publish(
            CameraSeen(
                run_id=self.run_id,
                car=0,
                width=320,
                height=240,
                jpeg=picture,
                policy=self._policy(),
            )
        )

    def _policy(self) -> PolicyView:
        """The odds of this run's actions; the third one was taken."""
        odds = (0.05, 0.2, 0.6, 0.1, 0.05)
        space = self.spec().metadata.action_space
        assert not isinstance(space, ContinuousActionSpace)
        actions = tuple(
            ActionOdds(
                steering_rad=math.radians(action.steering_angle),
                speed_mps=action.speed,
                probability=probability,
            )
            for action, probability in zip(space, odds, strict=True)
        )
        cells = bytes(255 if 80 < cell < 100 else 0 for cell in range(15 * 20))
        grid = SaliencyGrid(rows=15, columns=20, cells=cells)
        return PolicyView(actions=actions, taken=2, saliency=grid)

    async def keep_moving(self) -> None:
        """Poses and pictures as often as a simulator sends them, until cancelled."""
        for frame in itertools.count():
            await self.move(frame * FRAME_S)
            await asyncio.sleep(FRAME_S)

    def spec(self) -> RunSpec:
        """A run of five actions on the staged track."""
        actions = [
            DiscreteAction(steering_angle=angle, speed=1.5, index=index)
            for index, angle in enumerate((-30, -15, 0, 15, 30))
        ]
        return RunSpec(
            name=self.run_id,
            track=self.track.name,
            metadata=ModelMetadata(action_space=tuple(actions)),
            hyperparameters=Hyperparameters(cars=CARS),
            reward_function="def reward_function(params):\n    return 1.0\n",
        )

    def _envelope(self) -> dict[str, object]:
        return {"run_id": self.run_id, "at": self._clock}

    def _columns(self, progress_pct: float, speed_mps: float) -> StepColumns:
        """A drive along the centre line that wanders, and leaves the road where it ends early."""
        length_m = self.track.length_m * progress_pct / 100
        distances_m = np.arange(0, length_m, speed_mps * STEP_S)
        distances_m = np.append(distances_m, length_m)
        start_m = 0.05 * self.episodes % 1 * self.track.length_m
        phase = self._random.uniform(0, 2 * math.pi)
        offset_m = 0.16 * np.sin(distances_m * 1.3 + phase)
        if progress_pct < 100:
            left = self._random.choice((-1, 1)) * 0.45
            offset_m += left * np.clip((distances_m - length_m + 1.2) / 1.2, 0, 1) ** 2
        points = self.track.points_at(start_m + distances_m)
        headings_rad = self.track.headings_at(start_m + distances_m)
        x_m = points[:, 0] - offset_m * np.sin(headings_rad)
        y_m = points[:, 1] + offset_m * np.cos(headings_rad)
        steps = len(distances_m)
        return StepColumns(
            x_m=tuple(x_m.tolist()),
            y_m=tuple(y_m.tolist()),
            heading_rad=tuple(headings_rad.tolist()),
            steering_rad=(0.0,) * steps,
            speed_mps=(speed_mps,) * steps,
            action=(-1, *(2,) * (steps - 1)),
            reward=(0.0, *(0.8,) * (steps - 1)),
            progress_pct=tuple((distances_m / self.track.length_m * 100).tolist()),
            closest_waypoint=(0,) * steps,
            all_wheels_on_track=(True,) * steps,
            sim_time_s=tuple((distances_m / speed_mps).tolist()),
        )

    def _pose(self, car: int, at_m: float) -> CarPose:
        (x_m, y_m) = self.track.points_at([at_m])[0]
        heading_rad = float(self.track.headings_at([at_m])[0])
        wander_m = 0.14 * math.sin(at_m * 1.1 + car)
        return CarPose(
            car=car,
            x_m=x_m - wander_m * math.sin(heading_rad),
            y_m=y_m + wander_m * math.cos(heading_rad),
            heading_rad=heading_rad,
            speed_mps=1.5 + 0.1 * car,
            progress_pct=at_m / self.track.length_m * 100,
            episode=self.episodes + car,
        )


def camera_picture(track: Track, at_m: float) -> bytes:
    """A crude look along the road, as JPEG: the borders ahead in perspective."""
    image = Image.new("L", (320, 240), 96)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 320, 96), fill=190)
    eye = track.points_at([at_m])[0]
    heading_rad = float(track.headings_at([at_m])[0])
    ahead_m = np.linspace(0.35, 4.0, 40)
    sides = []
    for side in (1, -1):
        normal_rad = track.headings_at(at_m + ahead_m) + side * math.pi / 2
        line = track.points_at(at_m + ahead_m) + 0.38 * np.column_stack(
            (np.cos(normal_rad), np.sin(normal_rad))
        )
        sides.append(_projected(line - eye, heading_rad))
    draw.polygon([*sides[0], *sides[1][::-1]], fill=58)
    for border in sides:
        draw.line(border, fill=240, width=3)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _projected(points: np.ndarray, heading_rad: float) -> list[tuple[float, float]]:
    """Points of the floor, relative to the car, on a picture 320 pixels wide."""
    cos, sin = math.cos(heading_rad), math.sin(heading_rad)
    depth_m = np.maximum(points[:, 0] * cos + points[:, 1] * sin, 0.2)
    left_m = points[:, 1] * cos - points[:, 0] * sin
    x, y = 160 - 190 * left_m / depth_m, 96 + 60 / depth_m
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


async def stage(url: str, run_id: str, iterations: int, forever: bool) -> None:
    """Queue a run that began long ago, then let its cars drive and its curves grow."""
    trainer, simulator = await Bus.connect(url, "trainer"), await Bus.connect(url, "simulator")
    began = datetime.now(UTC) - timedelta(seconds=3 * iterations)
    run = StagedRun(trainer, simulator, run_id, began=began)
    await run.queue()
    await run.start()
    for number in range(iterations):
        await run.iterate()
        if number % 10 == 9:
            skill = number / iterations
            name = await run.save_checkpoint(best=skill > 0.5)
            await run.evaluate(name, (100, 100, 100, 100 if skill > 0.8 else 61.4, 100))
    if forever:
        async with asyncio.TaskGroup() as group:
            group.create_task(run.keep_moving())
            group.create_task(keep_learning(run))
    await simulator.close()
    await trainer.close()


async def keep_learning(run: StagedRun) -> None:
    while True:
        await run.iterate(2)
        await asyncio.sleep(1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description="Publish a plausible run on a bus.")
    parser.add_argument("url", help="of the NATS server")
    parser.add_argument("--run", default="demo")
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--once", action="store_true", help="end after the iterations")
    arguments = parser.parse_args()
    asyncio.run(stage(arguments.url, arguments.run, arguments.iterations, not arguments.once))


if __name__ == "__main__":
    main()
