"""
What else is on the road, for compiled code: boxes, bot cars, the other learners of an arena.

An arena is one copy of the track with the cars that share it: one car, or in head-to-model several
learners. Each arena has a row of bodies, all rows equally long. Boxes and bots are set out anew for
every episode of the arena's only car; bots follow their lane and change it in a smooth curve.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.race_spec import FIRST_PLACE, LAST_PLACE, LEAST_GAP, RaceSpec
from libs.common.tracks import Track
from services.simulator.bodies import BODY, BOX, CAR_BODY, NOTHING, Bodies
from services.simulator.course import Course, gap_m, pose_at, segment_at
from services.simulator.dice import Dice, roll, shake
from services.simulator.kernels import kernel
from services.simulator.vehicle import CONTROL_HZ, Cars

# Reference, section 2; the heights are ours.
CAR_LENGTH_M, CAR_WIDTH_M, CAR_HEIGHT_M = 0.32352, 0.1961, 0.13
BOX_LENGTH_M, BOX_WIDTH_M, BOX_HEIGHT_M = 0.5, 0.4, 0.4
LANE = 0.25  # of the road's width from its centre line to the middle of a lane

NO_TRAFFIC, BOXES, BOTS, LEARNERS = range(4)
KINDS = {
    "time_trial": NO_TRAFFIC,
    "object_avoidance": BOXES,
    "head_to_bot": BOTS,
    "head_to_model": LEARNERS,
}
SEEDS = 2**31

PLACE = np.dtype(
    [
        ("course", np.int64),  # row of the course that the distance is along
        ("distance_m", np.float64),
        ("offset_m", np.float64),  # from the centre line, + = left
        ("lane", np.float64),  # -1 the inner one, 1 the outer one; between them in a change
        ("from_lane", np.float64),
        ("to_lane", np.float64),
        ("changing_s", np.float64),  # since the last change of lane began
        ("until_change_s", np.float64),
    ]
)
"""Where a body is along the course, and what a bot is about to do."""


class BotManners(NamedTuple):
    """How bots drive."""

    speed_low_mps: float
    speed_high_mps: float
    lane_changes: bool
    change_every_low_s: float
    change_every_high_s: float
    change_time_s: float


class Traffic(NamedTuple):
    """All bodies of all arenas."""

    kind: int
    cars_in_arena: int
    bodies: Bodies  # (arenas, bodies) `BODY`; of learners in the order of the arena's cars
    places: NDArray[np.void]  # (arenas, bodies) `PLACE`
    fixed: NDArray[np.float64]  # (bodies or 0, 2) fraction of a lap and lane
    random: bool  # without fixed places: drawn, else evenly spread
    inner_side: float  # 1 where the inner border is on the left as the track runs, else -1
    manners: BotManners
    dice: Dice  # (arenas,)
    seeds: NDArray[np.int64]  # (arenas,)


def plan_traffic(track: Track, race: RaceSpec, seeds: Sequence[int]) -> Traffic:
    """What shares the road in a race of cars with these seeds."""
    kind, together = KINDS[race.type], race.cars_in_arena
    bodies = (0, race.objects.count, race.bots.count, together)[kind]
    arenas = len(seeds) // together
    fixed = [(place.position, place.lane) for place in race.objects.places] if kind == BOXES else []
    return Traffic(
        kind=kind,
        cars_in_arena=together,
        bodies=_make_bodies(kind, arenas, bodies),
        places=np.zeros((arenas, bodies), PLACE),
        fixed=np.array(fixed, dtype=np.float64).reshape(-1, 2),
        random=kind == BOXES or race.bots.random_places,
        inner_side=math.copysign(1.0, float(np.median(track.project(track.inner).offset_m))),
        manners=BotManners(**race.bots.model_dump(exclude={"count", "random_places"})),
        dice=np.ones(arenas, np.int64),
        seeds=np.array([seed % SEEDS for seed in seeds[::together]], np.int64),
    )


def _make_bodies(kind: int, arenas: int, count: int) -> Bodies:
    bodies = np.zeros((arenas, count), BODY)
    box = kind == BOXES
    bodies["kind"] = (NOTHING, BOX, CAR_BODY, NOTHING)[kind]  # learners' come with their cars
    bodies["length_m"] = BOX_LENGTH_M if box else CAR_LENGTH_M
    bodies["width_m"] = BOX_WIDTH_M if box else CAR_WIDTH_M
    bodies["height_m"] = BOX_HEIGHT_M if box else CAR_HEIGHT_M
    bodies["paint"] = np.arange(count)
    return bodies


def find_others(traffic: Traffic) -> NDArray[np.int64]:
    """(cars, objects) places in the flat array of bodies: all of a car's arena but its own."""
    arenas, count = traffic.bodies.shape
    everyone = np.arange(arenas * count).reshape(arenas, 1, count)
    if traffic.kind != LEARNERS:
        return everyone[:, 0]
    everyone = np.repeat(everyone, count, axis=1)
    return everyone[:, ~np.eye(count, dtype=bool)].reshape(arenas * count, count - 1)


