"""
Thousands of runs that have ended, as a platform has them after years: on a real bus, no mocks.

Each is a row of the table of runs, as a trainer leaves it, and the events of its life.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice

from libs.common.bus import Bus
from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import DiscreteAction, ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import (
    CheckpointRef,
    Event,
    ObjectRef,
    Outcome,
    RunEnded,
    RunQueued,
    RunStarted,
    TrackRef,
)
from services.trainer.run_table import BUCKET
from services.trainer.runs import Progress, RunRecord

TRACKS = ("loop", "oval")
OUTCOMES: tuple[Outcome, ...] = ("finished", "stopped", "failed")
AT_ONCE = 200
APART = timedelta(minutes=7)
LONG = timedelta(minutes=5)
REWARD = (
    "def reward_function(params):\n"
    + "    # keep to the middle of the road\n" * 40
    + ("    return 1.0 - params['distance_from_center'] / params['track_width']\n")
)


class SeededRuns:
    """So many ended runs, named `old-00000` and on; the last one ended an hour ago."""

    def __init__(self, count: int, now: datetime | None = None) -> None:
        self.count = count
        self._first = (now or datetime.now(UTC)) - timedelta(hours=1) - count * APART

    def name(self, number: int) -> str:
        """Its run id."""
        return f"old-{number:05d}"

    async def store(self, trainer: Bus) -> None:
        """Write all rows and all events."""
        table = await trainer.records(BUCKET, RunRecord)
        await _in_batches(
            table.create(self.name(number), self._record(number)) for number in range(self.count)
        )
        await _in_batches(
            trainer.publish(event) for number in range(self.count) for event in self._life(number)
        )

    def _record(self, number: int) -> RunRecord:
        began = self._first + number * APART
        checkpoint = _checkpoint(self.name(number))
        return RunRecord(
            spec=self._spec(number),
            track=TrackRef(name=TRACKS[number % len(TRACKS)]),
            created_at=began,
            files_stored=True,
            since=1,
            status=OUTCOMES[number % len(OUTCOMES)],
            reason="target reached",
            attempt=1,
            started_at=began,
            ended_at=began + LONG,
            progress=Progress(iteration=40, episodes=320, env_steps=40_000, elapsed_s=300.0),
            best=checkpoint,
            last=checkpoint,
        )

    def _life(self, number: int) -> list[Event]:
        run_id, began = self.name(number), self._first + number * APART
        track = TrackRef(name=TRACKS[number % len(TRACKS)])
        return [
            RunQueued(run_id=run_id, at=began, spec=self._spec(number), track=track),
            RunStarted(run_id=run_id, at=began, attempt=1, trainer="trainer-1"),
            RunEnded(
                run_id=run_id,
                at=began + LONG,
                outcome=OUTCOMES[number % len(OUTCOMES)],
                reason="target reached",
            ),
        ]

    def _spec(self, number: int) -> RunSpec:
        actions = [
            DiscreteAction(steering_angle=angle, speed=1.5, index=index)
            for index, angle in enumerate((-30, -15, 0, 15, 30))
        ]
        return RunSpec(
            name=self.name(number),
            track=TRACKS[number % len(TRACKS)],
            metadata=ModelMetadata(action_space=tuple(actions)),
            hyperparameters=Hyperparameters(),
            reward_function=REWARD,
        )


def _checkpoint(run_id: str) -> CheckpointRef:
    pointer = ObjectRef(uri=f"s3://seeded/{run_id}/40.pb", sha256="0" * 64, size_bytes=1)
    return CheckpointRef(
        name="40_Step-40000.ckpt", number=40, env_steps=40_000, files=(), policy=pointer
    )


async def _in_batches(calls: Iterable[Awaitable[object]]) -> None:
    """All of them in their order, many at once."""
    rest = iter(calls)
    while batch := list(islice(rest, AT_ONCE)):
        await asyncio.gather(*batch)
