"""Which checkpoints of a run are evaluated, and which of them is the best, on a real bus."""

import asyncio

import pytest

from libs.common.bus import Bus
from libs.common.deepracer.folder import read_run_folder
from libs.common.deepracer.run_spec import BestBy, EvaluationRules, EvaluationSpec, LimitsSpec
from libs.common.events import (
    BestCheckpointChosen,
    CheckpointRef,
    EvaluatePolicy,
    EvaluationEnded,
    ObjectRef,
    TrackRef,
    TrialResult,
)
from libs.common.objects import ObjectStore
from services.trainer.checkpoint_store import CheckpointStore
from services.trainer.judge import MOST_RESETS, OVERDUE_S, Judge
from services.trainer.order import LearnerOrder
from tests.conftest import Connect
from tests.trainer_process import run_folder

POLICY = ObjectRef(uri="s3://bucket/model.pb", size_bytes=1, sha256="0" * 64)


def order(
    best_by: BestBy = "progress", target: int = 0, rules: EvaluationRules = "clean"
) -> LearnerOrder:
    files = run_folder(**{"run.yaml": "track: oval\nname: one\n"})
    spec = read_run_folder({name: text.encode() for name, text in files.items()}).value
    changes = {
        "evaluation": EvaluationSpec(best_by=best_by, rules=rules),
        "limits": LimitsSpec(target_evaluations=target),
    }
    track = TrackRef(name="oval", sha256="0" * 64)
    return LearnerOrder(run_id="one", attempt=1, spec=spec.model_copy(update=changes), track=track)


def checkpoint(number: int) -> CheckpointRef:
    name = f"{number}_Step-{number}.ckpt"
    return CheckpointRef(name=name, number=number, env_steps=number, files=(), policy=POLICY)


def lap(lap_s: float, reward: float) -> TrialResult:
    return TrialResult(
        trial=0, status="lap_complete", progress_pct=100, steps=99, lap_s=lap_s, reward=reward
    )


OFF = TrialResult(trial=0, status="off_track", progress_pct=60, steps=99, reward=999)


class Court:
    """A judge whose clock is set by hand."""

    def __init__(self, order: LearnerOrder, bus: Bus, objects: ObjectStore) -> None:
        self.now_s = 0.0
        self.bus = bus
        store = CheckpointStore(order, bus, objects)
        self.judge = Judge(order, bus, store, clock=lambda: self.now_s)

    async def consider(self, number: int, at_s: float, *, promising: bool = False) -> bool:
        """Whether this checkpoint is evaluated."""
        self.now_s = at_s
        return await self.judge.consider(checkpoint(number), promising=promising)

    async def hear(self, number: int, at_s: float, *trials: TrialResult) -> str | None:
        self.now_s = at_s
        return await self.judge.hear(
            EvaluationEnded(
                run_id="one",
                evaluation_id=f"one.1.checkpoint-{number}",
                checkpoint=checkpoint(number).name,
                track="oval",
                trials=trials,
            )
        )

    async def chosen(self) -> list[tuple[int, float, str]]:
        """The best checkpoints in their order: number, metric, and by what."""
        events = self.bus.follow("one", classes=[BestCheckpointChosen], live=False)
        return [
            (event.checkpoint.number, event.metric, event.best_by)
            async for received in events
            if isinstance(event := received.message, BestCheckpointChosen)
        ]


async def test_checkpoints_are_skipped_until_evaluations_are_a_tenth_of_the_run(
    connect: Connect, objects: ObjectStore
) -> None:
    court = Court(order(), await connect("trainer"), objects)
    assert await court.consider(1, at_s=2)
    assert not await court.consider(2, at_s=3)  # one is out
    await court.hear(1, 4, OFF)
    assert not await court.consider(3, at_s=30, promising=True)
    assert not await court.consider(4, at_s=37.9)
    assert await court.consider(5, at_s=38)


async def test_an_evaluation_that_nobody_drives_holds_the_next_one_up_for_a_while_only(
    connect: Connect, objects: ObjectStore
) -> None:
    court = Court(order(target=1), await connect("trainer"), objects)
    assert await court.consider(1, at_s=0)
    assert not await court.consider(2, at_s=OVERDUE_S - 1, promising=True)
    assert await court.consider(3, at_s=OVERDUE_S, promising=True)


async def test_evaluations_that_may_end_the_run_are_driven_at_once(
    connect: Connect, objects: ObjectStore
) -> None:
    court = Court(order(target=2), await connect("trainer"), objects)
    assert await court.consider(1, at_s=0)
    assert await court.hear(1, 5, OFF) is None
    assert not await court.consider(2, at_s=6)
    assert await court.consider(3, at_s=7, promising=True)
    assert await court.hear(3, 9, lap(9, 1)) is None
    assert await court.consider(4, at_s=10)
    told = await court.hear(4, 12, lap(9, 1))
    assert told == "every trial completed its lap in 2 evaluations in a row"


@pytest.mark.parametrize(
    ("best_by", "numbers"),
    [("progress", [1, 2, 3, 4]), ("reward", [1, 2, 4]), ("lap_time", [1, 2, 3])],
)
async def test_the_best_is_chosen_by_completion_and_then_by_what_was_asked_for(
    connect: Connect, objects: ObjectStore, best_by: BestBy, numbers: list[int]
) -> None:
    court = Court(order(best_by, target=9), await connect("trainer"), objects)
    driven = [(OFF, OFF), (lap(9, 5), lap(9, 5)), (lap(8, 4), lap(8, 4)), (lap(11, 7), lap(11, 7))]
    for number, trials in enumerate([*driven, (OFF, lap(5, 999))], start=1):
        assert await court.consider(number, at_s=number, promising=True)
        await court.hear(number, number + 0.5, *trials)
    chosen = await court.chosen()
    assert [number for number, _, _ in chosen] == numbers
    assert chosen[0] == (1, 60.0, best_by)


async def test_a_run_for_races_is_judged_by_race_rules(
    connect: Connect, objects: ObjectStore
) -> None:
    court = Court(order("lap_time", target=1, rules="race"), await connect("trainer"), objects)
    asked: asyncio.Queue[EvaluatePolicy] = asyncio.Queue()
    simulator = await connect("simulator")
    await simulator.subscribe(EvaluatePolicy, asked.put, durable="evaluations")
    put_back = lap(21, 5).model_copy(update={"reset_count": 1})
    for number, trial in enumerate([put_back, lap(24, 5), put_back], start=1):
        assert await court.consider(number, at_s=number, promising=True)
        command = await asked.get()
        assert (command.rules, command.race.max_resets) == ("race", MOST_RESETS)
        told = await court.hear(number, number + 0.5, trial)
        # Only what was never put back ends a run: that is what a target asks for.
        assert (told is not None) == trial.clean
    assert [number for number, _, _ in await court.chosen()] == [1, 3]


async def test_another_attempt_remembers_the_best_of_the_one_before(
    connect: Connect, objects: ObjectStore
) -> None:
    bus = await connect("trainer")
    court = Court(order("reward"), bus, objects)
    await court.consider(1, at_s=0)
    await court.hear(1, 1, lap(9, 5))
    again = Court(order("reward"), bus, objects)
    await again.judge.recall()
    assert again.judge.best_progress_pct == 100
    await again.consider(2, at_s=0)
    await again.hear(2, 1, lap(9, 4))
    assert [number for number, _, _ in await again.chosen()] == [1]
