"""The simulator: takes rollouts and evaluations from the work queue and drives them."""

import asyncio
import gc
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import stamina
from prometheus_client.core import Metric

from libs.common.errors import PlatformError, Unavailable
from libs.common.events import (
    ActionReply,
    ActionRequest,
    CollectRollout,
    EpisodeEnded,
    EvaluatePolicy,
    EvaluationEnded,
    EvaluationFailed,
    FilmEpisode,
    RewardFailed,
    RunWatched,
    TrackRef,
)
from libs.common.metrics import counter, counters, gauge
from libs.common.observations import HEIGHT_PX, WIDTH_PX, pack
from libs.common.reward.errors import RewardError
from libs.common.service import Service
from libs.common.tracks import Track, load_built_in, parse_npy
from services.simulator.config import SimulatorSettings
from services.simulator.evaluation import drive_trials, result_of
from services.simulator.films import FilmStudio
from services.simulator.rollout import Rollout
from services.simulator.showing import show
from services.simulator.viewers import Viewers
from services.simulator.warm_up import LATER, warm_up

ROLLOUT_ACK_WAIT_S = 6.0
"""A rollout whose simulator died is driven by another after at most this long."""
ASK_S = 5.0


class HandedBack(Exception):
    """This simulator stops: the command goes back to the queue for another one."""


