"""A run of five hours in a minute: all its events on a real bus, with many in flight at once."""

import asyncio
from datetime import UTC, datetime, timedelta

from libs.common.bus import Bus
from libs.common.events import Message
from tests.staged_run import StagedRun

HOURS = 5
ITERATIONS = 2_600
EPISODES = 8  # in each iteration
EVALUATED_EVERY = 20
IN_FLIGHT = 256


class Pipe(Bus):
    """A bus whose `publish` returns before the server has answered; `flush` waits for all."""

    _waiting: set[asyncio.Task[int]]

    @classmethod
    async def open(cls, url: str, service: str) -> "Pipe":
        """Connect as this service."""
        pipe = await cls.connect(url, service)
        pipe._waiting = set()
        return pipe

    async def publish(self, message: Message) -> int:
        """Send in order; wait only where too much is under way."""
        self._waiting.add(asyncio.create_task(super().publish(message)))
        if len(self._waiting) >= IN_FLIGHT:
            await self.flush()
        return 0

    async def flush(self) -> None:
        """Until everything is stored; raises what one of them raised."""
        waiting, self._waiting = self._waiting, set()
        await asyncio.gather(*waiting)


class LongRun(StagedRun):
    """A staged run over hours: learning, checkpoints and evaluations; `flush` before you look."""

    @classmethod
    async def begin(cls, url: str, run_id: str, hours: float = HOURS) -> "LongRun":
        """Queued and started so many hours ago."""
        trainer, simulator = await Pipe.open(url, "trainer"), await Pipe.open(url, "simulator")
        run = cls(trainer, simulator, run_id, began=datetime.now(UTC) - timedelta(hours=hours))
        await run.queue()
        await run.start()
        await run.flush()
        return run

    async def go_on(self, iterations: int = ITERATIONS, episodes: int = EPISODES) -> None:
        """So many more iterations."""
        for _ in range(iterations):
            await self.iterate(episodes)
            if self.iterations % EVALUATED_EVERY == 0:
                checkpoint = await self.save_checkpoint(best=True)
                await self.evaluate(checkpoint, (100, 100, 61.4, 100, 100))
        await self.flush()

    async def flush(self) -> None:
        """Until the server has all of it."""
        for bus in (self.simulator, self.trainer):
            assert isinstance(bus, Pipe)
            await bus.flush()

    async def close(self) -> None:
        """Let go of the connections."""
        await self.flush()
        await self.simulator.close()
        await self.trainer.close()
