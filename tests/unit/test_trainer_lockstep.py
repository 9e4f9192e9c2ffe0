"""The meeting point of a learner and its simulators."""

import asyncio

import numpy as np

from libs.common.events import ActionReply, ActionRequest, CarStep
from services.trainer.lockstep import Lockstep, rollout_name

ONE, TWO = rollout_name("run", 2, 0), rollout_name("run", 2, 1)


def request(rollout: str, step: int = 0, attempt: str = "a", cars: int = 2) -> ActionRequest:
    return ActionRequest(
        run_id="run",
        rollout_id=rollout,
        attempt=attempt,
        step=step,
        cars=tuple(CarStep(steps=step) for _ in range(cars)),
        height=2,
        width=3,
    )


def pixels(value: int, cars: int = 2) -> bytes:
    return bytes([value]) * (cars * 6)


def ask(
    lockstep: Lockstep, message: ActionRequest, value: int = 0
) -> "asyncio.Task[ActionReply | None]":
    return asyncio.create_task(lockstep.on_request(message, pixels(value, len(message.cars))))


def two_seats() -> Lockstep:
    lockstep = Lockstep("run")
    lockstep.open([(ONE, slice(0, 2)), (TWO, slice(2, 3))])
    return lockstep


async def test_the_turn_comes_when_every_simulator_has_asked_and_keeps_the_cars_order() -> None:
    lockstep = two_seats()
    second = ask(lockstep, request(TWO, cars=1), 7)
    turning = asyncio.create_task(lockstep.turn())
    first = ask(lockstep, request(ONE), 5)
    turn = await turning
    assert turn.observations.shape == (3, 2, 3)
    assert turn.observations[:, 0, 0].tolist() == [5, 5, 7]
    assert turn.anew == (0, 1, 2)
    lockstep.reply(turn, (10, 11, 12), (0, 1, 2), iteration=4)
    one, two = await first, await second
    assert one is not None
    assert two is not None
    assert (one.actions, one.episodes, one.iteration) == ((10, 11), (0, 1), 4)
    assert (two.actions, two.episodes) == ((12,), (2,))


async def test_a_request_that_comes_again_gets_the_same_reply() -> None:
    lockstep = Lockstep("run")
    lockstep.open([(ONE, slice(0, 2))])
    first, again = ask(lockstep, request(ONE)), ask(lockstep, request(ONE))
    turn = await lockstep.turn()
    lockstep.reply(turn, (1, 2), (0, 1), 0)
    late = ask(lockstep, request(ONE))
    assert await first == await again == await late


async def test_a_simulator_that_begins_anew_takes_the_seat_while_the_learner_thinks() -> None:
    lockstep = Lockstep("run")
    lockstep.open([(ONE, slice(0, 2))])
    ask(lockstep, request(ONE, step=5, attempt="dead"))
    turn = await lockstep.turn()
    fresh = ask(lockstep, request(ONE, attempt="fresh"), 9)
    await asyncio.sleep(0)
    lockstep.reply(turn, (1, 2), (0, 1), 0)  # for the dead one
    turn = await lockstep.turn()
    assert turn.anew == (0, 1)
    assert np.all(turn.observations == 9)
    lockstep.reply(turn, (3, 4), (0, 1), 0)
    reply = await fresh
    assert reply is not None
    assert reply.actions == (3, 4)


async def test_of_two_simulators_with_one_command_the_older_is_told_to_stop() -> None:
    lockstep = Lockstep("run")
    lockstep.open([(ONE, slice(0, 2))])
    ask(lockstep, request(ONE, attempt="old"))
    await lockstep.turn()
    ask(lockstep, request(ONE, attempt="new"))
    await lockstep.turn()
    reply = await ask(lockstep, request(ONE, step=1, attempt="old"))
    assert reply is not None
    assert reply.stop


async def test_a_rollout_of_an_earlier_learner_is_stopped_and_of_a_later_one_left_alone() -> None:
    lockstep = two_seats()
    stale = await ask(lockstep, request(rollout_name("run", 1, 0)))
    assert stale is not None
    assert stale.stop
    assert await ask(lockstep, request(rollout_name("run", 3, 0))) is None


async def test_stopping_ends_who_waits_and_who_comes_later() -> None:
    lockstep = two_seats()
    waiting = ask(lockstep, request(ONE))
    await asyncio.sleep(0)
    lockstep.stop()
    for reply in (await waiting, await ask(lockstep, request(TWO, cars=1))):
        assert reply is not None
        assert reply.stop


async def test_a_long_update_makes_the_simulator_ask_again_and_lose_nothing() -> None:
    lockstep = Lockstep("run", busy_s=0.01)
    lockstep.open([(ONE, slice(0, 2))])
    told = await ask(lockstep, request(ONE))
    assert told is not None
    assert told.wait
    again = ask(lockstep, request(ONE))
    turn = await lockstep.turn()
    lockstep.reply(turn, (1, 2), (0, 1), 0)
    reply = await again
    assert reply is not None
    assert reply.actions == (1, 2)
