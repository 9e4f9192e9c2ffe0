"""
`python -m services.trainer.learner_process`: one learner, one run, one process.

TensorFlow lives here and in no service: its work is in a thread of its own beside the event loop.
The protocol with the trainer is told in `order.py`.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from libs.common import log
from libs.common.bus import Bus
from libs.common.config import load
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import PlatformError
from libs.common.objects import ObjectStore
from libs.common.tasks import end
from services.trainer.config import TrainerSettings
from services.trainer.order import LearnerOrder, LearnerReport

if TYPE_CHECKING:
    from services.trainer.learner import Learner

EXIT_ORPHANED = 4


def build_native(spec: RunSpec) -> "Learner":
    """Our own learner; TensorFlow takes seconds to import and only this process needs it."""
    from services.trainer.learner import Learner
    from services.trainer.network import configure_threads

    configure_threads()
    learner = Learner(spec)
    learner.compile()
    return learner


def main(build: Callable[[RunSpec], "Learner"] = build_native) -> None:
    """Read the order, build the learner, train, report."""
    settings = load(TrainerSettings)
    order = LearnerOrder.model_validate_json(sys.stdin.readline())
    lines = log.BusLines("trainer", f"learner-{order.run_id}")
    log.configure(settings.log_level, lines)
    try:
        report = asyncio.run(_train(settings, order, build(order.spec), lines))
    except PlatformError as error:
        report = LearnerReport(outcome="failed", reason=str(error))
    sys.stdout.write(report.model_dump_json() + "\n")
    sys.stdout.flush()


async def _train(
    settings: TrainerSettings, order: LearnerOrder, learner: "Learner", lines: log.BusLines
) -> LearnerReport:
    from services.trainer.training import Training

    bus = await Bus.connect(settings.nats_url, "trainer", f"learner-{order.run_id}")
    async with ObjectStore.of(settings) as objects:
        lines.attach()
        publishing = asyncio.create_task(_publish(bus, lines))
        training = Training(order, learner, bus, objects)
        listening = asyncio.create_task(_listen(training.ask_to_stop))
        report = await training.run()
        await end(listening, publishing)
        while (line := lines.next_nowait()) is not None:
            await bus.publish(line)
    await bus.drain(2.0)
    await bus.close()
    return report


async def _publish(bus: Bus, lines: log.BusLines) -> None:
    while True:
        await bus.publish(await lines.next())


async def _listen(ask_to_stop: Callable[[str], None]) -> None:
    """Obey the trainer's lines; its death ends this process at once, whatever a thread does."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode():
        word, _, reason = line.strip().partition(" ")
        if word == "stop":
            ask_to_stop(reason or "stopped by request")
    with contextlib.suppress(OSError):
        sys.stderr.write("the trainer is gone\n")
    os._exit(EXIT_ORPHANED)


if __name__ == "__main__":
    main()
