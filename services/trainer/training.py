"""
One run on the bus: rollouts in, decisions out, iterations, checkpoints and evaluations told.

The learner's own work is synchronous and runs in one thread; everything here is what surrounds it.
"""

import asyncio
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from libs.common.bus import Bus
from libs.common.errors import PlatformError, Unavailable
from libs.common.events import (
    ActionRequest,
    CheckpointRef,
    CollectRollout,
    EpisodeEnded,
    EvaluationEnded,
    EvaluationFailed,
    IterationEnded,
    RewardFailed,
)
from libs.common.log import get_log
from libs.common.objects import ObjectStore
from libs.common.observations import sensors_of
from libs.common.tasks import end
from services.trainer.board import Board
from services.trainer.checkpoint_store import CheckpointStore
from services.trainer.judge import Judge
from services.trainer.learner import Decision, Learner, SavedCheckpoint
from services.trainer.lockstep import Lockstep, Turn, rollout_name
from services.trainer.order import LearnerOrder, LearnerReport
from services.trainer.ppo import Diverged

SILENCE_S = 20.0
"""When no simulator asks for so long, their rollout is given to others."""
COMPLETE_EVERY_S = 60.0
"""Checkpoints with the learner's memory (163 MB of SHALLOW) are this far apart at least."""


T = TypeVar("T")