@kernel
def set_out(
    traffic: Traffic, arena: int, episode: int, start_m: float, row: int, course: Course
) -> None:
    """Boxes or bots for an episode of a car that begins at `start_m` along a row of the course."""
    lap_m, count = course.distances_m[0, -1], traffic.bodies.shape[1]
    shake(traffic.dice, arena, traffic.seeds[arena], episode)
    drawn = FIRST_PLACE
    for index in range(count):
        place = traffic.places[arena, index]
        place["course"] = row
        if len(traffic.fixed) > 0:
            place["distance_m"] = traffic.fixed[index, 0] * lap_m
            place["lane"] = traffic.fixed[index, 1]
        else:
            drawn = _draw_place(traffic, arena, index, drawn)
            place["distance_m"] = (start_m + drawn * lap_m) % lap_m
            place["lane"] = 1.0 if roll(traffic.dice, arena) < 0.5 else -1.0
        _start_bot(traffic, arena, index)
        _stand(traffic, arena, index, course)


@kernel
def _draw_place(traffic: Traffic, arena: int, index: int, before: float) -> float:
    """
    How far from the start of the car the next body is, as a fraction of a lap.

    Drawn as uniform order statistics of the room that the least gaps leave, so that every
    arrangement which keeps the gaps is as likely as any other.
    """
    count = traffic.bodies.shape[1]
    if not traffic.random:
        return float(index + 1) / float(count + 1)
    spare = LAST_PLACE - FIRST_PLACE - LEAST_GAP * (count - 1)
    used = before - FIRST_PLACE - LEAST_GAP * max(index - 1, 0)
    share = 1.0 - math.pow(1.0 - roll(traffic.dice, arena), 1.0 / (count - index))
    place: float = FIRST_PLACE + LEAST_GAP * index + used + (spare - used) * share
    return place


@kernel
def _start_bot(traffic: Traffic, arena: int, index: int) -> None:
    """A bot's speed and first change of lane; boxes stand."""
    place, manners = traffic.places[arena, index], traffic.manners
    place["from_lane"] = place["to_lane"] = place["lane"]
    if traffic.kind != BOTS:
        return
    room_mps = manners.speed_high_mps - manners.speed_low_mps
    speed_mps = manners.speed_low_mps + room_mps * roll(traffic.dice, arena)
    traffic.bodies[arena, index]["speed_mps"] = speed_mps
    place["changing_s"] = manners.change_time_s
    place["until_change_s"] = _draw_wait(traffic, arena)


@kernel
def _draw_wait(traffic: Traffic, arena: int) -> float:
    """Seconds until a bot changes its lane again."""
    manners = traffic.manners
    room_s = manners.change_every_high_s - manners.change_every_low_s
    wait_s: float = manners.change_every_low_s + room_s * roll(traffic.dice, arena)
    return wait_s


@kernel
def move_traffic(cars: Cars, traffic: Traffic, arena: int, course: Course) -> None:
    """Where the bodies of an arena are one camera step later; `cars` are those of all arenas."""
    for index in range(traffic.bodies.shape[1]):
        if traffic.kind == BOTS:
            _drive_bot(traffic, arena, index, course)
        elif traffic.kind == LEARNERS:
            follow_car(cars[arena * traffic.cars_in_arena + index], traffic, arena, index)


@kernel
def _drive_bot(traffic: Traffic, arena: int, index: int, course: Course) -> None:
    """One step along the lane, or across to the other one."""
    place, body = traffic.places[arena, index], traffic.bodies[arena, index]
    if traffic.manners.lane_changes:
        _change_lane(traffic, arena, index)
    before_m = place["offset_m"]
    step_m = body["speed_mps"] / CONTROL_HZ
    lap_m = course.distances_m[0, -1]
    ahead_m = place["distance_m"] + step_m
    place["distance_m"] = ahead_m % lap_m if course.closed else min(ahead_m, lap_m)
    _stand(traffic, arena, index, course)
    if step_m > 0.0:
        body["heading_rad"] += math.atan2(place["offset_m"] - before_m, step_m)


