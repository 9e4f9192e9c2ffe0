"""
Learner processes that are ready before there is anything to learn.

A learner takes seconds until it can learn: it imports TensorFlow and builds its first functions. A
spare has done so and waits for its order. There are as many as asked for, and no more than could
be given an order at once: while all of a trainer's places are taken there is none, and its memory
is free. A spare that dies is replaced; the end of its input makes one leave, so that none outlives
its trainer.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from libs.common.tasks import end
from services.trainer.learner_handle import LearnerHandle
from services.trainer.order import LearnerOrder

SPARE = "--spare"
"""Makes a learner of our own get ready before it reads its order."""
LEAVE_S = 1.0
"""How long a spare may take to leave before it is killed: it has nothing to lose."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Before a spare that died is replaced, doubled for each that dies as well."""


class Spares:
    """
    Starts learners: those of one command from a spare where there is one.

    Args:
        command: of the learners that have spares.
        most: how many spares are kept.
        places: how many learners there may be at once, those that have their orders included.
    """

    def __init__(self, command: Sequence[str], most: int, places: int, log: Any) -> None:
        self._command, self._most, self._places, self._log = tuple(command), most, places, log
        self._waiting: dict[LearnerHandle, asyncio.Task[None]] = {}  # each with who watches it
        self._started: list[LearnerHandle] = []
        self._pause_s, self._not_before_s = 0.0, 0.0

    @property
    def pids(self) -> list[int]:
        """The processes that wait for an order."""
        return [spare.pid for spare in self._waiting]

    async def start(self, command: Sequence[str], order: LearnerOrder) -> LearnerHandle:
        """A learner of this command that has got its order."""
        learner = await self._take() if tuple(command) == self._command else None
        if learner is None:
            learner = await LearnerHandle.launch(command)
        self._started.append(learner)
        learner.give(order)
        return learner

    async def fill(self) -> None:
        """Start as many spares as are missing, and let those go that are too many."""
        self._started = [learner for learner in self._started if learner.exit_code is None]
        wanted = max(0, min(self._most, self._places - len(self._started)))
        while len(self._waiting) > wanted and (spare := await self._take()) is not None:
            await spare.leave(LEAVE_S)
        now_s = asyncio.get_running_loop().time()
        while len(self._waiting) < wanted and now_s >= self._not_before_s:
            try:
                spare = await LearnerHandle.launch((*self._command, SPARE))
            except OSError as error:  # too many processes or too little memory: the runs go on
                self._pause(str(error))
                return
            self._waiting[spare] = asyncio.create_task(self._watch(spare), name="spare learner")

    async def leave(self) -> None:
        """Let all go, and start no other."""
        self._most = 0
        await self.fill()

    async def _take(self) -> LearnerHandle | None:
        """The spare that has waited longest."""
        while self._waiting:
            spare = next(iter(self._waiting))
            await end(self._waiting.pop(spare))
            if spare.alive:
                return spare
        return None

    async def _watch(self, spare: LearnerHandle) -> None:
        """Forget a spare that dies before it has got an order."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        code = await spare.ended()
        self._waiting.pop(spare, None)
        if clock() - began_s > LONGEST_PAUSE_S:
            self._pause_s = 0.0
        self._pause(f"exit code {code}")

    def _pause(self, why: str) -> None:
        """Start no other for a while: the next one may fare no better."""
        self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._not_before_s = asyncio.get_running_loop().time() + self._pause_s
        self._log.warning("a spare learner died", why=why, next_after_s=self._pause_s)
