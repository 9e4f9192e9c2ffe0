"""How a film shows an episode: the views that DeepRacer's tools make, and our own."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.world_spec import WorldSpec
from libs.common.events import FilmView
from libs.common.tracks import Track
from services.simulator.bodies import BODY, CAR_BODY, Bodies
from services.simulator.camera import Mount
from services.simulator.pictures import Pictures
from services.simulator.race import Race
from services.simulator.track_map import TrackMap
from services.simulator.traffic import CAR_HEIGHT_M, CAR_LENGTH_M, CAR_WIDTH_M
from services.simulator.vehicle import CONTROL_HZ

Shot = Callable[[Race], NDArray[np.uint8]]
"""Draws a race as it stands, (height, width, 3)."""

CHASE = Mount(
    height_m=1.0, ahead_m=-1.25, pitch_rad=math.radians(34), horizontal_fov_rad=math.radians(68)
)
"""Behind the car and above it, looking down on it and the road ahead."""
FRONT_SHARE = 8 / 15
"""Of the width, for what the car sees; the map has the rest."""
INSET_SHARE = 0.36
EDGE_PX = 2
EDGE = 230


def shot_of(view: FilmView, track: Track, world: WorldSpec, width: int, height: int) -> Shot:
    """The shot of a view, for pictures of one size."""
    if view == "camera-topview":
        return _map_shot(TrackMap(track, width, height))
    if view == "camera-front":
        across = round(width * FRONT_SHARE / 2) * 2
        above = _map_shot(TrackMap(track, width - across, height))
        return lambda race: np.hstack((_front(race, across, height), above(race)))
    chase = _chase_shot(Pictures(track, world), width, height)
    if view == "camera-45degree":
        return chase
    inset_width, inset_height = round(width * INSET_SHARE), round(height * INSET_SHARE)
    return _with_inset(chase, _map_shot(TrackMap(track, inset_width, inset_height), caption=False))


def _front(race: Race, width: int, height: int) -> NDArray[np.uint8]:
    """What the first car sees, 4:3, between bars where the picture is higher."""
    seen = race.frame(0, width, min(height, width * 3 // 4))
    above = (height - len(seen)) // 2
    return np.pad(seen, ((above, height - len(seen) - above), (0, 0), (0, 0)))


def _map_shot(above: TrackMap, *, caption: bool = True) -> Shot:
    def draw(race: Race) -> NDArray[np.uint8]:
        cars, seconds = race.poses(), int(race.states["steps"][0]) / CONTROL_HZ
        first = cars[0]
        text = f"{seconds:6.2f} s   {first.speed_mps:4.2f} m/s   {first.progress_pct:5.1f} %"
        return above.picture(cars, race.bodies[0], text if caption else "")

    return draw


def _chase_shot(pictures: Pictures, width: int, height: int) -> Shot:
    def draw(race: Race) -> NDArray[np.uint8]:
        bodies = np.concatenate([race.bodies[0], _body_of(race)])
        return pictures.draw(race.states[:1], width, height, bodies[np.newaxis], mount=CHASE)

    return draw


def _body_of(race: Race) -> Bodies:
    """(1,) the first car, as others on the road would see it."""
    car, body = race.states[0], np.zeros(1, BODY)
    body["kind"] = CAR_BODY
    for name in ("x_m", "y_m", "heading_rad"):
        body[name] = car[name]
    body["length_m"], body["width_m"] = CAR_LENGTH_M, CAR_WIDTH_M
    body["height_m"] = CAR_HEIGHT_M
    return body


def _with_inset(shot: Shot, inset: Shot) -> Shot:
    def draw(race: Race) -> NDArray[np.uint8]:
        picture, small = shot(race).copy(), inset(race)
        height, width = small.shape[:2]
        framed = np.full((height + 2 * EDGE_PX, width + 2 * EDGE_PX, 3), EDGE, np.uint8)
        framed[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX] = small
        picture[-len(framed) :, -framed.shape[1] :] = framed
        return picture

    return draw
