"""A learner process as the trainer holds it: real processes, small programs."""

import sys

from libs.common.deepracer.folder import read_run_folder
from libs.common.events import TrackRef
from services.trainer.learner_handle import LearnerHandle
from services.trainer.order import LearnerOrder, LearnerReport
from tests.trainer_process import run_folder


def order() -> LearnerOrder:
    files = {name: text.encode() for name, text in run_folder().items()}
    spec = read_run_folder(files, name="one").value
    return LearnerOrder(run_id="one", attempt=1, spec=spec, track=TrackRef(name="oval"))


async def started(program: str) -> LearnerHandle:
    return await LearnerHandle.start([sys.executable, "-c", f"import sys\n{program}"], order())


REPORT = LearnerReport(outcome="finished", reason="done")


async def test_the_last_line_is_the_report() -> None:
    learner = await started(f"print('hello'); print('''{REPORT.model_dump_json()}''')")
    assert await learner.report() == REPORT


async def test_the_order_arrives_as_one_line() -> None:
    learner = await started(
        "from services.trainer.order import *\n"
        "order = LearnerOrder.model_validate_json(sys.stdin.readline())\n"
        "report = LearnerReport(outcome='failed', reason=order.run_id)\n"
        "print(report.model_dump_json())"
    )
    assert await learner.report() == LearnerReport(outcome="failed", reason="one")


async def test_a_learner_without_a_report_crashed() -> None:
    for program in ("print('no report')", "pass", "print('x' * 3_000_000)"):
        learner = await started(f"{program}; sys.exit(9)")
        assert await learner.report() is None
        assert learner.exit_code == 9


async def test_a_wish_to_stop_is_one_line_whatever_its_reason() -> None:
    learner = await started(
        "sys.stdin.readline(); line = sys.stdin.readline().strip()\n"
        'print(\'{"outcome": "stopped", "reason": "\' + line + \'"}\')'
    )
    learner.ask_to_stop("enough\nof  this")
    assert await learner.report() == LearnerReport(outcome="stopped", reason="stop enough of this")


async def test_a_learner_leaves_at_the_end_of_its_input() -> None:
    learner = await started("sys.stdin.read(); sys.exit(4)")
    await learner.leave(grace_s=20)
    assert learner.exit_code == 4


async def test_a_learner_that_does_not_heed_is_killed() -> None:
    learner = await started("import signal; print('on', flush=True); signal.pause()")
    await learner.leave(grace_s=0.1)
    assert await learner.report() is None
    assert learner.exit_code == -9


async def test_leaving_twice_or_after_the_end_is_no_error() -> None:
    learner = await started("pass")
    assert await learner.report() is None
    await learner.leave(grace_s=1)
    await learner.leave(grace_s=1)
    learner.ask_to_stop("too late")
