"""The meeting point of a learner and its simulators."""

import asyncio

import numpy as np
import pytest

from libs.common.errors import InvalidInput
from libs.common.events import ActionReply, ActionRequest, CarStep, SensorArray
from libs.common.observations import pack
from services.trainer.lockstep import Lockstep, rollout_name

ONE, TWO = rollout_name("run", 2, 0), rollout_name("run", 2, 1)

CAMERA = SensorArray(name="FRONT_FACING_CAMERA", shape=(2, 3, 1), dtype="uint8")
LIDAR = SensorArray(name="LIDAR", shape=(4,), dtype="float32")


def request(rollout: str, step: int = 0, attempt: str = "a", cars: int = 2) -> ActionRequest:
    return ActionRequest(
        run_id="run",
        rollout_id=rollout,
        attempt=attempt,
        step=step,
        cars=tuple(CarStep(steps=step) for _ in range(cars)),
        height=2,
        width=3,
        sensors=(CAMERA,),
    )


def pixels(value: int, cars: int = 2) -> bytes:
    return bytes([value]) * (cars * 6)


def ask(
    lockstep: Lockstep, message: ActionRequest, value: int = 0
) -> "asyncio.Task[ActionReply | None]":
    return asyncio.create_task(lockstep.on_request(message, pixels(value, len(message.cars))))


def two_seats() -> Lockstep:
    lockstep = Lockstep("run", [CAMERA])
    lockstep.open([(ONE, slice(0, 2)), (TWO, slice(2, 3))])
    return lockstep


async def test_the_turn_comes_when_every_simulator_has_asked_and_keeps_the_cars_order() -> None:
    lockstep = two_seats()
    second = ask(lockstep, request(TWO, cars=1), 7)
    turning = asyncio.create_task(lockstep.turn())
    first = ask(lockstep, request(ONE), 5)
    turn = await turning
    pictures = turn.observations[CAMERA.name]
    assert pictures.shape == (3, 2, 3, 1)
    assert pictures[:, 0, 0, 0].tolist() == [5, 5, 7]
    assert turn.anew == (0, 1, 2)
    lockstep.reply(turn, (10, 11, 12), (0, 1, 2), iteration=4)
    one, two = await first, await second
    assert one is not None
    assert two is not None
    assert (one.actions, one.episodes, one.iteration) == ((10, 11), (0, 1), 4)
    assert (two.actions, two.episodes) == ((12,), (2,))


async def test_a_request_that_comes_again_gets_the_same_reply() -> None:
    lockstep = Lockstep("run", [CAMERA])
    lockstep.open([(ONE, slice(0, 2))])
    first, again = ask(lockstep, request(ONE)), ask(lockstep, request(ONE))
    turn = await lockstep.turn()
    lockstep.reply(turn, (1, 2), (0, 1), 0)
    late = ask(lockstep, request(ONE))
    assert await first == await again == await late


async def test_a_simulator_that_begins_anew_takes_the_seat_while_the_learner_thinks() -> None:
    lockstep = Lockstep("run", [CAMERA])
    lockstep.open([(ONE, slice(0, 2))])
    ask(lockstep, request(ONE, step=5, attempt="dead"))
    turn = await lockstep.turn()
    fresh = ask(lockstep, request(ONE, attempt="fresh"), 9)
    await asyncio.sleep(0)
    lockstep.reply(turn, (1, 2), (0, 1), 0)  # for the dead one
    turn = await lockstep.turn()
    assert turn.anew == (0, 1)
    assert np.all(turn.observations[CAMERA.name] == 9)
    lockstep.reply(turn, (3, 4), (0, 1), 0)
    reply = await fresh
    assert reply is not None
    assert reply.actions == (3, 4)


async def test_of_two_simulators_with_one_command_the_older_is_told_to_stop() -> None:
    lockstep = Lockstep("run", [CAMERA])
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
    lockstep = Lockstep("run", [CAMERA], busy_s=0.01)
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


async def test_sensors_of_all_cars_are_joined_each_for_itself_whatever_their_order() -> None:
    lockstep = Lockstep("run", [LIDAR, CAMERA])
    lockstep.open([(ONE, slice(0, 2)), (TWO, slice(2, 3))])
    observed: dict[str, np.ndarray] = {
        CAMERA.name: np.arange(18, dtype=np.uint8).reshape(3, 2, 3, 1),
        LIDAR.name: np.linspace(0.15, 12, 12, dtype=np.float32).reshape(3, 4),
    }
    orders = {ONE: (slice(0, 2), (CAMERA, LIDAR)), TWO: (slice(2, 3), (LIDAR, CAMERA))}
    for rollout, (cars, sensors) in orders.items():
        own = {name: array[cars] for name, array in observed.items()}
        message = request(rollout, cars=cars.stop - cars.start)
        message = message.model_copy(update={"sensors": sensors})
        asyncio.create_task(lockstep.on_request(message, pack(sensors, own)))
    turn = await lockstep.turn()
    assert turn.observations.keys() == observed.keys()
    for name, array in observed.items():
        assert turn.observations[name].dtype == array.dtype
        assert np.array_equal(turn.observations[name], array)
    lockstep.stop()


async def test_a_request_without_sensors_is_of_one_grey_camera() -> None:
    lockstep = Lockstep("run", [CAMERA])
    lockstep.open([(ONE, slice(0, 2))])
    ask(lockstep, request(ONE).model_copy(update={"sensors": ()}), 3)
    turn = await lockstep.turn()
    assert turn.observations[CAMERA.name].shape == (2, 2, 3, 1)
    lockstep.stop()


FEWER_PIXELS = CAMERA.model_copy(update={"shape": (2, 2, 1)})
DOUBLE_PIXELS = CAMERA.model_copy(update={"dtype": "float32"})


@pytest.mark.parametrize(
    ("changes", "size", "problem"),
    [
        ({}, 11, "got 11 bytes of observations for 2 cars with FRONT_FACING_CAMERA uint8.*: 12"),
        ({}, 13, "got 13 bytes"),
        ({}, 0, "got 0 bytes"),
        ({"cars": (CarStep(),)}, 6, "got 1 cars; accepted: the 2 of run.2.0"),
        ({"sensors": (FEWER_PIXELS,)}, 8, r"got FRONT_FACING_CAMERA uint8 \(2, 2, 1\); accepted"),
        ({"sensors": (DOUBLE_PIXELS,)}, 48, r"got FRONT_FACING_CAMERA float32 .*; accepted: FRONT"),
        ({"sensors": (CAMERA, LIDAR)}, 44, r"got FRONT.*, LIDAR float32 \(4,\); accepted: FRONT"),
        ({"sensors": (CAMERA, CAMERA)}, 24, "got FRONT_FACING_CAMERA.*, FRONT_FACING_CAMERA"),
        ({"sensors": (LIDAR,)}, 32, "got LIDAR"),
        ({"sensors": (), "width": 4}, 16, r"got FRONT_FACING_CAMERA uint8 \(2, 4, 1\)"),
    ],
)
async def test_bytes_that_are_not_the_runs_observations_are_refused_with_what_is_accepted(
    changes: dict[str, object], size: int, problem: str
) -> None:
    lockstep = Lockstep("run", [CAMERA])
    lockstep.open([(ONE, slice(0, 2))])
    with pytest.raises(InvalidInput, match=problem):
        await lockstep.on_request(request(ONE).model_copy(update=changes), bytes(size))
