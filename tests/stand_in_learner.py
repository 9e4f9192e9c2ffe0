"""
A learner that learns nothing: it speaks the trainer's protocol on the real bus and store.

The first word of the run's `notes` says what it does:

    finish      two iterations with a checkpoint each, then the report
    wait        one iteration with a checkpoint, then it waits until it is asked to stop
    die-once    as `wait`, but the first attempt is killed after its checkpoint
    refuse      reports a failure
"""

import asyncio
import os
import signal
import sys

from libs.common.bus import Bus
from libs.common.config import ServiceSettings, load
from libs.common.deepracer import layout
from libs.common.events import (
    CheckpointRef,
    CheckpointSaved,
    EpisodeEnded,
    IterationEnded,
    StepColumns,
)
from libs.common.objects import ObjectStore
from services.trainer.order import LearnerOrder, LearnerReport


class StandIn:
    """One attempt."""

    def __init__(self, order: LearnerOrder, bus: Bus, objects: ObjectStore) -> None:
        self.order, self.bus, self.objects = order, bus, objects
        self.iteration = order.resume.number if order.resume else 0

    async def iterate(self) -> None:
        """One iteration of 100 steps and one episode, with its checkpoint."""
        run_id, number = self.order.run_id, self.iteration
        simulator = await Bus.connect(load(ServiceSettings).nats_url, "simulator", "stand-in")
        await simulator.publish(_episode(run_id, number))
        await simulator.close()
        await self.bus.publish(
            IterationEnded(
                run_id=run_id,
                iteration=number,
                env_steps=100 * (number + 1),
                total_episodes=number + 1,
                elapsed_s=2.0 * (number + 1),
                steps_per_s=50.0,
                completion_ratio=0.5,
                mean_progress_pct=75.0,
            )
        )
        self.iteration += 1
        await self.save()

    async def save(self) -> None:
        """A checkpoint of four small objects."""
        run_id, number = self.order.run_id, self.iteration
        name = f"{number}_Step-{number * 100}.ckpt"
        endings = ("data-00000-of-00001", "index", "meta")
        keys = [layout.model_file(run_id, f"{name}.{ending}") for ending in endings]
        files = [await self.objects.put(key, key.encode()) for key in keys]
        policy = await self.objects.put(layout.model_file(run_id, f"model_{number}.pb"), b"policy")
        checkpoint = CheckpointRef(
            name=name, number=number, env_steps=number * 100, files=tuple(files), policy=policy
        )
        await self.bus.publish(
            CheckpointSaved(
                run_id=run_id,
                checkpoint=checkpoint,
                iteration=number - 1,
                artifacts=(*files, policy),
            )
        )

    async def play(self) -> LearnerReport:
        """What the notes say."""
        part = self.order.spec.notes.partition(" ")[0]
        if part == "refuse":
            return LearnerReport(outcome="failed", reason="the reward function returned 'text'")
        await self.iterate()
        if part == "die-once" and self.order.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if part == "finish":
            await self.iterate()
            return LearnerReport(outcome="finished", reason="max_iterations 2 reached")
        return await self.wait()

    async def wait(self) -> LearnerReport:
        """Until the trainer asks for an end, or is gone."""
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            os._exit(4)
        await self.save()
        return LearnerReport(outcome="stopped", reason=line.strip().partition(" ")[2])


def _episode(run_id: str, number: int) -> EpisodeEnded:
    return EpisodeEnded(
        id=f"{run_id}-training-{number}",
        run_id=run_id,
        phase="training",
        episode=number,
        iteration=number,
        rollout_id="stand-in",
        car=0,
        track="oval",
        track_length_m=10.0,
        status="lap_complete",
        reward=12.5,
        progress_pct=100.0,
        steps=1,
        lap_s=20.0 - number,
        started_at_s=0.0,
        columns=StepColumns(x_m=(0.0,), y_m=(0.0,), reward=(0.0,)),
    )


async def main() -> None:
    order = LearnerOrder.model_validate_json(sys.stdin.readline())
    settings = load(ServiceSettings)
    bus = await Bus.connect(settings.nats_url, "trainer", "stand-in")
    async with ObjectStore.of(settings) as objects:
        report = await StandIn(order, bus, objects).play()
    await bus.close()
    sys.stdout.write(report.model_dump_json() + "\n")


if __name__ == "__main__":
    asyncio.run(main())
