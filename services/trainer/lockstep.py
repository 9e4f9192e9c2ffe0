"""
The meeting point of a learner and its simulators.

Every simulator asks for the actions of its cars; the learner acts when all have asked, so that a
run repeats exactly whatever the simulators' speed. A request that comes again (its reply was lost)
gets the same reply; one of an earlier attempt of the learner is told to stop.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from libs.common.errors import InvalidInput
from libs.common.events import ActionReply, ActionRequest, CarStep, PolicyView, SensorArray
from libs.common.observations import Observations, check_sensors, unpack

BUSY_S = 2.0
"""How long a request waits before the simulator is told that the learner is still busy."""


def rollout_name(run_id: str, attempt: int, number: int) -> str:
    """The id of a rollout: an attempt of the learner and a count within it."""
    return f"{run_id}.{attempt}.{number}"


def _order_of(rollout_id: str) -> tuple[int, int]:
    _, attempt, number = rollout_id.rsplit(".", 2)
    return int(attempt), int(number)


@dataclass
class Seat:
    """One rollout: the cars of one simulator."""

    rollout_id: str
    cars: slice
    attempt: str = ""  # the simulator's session
    request: ActionRequest | None = None  # what waits for the learner
    observations: Observations = field(default_factory=dict)
    reply: asyncio.Future[ActionReply] | None = None
    answered: ActionReply | None = None
    begun: list[str] = field(default_factory=list)  # sessions, in the order they came


@dataclass(frozen=True)
class Turn:
    """What all cars report and see: one step of the whole batch."""

    observations: Observations  # (cars, *shape) by sensor
    steps: tuple[CarStep, ...]
    anew: tuple[int, ...]  # cars whose simulator began anew: their last action has no outcome
    requests: tuple[ActionRequest, ...]

    @property
    def tell_policy(self) -> bool:
        """Whether somebody looks at the first car."""
        return self.requests[0].explain

    @property
    def tell_saliency(self) -> bool:
        """And wants to know what in its picture weighs most."""
        return self.requests[0].saliency


class Lockstep:
    """Gathers the requests of all rollouts into turns and hands the replies back."""

    def __init__(self, run_id: str, sensors: Sequence[SensorArray], busy_s: float = BUSY_S) -> None:
        """`sensors` are those that every car of the run has."""
        self._run_id, self._sensors, self._busy_s = run_id, tuple(sensors), busy_s
        self._seats: dict[str, Seat] = {}
        self._all_asked = asyncio.Event()
        self._newest = (0, 0)
        self.last_request_s: float | None = None
        self.stopping = False

    def open(self, seats: Sequence[tuple[str, slice]]) -> None:
        """Take these rollouts and no others; each is (rollout id, its cars)."""
        self._seats = {name: Seat(name, cars) for name, cars in seats}
        self._newest = max(_order_of(name) for name in self._seats)
        self._all_asked.clear()
        self.last_request_s = None

    async def on_request(self, request: ActionRequest, payload: bytes) -> ActionReply | None:
        """
        Answer one simulator; called by the bus for each request.

        Raises:
            InvalidInput: its cars or their sensors are others than the rollout's, or its bytes
                are not what it says that they are.
        """
        seat = self._seats.get(request.rollout_id)
        if seat is None:  # an older attempt's ends; a newer one has another learner
            stale = _order_of(request.rollout_id) <= self._newest
            return self._stop(request) if stale else None
        if self.stopping:
            return self._stop(request)
        observations = self._read(seat, request, payload)
        self.last_request_s = asyncio.get_running_loop().time()
        if request.attempt != seat.attempt:
            if request.attempt in seat.begun:  # two simulators had the command: one is enough
                return self._stop(request)
            seat.begun.append(request.attempt)
            seat.attempt, seat.answered = request.attempt, None
        if seat.answered is not None and seat.answered.step == request.step:
            return seat.answered
        return await self._wait(seat, request, observations)

    async def turn(self) -> Turn:
        """The next step of all cars, when every simulator has asked."""
        await self._all_asked.wait()
        seats = list(self._seats.values())
        requests = [seat.request for seat in seats if seat.request is not None]
        observations = {
            sensor.name: np.concatenate([seat.observations[sensor.name] for seat in seats])
            for sensor in self._sensors
        }
        anew = [
            car
            for seat, request in zip(seats, requests, strict=True)
            if request.step == 0
            for car in range(seat.cars.start, seat.cars.stop)
        ]
        steps = tuple(step for request in requests for step in request.cars)
        return Turn(observations, steps, tuple(anew), tuple(requests))

    def reply(
        self,
        turn: Turn,
        actions: Sequence[int],
        episodes: Sequence[int],
        iteration: int,
        commands: Sequence[tuple[float, float]] = (),
        policy: PolicyView | None = None,
    ) -> None:
        """
        Send every simulator of the turn on its way with the actions of its cars.

        Of a continuous action space there are no `actions` but `commands`, see `ActionReply`.
        `policy` is what it made of what the first car sees.
        """
        for seat, request in zip(self._seats.values(), turn.requests, strict=True):
            if seat.request is not request:  # its simulator began anew meanwhile: it asks again
                continue
            seat.answered = ActionReply(
                run_id=self._run_id,
                rollout_id=seat.rollout_id,
                step=request.step,
                actions=tuple(actions[seat.cars]),
                commands=tuple(commands[seat.cars]),
                episodes=tuple(episodes[seat.cars]),
                iteration=iteration,
                policy=policy if seat.cars.start == 0 else None,
            )
            self._settle(seat, seat.answered)
        self._note_who_asked()

    def stop(self) -> None:
        """Tell every simulator that the rollout is over."""
        self.stopping = True
        for seat in self._seats.values():
            if seat.request is not None:
                self._settle(seat, self._stop(seat.request))

    def _settle(self, seat: Seat, reply: ActionReply) -> None:
        seat.request = None
        if seat.reply is not None and not seat.reply.done():
            seat.reply.set_result(reply)

    def _read(self, seat: Seat, request: ActionRequest, payload: bytes) -> Observations:
        """What the cars of a seat observe; the border that foreign bytes do not cross."""
        seats = seat.cars.stop - seat.cars.start
        if len(request.cars) != seats:
            raise InvalidInput(
                f"{request.type}: got {len(request.cars)} cars; accepted: the {seats} of "
                f"{seat.rollout_id}"
            )
        check_sensors(request, self._sensors)
        return unpack(request, payload)

    async def _wait(
        self, seat: Seat, request: ActionRequest, observations: Observations
    ) -> ActionReply:
        known = seat.request
        if known is None or (known.attempt, known.step) != (request.attempt, request.step):
            seat.request, seat.observations = request, observations
            seat.reply = asyncio.get_running_loop().create_future()
            self._note_who_asked()
        assert seat.reply is not None
        try:
            return await asyncio.wait_for(asyncio.shield(seat.reply), self._busy_s)
        except TimeoutError:
            return ActionReply(
                run_id=self._run_id, rollout_id=request.rollout_id, step=request.step, wait=True
            )

    def _note_who_asked(self) -> None:
        if all(seat.request is not None for seat in self._seats.values()):
            self._all_asked.set()
        else:
            self._all_asked.clear()

    def _stop(self, request: ActionRequest) -> ActionReply:
        return ActionReply(
            run_id=self._run_id, rollout_id=request.rollout_id, step=request.step, stop=True
        )