class Training:
    """Drives a learner until a limit, a target, a request or an error ends the run."""

    def __init__(
        self, order: LearnerOrder, learner: Learner, bus: Bus, objects: ObjectStore
    ) -> None:
        self._order, self._learner, self._bus = order, learner, bus
        self._lockstep = Lockstep(order.run_id, sensors_of(order.spec.metadata))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="learner")
        self._folder = tempfile.TemporaryDirectory(prefix="slipstream-")
        asked = order.spec.hyperparameters.tensorboard
        self._board = Board(Path(self._folder.name) / "tensorboard") if asked else None
        self._store = CheckpointStore(order, bus, objects)
        self._judge = Judge(order, bus, self._store)
        self._ending: asyncio.Future[LearnerReport] | None = None
        self._saving: asyncio.Task[CheckpointRef] | None = None
        self._rollouts = 0
        self._completed_s = 0.0  # the loop's time at the last complete checkpoint, or the beginning
        self._idle = False  # nothing to be done before a simulator asks
        self._log = get_log(run_id=order.run_id, attempt=order.attempt)

    def ask_to_stop(self, reason: str) -> None:
        """End the run after what is in hand, with a last checkpoint."""
        self._end("stopped", reason)

    async def run(self) -> LearnerReport:
        """Train to the end."""
        loop = asyncio.get_running_loop()
        self._ending, self._completed_s = loop.create_future(), loop.time()
        with self._folder, self._thread:
            await self._prepare()
            tasks = [asyncio.create_task(work()) for work in (self._train, self._hear, self._guard)]
            try:
                ends: list[asyncio.Future[Any]] = [self._ending, *tasks]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                report = self._ending.result() if self._ending.done() else _failure_of(tasks)
            finally:
                self._lockstep.stop()
                await end(*tasks)
            await self._save_last(report)
            return self._with_last_good(report)

    # -- the beginning ---------------------------------------------------------------------

    async def _prepare(self) -> None:
        order, folder = self._order, Path(self._folder.name)
        if order.resume is not None:
            name = await self._store.fetch(order.resume, folder)
            await self._in_thread(self._learner.restore, folder, name)
            self._log.info("resumed", checkpoint=name)
        elif order.start is not None:
            name = await self._store.fetch(order.start, folder, with_memory=False)
            source = order.start_metadata
            taken = await self._in_thread(self._learner.adopt_checkpoint, folder / name, source)
            self._log.info("started from another run", checkpoint=name, taken=taken or "all")
        await self._judge.recall()
        await self._bus.serve(ActionRequest, self._lockstep.on_request, order.run_id)
        await self._learn_used_episodes()
        await self._send_rollouts()

    async def _learn_used_episodes(self) -> None:
        """Numbers of episodes that the stream holds are taken, whoever drove them."""
        ids = await self._bus.ids(EpisodeEnded, self._order.run_id)
        numbers = {EpisodeEnded.number_in(event_id) for event_id in ids} - {None}
        self._learner.note_used_episodes(n for n in numbers if n is not None)

    async def _send_rollouts(self) -> None:
        order, spec = self._order, self._order.spec
        together = spec.race.cars_in_arena  # they share a track and so a simulator
        arenas = spec.hyperparameters.cars // together
        simulators = spec.workers
        bounds = [arenas * number // simulators * together for number in range(simulators + 1)]
        slices = [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
        names = [
            rollout_name(order.run_id, order.attempt, self._rollouts + number)
            for number in range(simulators)
        ]
        self._rollouts += simulators
        self._lockstep.open(list(zip(names, slices, strict=True)))
        for name, part in zip(names, slices, strict=True):
            numbers = tuple(range(part.start, part.stop))
            await self._bus.publish(
                CollectRollout(
                    id=name,
                    run_id=order.run_id,
                    rollout_id=name,
                    track=order.track,
                    race=spec.race,
                    metadata=spec.metadata,
                    reward_function=spec.reward_function,
                    cars=numbers,
                    seeds=tuple(spec.seed + number for number in numbers),
                    world=spec.world,
                    randomisation=spec.randomisation,
                )
            )

    # -- what goes on ----------------------------------------------------------------------

    async def _train(self) -> None:
        while True:
            self._idle = True
            turn = await self._lockstep.turn()
            self._idle = False
            if turn.anew:
                await self._begin_anew(turn)
            decision = await self._in_thread(self._act, turn)
            self._lockstep.reply(
                turn,
                decision.actions,
                decision.episodes,
                decision.iteration,
                decision.commands,
                decision.policy,
            )
            if decision.ended is not None:
                await self._end_iteration(decision, decision.ended)
            if (reason := self._learner.limit_reached()) is not None:
                self._end("finished", reason)
                return

    def _act(self, turn: Turn) -> Decision:
        return self._learner.act(
            turn.observations,
            turn.steps,
            tell_policy=turn.tell_policy,
            tell_saliency=turn.tell_saliency,
        )

    async def _begin_anew(self, turn: Turn) -> None:
        """A simulator began anew: what it told the bus last may be news to the learner."""
        await self._learn_used_episodes()
        self._learner.begin_rollout(turn.anew)

    async def _end_iteration(self, decision: Decision, ended: IterationEnded) -> None:
        await self._bus.publish(ended)
        self._log.info(
            "iteration ended",
            iteration=ended.iteration,
            env_steps=ended.env_steps,
            steps_per_s=round(ended.steps_per_s, 1),
            progress_pct=ended.mean_progress_pct,
        )
        if self._board is not None:
            await self._in_thread(self._board.note, ended)
        if self._saving is None or self._saving.done():
            now_s = asyncio.get_running_loop().time()
            complete = now_s - self._completed_s >= COMPLETE_EVERY_S
            self._completed_s = now_s if complete else self._completed_s
            saved = await self._in_thread(self._save, complete)
            self._saving = asyncio.create_task(self._keep(saved, ended))

    async def _keep(self, saved: SavedCheckpoint, ended: IterationEnded) -> CheckpointRef:
        checkpoint = await self._store.keep(saved, ended.iteration, self._curves())
        if self._order.spec.evaluation.during_training:
            await self._judge.consider(checkpoint, promising=bool(ended.completion_ratio))
        return checkpoint

    async def _hear(self) -> None:
        """Follow what simulators say of this run's evaluations and reward function."""
        run_id = self._order.run_id
        classes = (EvaluationEnded, EvaluationFailed, RewardFailed)
        async for received in self._bus.follow(run_id, classes=classes):
            event = received.message
            if isinstance(event, RewardFailed) and self._is_ours(event.rollout_id):
                where = f" at line {event.line}" if event.line is not None else ""
                self._end("failed", f"the reward function failed{where}: {event.reason}")
            elif isinstance(event, EvaluationEnded):
                await self._hear_evaluation(event)
            elif isinstance(event, EvaluationFailed):
                self._judge.hear_failure(event)

    async def _hear_evaluation(self, event: EvaluationEnded) -> None:
        before_pct = self._judge.best_progress_pct
        if (reason := await self._judge.hear(event)) is not None:
            self._end("finished", reason)
        if self._judge.best_progress_pct > before_pct:
            self._learner.note_better_evaluation()

    async def _guard(self) -> None:
        """
        Look after what nobody does while simulators are silent.

        Their rollouts are given to others, and the run ends where its time is over.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            # Not in the middle of a step: what that came to is still to be told.
            if self._idle and (reason := self._learner.limit_reached()) is not None:
                self._end("finished", reason)
            last_s = self._lockstep.last_request_s
            if last_s is not None and self._bus.connected and loop.time() - last_s > SILENCE_S:
                self._log.warning("simulators are silent: their rollouts go to others")
                await self._send_rollouts()

    # -- the end ---------------------------------------------------------------------------

    def _end(self, outcome: str, reason: str) -> None:
        if self._ending is not None and not self._ending.done():
            report = LearnerReport.model_validate({"outcome": outcome, "reason": reason})
            self._ending.set_result(report)

    async def _save_last(self, report: LearnerReport) -> None:
        if self._saving is not None:
            with suppress(PlatformError):
                await self._saving
        state = self._learner.state
        number = state.iteration
        if report.outcome == "failed" or state.updates == 0 or self._store.has(number):
            return  # a number names one policy: what was learned since is not worth another
        saved = await self._in_thread(self._save, True)
        await self._store.keep(saved, number, self._curves())

    def _curves(self) -> list[Path]:
        return [] if self._board is None else self._board.files

    def _save(self, complete: bool) -> SavedCheckpoint:
        return self._learner.save(Path(self._folder.name), complete=complete)

    def _with_last_good(self, report: LearnerReport) -> LearnerReport:
        """Where learning blew up, what there is to go on from."""
        if not report.diverged:
            return report
        newest = self._store.newest
        advice = (
            "no checkpoint was stored before"
            if newest is None
            else f"the last good checkpoint is {newest.name}: a new run can start from it"
        )
        return report.model_copy(update={"reason": f"{report.reason}; {advice}"})

    def _is_ours(self, rollout_id: str) -> bool:
        return rollout_id.startswith(f"{self._order.run_id}.{self._order.attempt}.")

    async def _in_thread(self, call: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, call, *arguments)


def _failure_of(tasks: list[asyncio.Task[None]]) -> LearnerReport:
    """
    The report of a task that ended by itself.

    A `PlatformError` (the learning diverged, an object is missing) would come again and ends the
    run; anything else crashes this process, and the trainer starts another.
    """
    for task in tasks:
        if not task.done():
            continue
        error = task.exception()
        if isinstance(error, PlatformError) and not isinstance(error, Unavailable):
            diverged = isinstance(error, Diverged)
            return LearnerReport(outcome="failed", reason=str(error), diverged=diverged)
        task.result()
    raise RuntimeError("a task of the training ended by itself")
