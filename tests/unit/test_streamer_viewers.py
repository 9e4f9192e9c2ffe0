"""Who looks, what each has not seen, and what is told of runs, services, cars and tracks."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from libs.common.events import CarPose, CarsMoved, RunDeleted, RunStarted, ServiceBeat
from libs.common.tracks import load_built_in
from services.streamer.catalogue import Catalogue
from services.streamer.heartbeats import FORGET_AFTER_S, SILENT_AFTER_S, Heartbeats
from services.streamer.track_shape import MAX_POINTS, shape_of
from services.streamer.traffic import GONE_AFTER_S, Traffic
from services.streamer.viewers import Push, Topic, Viewer
from tests.driven import MIDDAY, run_ended


class Board:
    """A value, and a count of how often it was encoded."""

    def __init__(self) -> None:
        self.value = 0
        self.encoded = 0
        self.topic = Topic.of_value("board", self._encode)

    def set(self, value: int) -> None:
        self.value = value
        self.topic.change()

    def _encode(self) -> str:
        self.encoded += 1
        return str(self.value)


def viewer_of(*boards: Board) -> tuple[Viewer, AsyncIterator[Push]]:
    viewer = Viewer([board.topic for board in boards], lambda: 7)
    return viewer, viewer.pushes(every_s=0.001)


async def take(pushes: AsyncIterator[Push]) -> Push:
    async with asyncio.timeout(5):
        return await anext(pushes)


async def test_a_viewer_gets_everything_first_and_then_what_changes() -> None:
    one, two = Board(), Board()
    _, pushes = viewer_of(one, two)
    assert [(await take(pushes)).data for _ in range(2)] == ["0", "0"]
    two.set(5)
    assert await take(pushes) == Push("board", "5", 7)


async def test_a_slow_viewer_skips_what_is_old_while_another_sees_all() -> None:
    board = Board()
    _, slow = viewer_of(board)
    _, fast = viewer_of(board)
    await take(slow)
    seen = [(await take(fast)).data]
    for value in range(1, 50):
        board.set(value)
        seen.append((await take(fast)).data)
    assert seen == [str(value) for value in range(50)]
    assert (await take(slow)).data == "49"


async def test_a_change_is_encoded_once_for_all_viewers() -> None:
    board = Board()
    streams = [viewer_of(board)[1] for _ in range(20)]
    for pushes in streams:
        await take(pushes)
    board.set(1)
    for pushes in streams:
        await take(pushes)
    assert board.encoded == 2


async def test_a_viewer_that_is_closed_ends_and_is_forgotten() -> None:
    board = Board()
    viewer, pushes = viewer_of(board)
    await take(pushes)
    viewer.close()
    assert [push async for push in pushes] == []
    assert board.topic.viewers == set()


def test_what_runs_is_listed_first_and_what_was_deleted_not_at_all() -> None:
    catalogue = Catalogue()
    for number, name in enumerate(("old", "gone", "new")):
        at = MIDDAY + timedelta(minutes=number)
        catalogue.apply(RunStarted(run_id=name, at=at, attempt=1, trainer="t"))
    catalogue.apply(RunDeleted(run_id="gone"))
    catalogue.apply(run_ended("new"))
    assert [run.run_id for run in catalogue.newest(10).runs] == ["old", "new"]
    assert "gone" not in catalogue
    cut = catalogue.newest(1)
    assert (len(cut.runs), cut.total) == (1, 2)


def beat(instance: str, started_at_s: float, ready: bool = True) -> ServiceBeat:
    return ServiceBeat(
        service="trainer", instance=instance, ready=ready, url="", started_at_s=started_at_s
    )


def states(heartbeats: Heartbeats, now_s: float) -> dict[str, str]:
    return {shown.instance: shown.state for shown in heartbeats.shown(now_s)}


def test_a_service_is_ready_not_ready_or_silent() -> None:
    heartbeats = Heartbeats()
    heartbeats.beat(beat("a", 0), now_s=0)
    heartbeats.beat(beat("b", 0, ready=False), now_s=SILENT_AFTER_S)
    assert states(heartbeats, SILENT_AFTER_S) == {"a": "ready", "b": "not ready"}
    assert states(heartbeats, SILENT_AFTER_S + 1)["a"] == "silent"
    assert "a" not in states(heartbeats, FORGET_AFTER_S + 1)


def test_a_replica_that_was_replaced_is_not_missed() -> None:
    heartbeats = Heartbeats()
    old = beat("old", 0)
    heartbeats.beat(old, now_s=0)
    heartbeats.beat(beat("new", old.at.timestamp() + 1), now_s=10)
    assert states(heartbeats, 11) == {"new": "ready"}


def moved(rollout_id: str, *cars: int) -> CarsMoved:
    poses = [
        CarPose(car=car, x_m=1, y_m=2, heading_rad=0, speed_mps=1, progress_pct=car, episode=car)
        for car in cars
    ]
    return CarsMoved(run_id="r1", rollout_id=rollout_id, cars=tuple(poses))


def test_cars_of_several_simulators_share_the_map_until_nobody_tells_of_them() -> None:
    traffic = Traffic()
    traffic.move(moved("a", 0, 1), now_s=0)
    traffic.move(moved("b", 0), now_s=GONE_AFTER_S)
    assert [car.key for car in traffic.cars()] == ["a/000", "a/001", "b/000"]
    assert traffic.expire(GONE_AFTER_S + 0.1)
    assert [car.key for car in traffic.cars()] == ["b/000"]
    assert not traffic.expire(GONE_AFTER_S + 0.1)


def test_the_shape_of_a_track_has_its_three_lines_and_its_length() -> None:
    track = load_built_in("loop")
    shape = shape_of(track, clockwise=True)
    assert shape.closed
    assert shape.clockwise
    assert shape.length_m == round(track.length_m, 3)
    assert len(shape.centre) == len(shape.inner) == len(shape.outer) <= MAX_POINTS
