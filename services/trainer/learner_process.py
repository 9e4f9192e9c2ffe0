"""
`python -m services.trainer.learner_process`: one learner, one run, one process.

TensorFlow lives here and in no service: its work is in a thread of its own beside the event loop.
The protocol with the trainer is told in `order.py`. With `--spare` it gets ready before it reads
its order, which may be long in coming; see `spares.py`.
"""

import asyncio
import contextlib
import os
import select
import sys
import time
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
from services.trainer.spares import SPARE

if TYPE_CHECKING:
    from services.trainer.learner import Learner

    MakeLearner = Callable[[RunSpec], Learner]

EXIT_ORPHANED = 4


def native() -> "MakeLearner":
    """Our own learner; TensorFlow takes seconds to import and only this process needs it."""
    from services.trainer.learner import Learner
    from services.trainer.network import configure_threads

    configure_threads()
    return Learner


def main(engine: Callable[[], "MakeLearner"] = native) -> None:
    """Read the order, build the learner, train, report."""
    # The orthogonal matrices that weights begin as: two threads of OpenBLAS wait for each other
    # longer than one takes, on a busy machine a hundred times as long.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251 - read by numpy alone
    settings = load(TrainerSettings)
    if SPARE in sys.argv[1:]:
        _get_ready()
    line = _read_line()
    if not line:  # a spare that nobody needs any more
        os._exit(0)
    order, began_s = LearnerOrder.model_validate_json(line), time.perf_counter()
    lines = log.BusLines("trainer", f"learner-{order.run_id}")
    log.configure(settings.log_level, lines)
    try:
        make = engine()
        imported_s = time.perf_counter()
        learner = make(order.spec)
        built_s = time.perf_counter()
        learner.compile()
        took_s = {
            "import_s": round(imported_s - began_s, 2),
            "build_s": round(built_s - imported_s, 2),
            "compile_s": round(time.perf_counter() - built_s, 2),
        }
        report = asyncio.run(_train(settings, order, learner, lines, took_s))
    except PlatformError as error:
        report = LearnerReport(outcome="failed", reason=str(error))
    sys.stdout.write(report.model_dump_json() + "\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is said and closed; to take TensorFlow apart would hold up the run's end


def _get_ready() -> None:
    """Do what can be done before the order, unless that is there by now."""
    from services.trainer.network import configure_threads
    from services.trainer.warm_up import learn_a_little

    configure_threads()
    ordered, _, _ = select.select([sys.stdin], [], [], 0)
    if not ordered:
        learn_a_little()


def _read_line() -> bytes:
    """The first line of our input and no byte more: the trainer's next words are for `_listen`."""
    line = bytearray()
    while (byte := os.read(sys.stdin.fileno(), 1)) and byte != b"\n":
        line += byte
    return bytes(line)


async def _train(
    settings: TrainerSettings,
    order: LearnerOrder,
    learner: "Learner",
    lines: log.BusLines,
    took_s: dict[str, float],
) -> LearnerReport:
    from services.trainer.training import Training

    bus = await Bus.connect(settings.nats_url, "trainer", f"learner-{order.run_id}")
    async with ObjectStore.of(settings) as objects:
        lines.attach()
        log.get_log(run_id=order.run_id, attempt=order.attempt).info("ready to learn", **took_s)
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