@kernel
def _change_lane(traffic: Traffic, arena: int, index: int) -> None:
    """Across in the curve of a smooth step: no jerk at either end."""
    place, manners = traffic.places[arena, index], traffic.manners
    place["until_change_s"] -= 1.0 / CONTROL_HZ
    if place["until_change_s"] <= 0.0:
        place["from_lane"], place["to_lane"] = place["lane"], -math.copysign(1.0, place["lane"])
        place["changing_s"] = 0.0
        place["until_change_s"] = _draw_wait(traffic, arena)
    place["changing_s"] = min(place["changing_s"] + 1.0 / CONTROL_HZ, manners.change_time_s)
    share = place["changing_s"] / manners.change_time_s
    smooth = share * share * (3.0 - 2.0 * share)
    place["lane"] = place["from_lane"] + (place["to_lane"] - place["from_lane"]) * smooth


@kernel
def _stand(traffic: Traffic, arena: int, index: int, course: Course) -> None:
    """The pose of a body that is at its place."""
    place, body = traffic.places[arena, index], traffic.bodies[arena, index]
    row, distance_m = place["course"], place["distance_m"]
    segment = segment_at(distance_m, row, course)
    offset_m = lane_offset_m(place["lane"], row, segment, traffic, course)
    x_m, y_m, heading_rad = pose_at(distance_m, offset_m, row, segment, course)
    place["offset_m"] = offset_m
    body["x_m"], body["y_m"], body["heading_rad"] = x_m, y_m, heading_rad


@kernel
def lane_offset_m(lane: float, row: int, segment: int, traffic: Traffic, course: Course) -> float:
    """How far left of the centre line a lane's middle is."""
    inner_side = traffic.inner_side if row == 0 else -traffic.inner_side
    offset_m: float = -lane * inner_side * LANE * course.widths_m[row, segment]
    return offset_m


@kernel
def follow_car(car: np.void, traffic: Traffic, arena: int, seat: int) -> None:
    """A learner's own body is where its car is."""
    place, body = traffic.places[arena, seat], traffic.bodies[arena, seat]
    body["kind"], place["course"] = CAR_BODY, car["course"]
    place["distance_m"], place["offset_m"] = car["distance_m"], car["offset_m"]
    body["x_m"], body["y_m"] = car["x_m"], car["y_m"]
    body["heading_rad"], body["speed_mps"] = car["heading_rad"], car["speed_mps"]


@kernel
def hit_body(car: np.void, own: int, arena: int, traffic: Traffic, course: Course) -> int:
    """
    The body that a car has run into, -1 for none; `own` is the car's own one.

    A corner of the car lies in the body's rectangle; a moving body counts only where the car is
    behind it, for one that runs into the car from behind is not the car's fault.
    """
    for index in range(traffic.bodies.shape[1]):
        if index == own:
            continue
        body = traffic.bodies[arena, index]
        reach_m = (CAR_LENGTH_M + CAR_WIDTH_M + body["length_m"] + body["width_m"]) / 2
        near = abs(body["x_m"] - car["x_m"]) < reach_m and abs(body["y_m"] - car["y_m"]) < reach_m
        if near and _has_corner_in(car, body):
            ahead_m = gap_m(car["distance_m"], traffic.places[arena, index]["distance_m"], course)
            if body["kind"] == BOX or ahead_m > 0.0:
                return index
    return -1


@kernel
def _has_corner_in(car: np.void, body: np.void) -> bool:
    """Whether a corner of the car lies in the body's rectangle."""
    turn = car["heading_rad"] - body["heading_rad"]
    cosine, sine = math.cos(turn), math.sin(turn)
    gap_x, gap_y = car["x_m"] - body["x_m"], car["y_m"] - body["y_m"]
    body_cosine, body_sine = math.cos(body["heading_rad"]), math.sin(body["heading_rad"])
    ahead_m = gap_x * body_cosine + gap_y * body_sine
    left_m = gap_y * body_cosine - gap_x * body_sine
    for along in (CAR_LENGTH_M / 2, -CAR_LENGTH_M / 2):
        for across in (CAR_WIDTH_M / 2, -CAR_WIDTH_M / 2):
            corner_ahead_m = ahead_m + along * cosine - across * sine
            corner_left_m = left_m + along * sine + across * cosine
            if (
                abs(corner_ahead_m) <= body["length_m"] / 2
                and abs(corner_left_m) <= body["width_m"] / 2
            ):
                return True
    return False