class Simulator(Service[SimulatorSettings]):
    """Drives on the native engine."""

    name = "simulator"

    def __init__(self, settings: SimulatorSettings) -> None:
        super().__init__(settings)
        self._viewers = Viewers()
        self._tracks: dict[TrackRef, Track] = {}
        self._driving: set[str] = set()
        self._camera_steps, self._episodes = 0, {"training": 0, "evaluation": 0}

    async def start(self) -> None:
        await asyncio.to_thread(warm_up)
        await self.bus.watch(RunWatched, self.on_run_watched)
        await self.bus.subscribe(
            CollectRollout,
            self.on_collect_rollout,
            durable="simulators",
            concurrency=self.settings.rollouts_at_once,
            ack_wait_s=ROLLOUT_ACK_WAIT_S,
            max_deliver=-1,
        )
        await self.bus.subscribe(
            EvaluatePolicy,
            self.on_evaluate_policy,
            durable="simulators-evaluations",
            concurrency=self.settings.evaluations_at_once,
            ack_wait_s=ROLLOUT_ACK_WAIT_S,
        )
        studio = FilmStudio(self.bus, self.objects)
        await self.bus.subscribe(FilmEpisode, studio.on_film_episode, durable="simulators-films")

    async def work(self) -> None:
        """Compile the rest of the kernels, so that no rollout stands still for it later."""
        for warm_up_more in LATER:
            await asyncio.to_thread(warm_up_more)
            gc.freeze()  # as after `start`

    def detail(self) -> dict[str, Any]:
        return {"driving": sorted(self._driving)}

    def measures(self) -> Iterable[Metric]:
        """Camera steps and episodes driven here."""
        yield gauge(
            "slipstream_simulator_driving",
            "Rollouts and evaluations under way.",
            len(self._driving),
        )
        yield counter(
            "slipstream_simulator_steps",
            "Camera steps of all cars in training.",
            self._camera_steps,
        )
        yield counters(
            "slipstream_simulator_episodes", "Episodes that ended.", "phase", self._episodes
        )

    async def on_run_watched(self, event: RunWatched) -> None:
        """A viewer is there: publish poses and pictures for a while."""
        self._viewers.note(event.run_id, saliency=event.saliency)

    # -- training --------------------------------------------------------------------------

    async def on_collect_rollout(self, command: CollectRollout) -> None:
        """Drive until the learner says stop, or is gone for good."""
        self._driving.add(command.rollout_id)
        try:
            track = await self._track(command.track)
            with await asyncio.to_thread(Rollout, command, track) as rollout:
                await self._drive(command, rollout)
        except RewardError as error:  # it does not even load
            await self._report_reward(command, command.rollout_id, error)
        finally:
            self._driving.discard(command.rollout_id)

    async def _drive(self, command: CollectRollout, rollout: Rollout) -> None:
        attempt, step = uuid4().hex, 0
        while True:
            is_shown = self._viewers.due(command.run_id)
            reply = await self._ask(command, rollout, attempt, step, explain=is_shown)
            if reply is None:
                return
            if is_shown:  # before they drive on: the reply is of what they see now
                rollout.number_episodes(reply)
                await show(self.bus, command, rollout, reply.policy)
            try:
                ended = await asyncio.to_thread(rollout.step, reply)
            except RewardError as error:
                episode = rollout.episode_of(error.index)
                await self._report_reward(command, command.rollout_id, error, episode)
                return
            # Stored before the learner hears of them: what it counts is in the journal.
            await asyncio.gather(*(self.bus.publish(episode) for episode in ended))
            self._camera_steps += len(command.cars)
            self._episodes["training"] += len(ended)
            step += 1

    async def _ask(
        self,
        command: CollectRollout,
        rollout: Rollout,
        attempt: str,
        step: int,
        *,
        explain: bool,
    ) -> ActionReply | None:
        """The learner's actions for this step; None ends the rollout."""
        request = ActionRequest(
            run_id=command.run_id,
            rollout_id=command.rollout_id,
            attempt=attempt,
            step=step,
            cars=rollout.steps,
            height=HEIGHT_PX,
            width=WIDTH_PX,
            sensors=rollout.sensors,
            explain=explain,
            saliency=explain and self._viewers.wants_saliency(command.run_id),
        )
        try:
            reply = await self._answer(request, pack(rollout.sensors, rollout.observations()))
        except Unavailable as error:
            self.log.warning(
                "rollout given up",
                run_id=command.run_id,
                rollout=command.rollout_id,
                why=str(error),
            )
            return None
        return None if reply.stop else reply

    async def _answer(self, request: ActionRequest, payload: bytes) -> ActionReply:
        while True:
            async for tried in stamina.retry_context(
                on=Unavailable,
                attempts=None,
                timeout=self.settings.patience_s,
                wait_initial=0.05,
                wait_max=1.0,
            ):
                with tried:
                    if self.stopping:
                        raise HandedBack(request.rollout_id)
                    reply, _ = await self.bus.request(request, ActionReply, payload, ASK_S)
            if not reply.wait:
                return reply

    async def _report_reward(
        self,
        command: CollectRollout | EvaluatePolicy,
        rollout_id: str,
        error: RewardError,
        episode: int = -1,
    ) -> None:
        params = {key: value for key, value in error.params.items() if key != "waypoints"}
        self.log.warning("reward function failed", run_id=command.run_id, reason=error.reason)
        await self.bus.publish(
            RewardFailed(
                run_id=command.run_id,
                cause=command.id,
                rollout_id=rollout_id,
                episode=episode,
                step=int(params.get("steps", 0)),
                reason=error.reason,
                line=error.line,
                traceback=error.traceback,
                params=params,
            )
        )

    # -- evaluation ------------------------------------------------------------------------

    async def on_evaluate_policy(self, command: EvaluatePolicy) -> None:
        """Drive the trials and publish each of them and then the whole."""
        self._driving.add(command.evaluation_id)
        try:
            trials = await self._evaluate(command)
        except PlatformError as error:
            if isinstance(error, RewardError):
                await self._report_reward(command, command.evaluation_id, error)
            await self.bus.publish(
                EvaluationFailed(
                    run_id=command.run_id,
                    cause=command.id,
                    evaluation_id=command.evaluation_id,
                    checkpoint=command.checkpoint,
                    reason=str(error),
                )
            )
            return
        finally:
            self._driving.discard(command.evaluation_id)
        await asyncio.gather(*(self.bus.publish(trial) for trial in trials))
        self._episodes["evaluation"] += len(trials)
        await self.bus.publish(
            EvaluationEnded(
                id=f"{command.evaluation_id}.ended",
                run_id=command.run_id,
                cause=command.id,
                evaluation_id=command.evaluation_id,
                checkpoint=command.checkpoint,
                track=command.track.name,
                trials=tuple(result_of(trial) for trial in trials),
            )
        )

    async def _evaluate(self, command: EvaluatePolicy) -> list[EpisodeEnded]:
        track = await self._track(command.track)
        policies = [command.policy, *(opponent.policy for opponent in command.opponents)]
        models = await asyncio.gather(*map(self.objects.get, policies))

        def drive() -> list[EpisodeEnded]:
            with tempfile.TemporaryDirectory() as folder:
                files = [Path(folder) / f"model_{number}.pb" for number in range(len(models))]
                for file, model in zip(files, models, strict=True):
                    file.write_bytes(model)
                threads = self.settings.policy_threads
                episodes = drive_trials(command, track, files, threads)
                return sorted(episodes, key=lambda episode: episode.episode)

        return await asyncio.to_thread(drive)

    async def _track(self, reference: TrackRef) -> Track:
        if reference not in self._tracks:
            if reference.source is None:
                track = await asyncio.to_thread(load_built_in, reference.name)
            else:
                data = await self.objects.get(reference.source)
                track = await asyncio.to_thread(parse_npy, reference.name, data)
            self._tracks[reference] = track
        return self._tracks[reference]
