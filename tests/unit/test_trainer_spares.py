"""Spare learners: real processes, small programs."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psutil
import stamina

from libs.common.log import get_log
from services.trainer.order import LearnerReport
from services.trainer.spares import Spares
from tests.unit.test_trainer_learner_handle import order

# Reports whether it was a spare, and for which run.
PROGRAM = """
import sys
from services.trainer.order import *
line = sys.stdin.readline()
if not line:
    sys.exit(0)
order = LearnerOrder.model_validate_json(line)
words = f"{order.run_id} {'by a spare' if sys.argv[1:] else 'cold'}"
print(LearnerReport(outcome="finished", reason=words).model_dump_json(), flush=True)
sys.stdin.read()
"""
COMMAND = (sys.executable, "-c", PROGRAM)
OTHER = (sys.executable, "-c", PROGRAM + "#")


@asynccontextmanager
async def spares(
    most: int = 1, places: int = 1, command: tuple[str, ...] = COMMAND
) -> AsyncIterator[Spares]:
    kept = Spares(command, most, places, get_log())
    try:
        yield kept
    finally:
        await kept.leave()


async def eventually(holds: Callable[[], bool], kept: Spares) -> None:
    """Return when this holds; spares are filled up as a trainer does."""
    async for attempt in stamina.retry_context(
        on=AssertionError, attempts=None, timeout=60, wait_initial=0.02, wait_max=0.2
    ):
        with attempt:
            await kept.fill()
            assert holds()


async def test_an_order_goes_to_the_spare_and_none_is_kept_while_the_place_is_taken() -> None:
    async with spares() as kept:
        await kept.fill()
        (pid,) = kept.pids
        learner = await kept.start(COMMAND, order())
        assert learner.pid == pid
        await kept.fill()
        assert kept.pids == []
        learner.ask_to_stop("enough")
        await learner.leave(grace_s=20)
        assert await learner.report() == LearnerReport(outcome="finished", reason="one by a spare")
        await kept.fill()
        assert len(kept.pids) == 1


async def test_without_a_spare_a_learner_starts_cold() -> None:
    async with spares(most=0) as kept:
        await kept.fill()
        assert kept.pids == []
        learner = await kept.start(COMMAND, order())
        await learner.leave(grace_s=20)
        assert await learner.report() == LearnerReport(outcome="finished", reason="one cold")


async def test_a_learner_of_another_command_starts_cold_and_the_spare_makes_room() -> None:
    async with spares() as kept:
        await kept.fill()
        (pid,) = kept.pids
        learner = await kept.start(OTHER, order())
        assert learner.pid != pid
        await kept.fill()
        await eventually(lambda: not psutil.pid_exists(pid), kept)
        assert kept.pids == []
        await learner.leave(grace_s=20)
        assert await learner.report() == LearnerReport(outcome="finished", reason="one cold")


async def test_there_are_no_more_spares_than_free_places() -> None:
    async with spares(most=3, places=2) as kept:
        await kept.fill()
        assert len(kept.pids) == 2
        learner = await kept.start(COMMAND, order())
        await kept.fill()
        assert len(kept.pids) == 1
        await learner.leave(grace_s=20)


async def test_a_spare_that_is_killed_is_replaced() -> None:
    async with spares() as kept:
        await kept.fill()
        (pid,) = kept.pids
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: bool(kept.pids) and kept.pids != [pid], kept)
        learner = await kept.start(COMMAND, order())
        await learner.leave(grace_s=20)
        assert await learner.report() == LearnerReport(outcome="finished", reason="one by a spare")


async def test_a_spare_that_died_unnoticed_gets_no_order() -> None:
    async with spares() as kept:
        await kept.fill()
        (pid,) = kept.pids
        os.kill(pid, signal.SIGKILL)
        while psutil.pid_exists(pid):  # and our event loop does not hear of it meanwhile
            pass
        learner = await kept.start(COMMAND, order())
        await learner.leave(grace_s=20)
        assert await learner.report() == LearnerReport(outcome="finished", reason="one cold")


async def test_spares_that_die_at_once_are_not_started_again_and_again() -> None:
    dying = (sys.executable, "-c", "import sys; sys.exit(3)")
    async with spares(command=dying) as kept:
        await kept.fill()
        await eventually(lambda: not kept.pids, kept)
        for _ in range(100):
            await kept.fill()
            await asyncio.sleep(0)
        assert kept.pids == []


async def test_what_is_left_is_gone_with_its_trainer() -> None:
    """The trainer's death is the end of its spare's input."""
    trainer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio, signal\n"
        "from tests.unit.test_trainer_spares import *\n"
        "async def main():\n"
        "    kept = Spares(COMMAND, 2, 2, get_log())\n"
        "    await kept.fill()\n"
        "    print(*kept.pids, flush=True)\n"
        "    signal.pause()\n"
        "asyncio.run(main())",
        stdout=asyncio.subprocess.PIPE,
    )
    assert trainer.stdout is not None
    left = [psutil.Process(int(pid)) for pid in (await trainer.stdout.readline()).split()]
    assert len(left) == 2
    trainer.kill()
    await trainer.wait()
    gone, alive = await asyncio.to_thread(psutil.wait_procs, left, timeout=60)
    assert (len(gone), alive) == (2, [])
