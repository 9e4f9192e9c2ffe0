"""What the cars of a race see, each its own arena's bodies and not its own, and pictures of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import Track
from services.simulator.camera import NETWORK_CAMERA, render_cars
from services.simulator.pictures import Pictures
from services.simulator.traffic import LEARNERS, Traffic
from services.simulator.varied_views import VariedViews
from services.simulator.vehicle import Cars
from services.simulator.world import World, draw_world


class Look(NamedTuple):
    """What a race looks like, and what differs from episode to episode."""

    world: WorldSpec = WorldSpec()
    randomisation: RandomisationSpec = RandomisationSpec()


class Views:
    """The front cameras of a race's cars."""

    def __init__(
        self,
        track: Track,
        look: Look,
        traffic: Traffic,
        cars: int,
        world: World | None = None,
    ) -> None:
        """`world` is what `draw_world` makes of the look, where it is there already."""
        self._bodies, numbers = traffic.bodies, np.arange(cars)
        self._arenas = numbers // traffic.cars_in_arena
        seats = numbers % traffic.cars_in_arena
        self._own = seats if traffic.kind == LEARNERS else np.full(cars, -1)
        self._pictures = Pictures(track, look.world)
        self._varied: VariedViews | None = None
        if look.randomisation.varies_picture:
            self._varied = VariedViews(cars, track, look.world, look.randomisation)
            world = self._varied.world
        self._world = draw_world(track, look.world) if world is None else world

    def renew(self, car: int, factors: np.void) -> None:
        """Give a car what its new episode has drawn, a row of `FACTORS`."""
        if self._varied is not None:
            self._varied.renew(car, factors)

    def render(self, cars: Cars, part: slice, images: NDArray[np.uint8]) -> None:
        """What a part of all `cars` sees, into that part of the `images`."""
        road = self._bodies, self._arenas[part], self._own[part]
        if self._varied is None:
            render_cars(cars[part], self._world, NETWORK_CAMERA, images[part], *road)
        else:
            self._varied.render(cars[part], NETWORK_CAMERA, images[part], *road, part.start)

    def picture(self, cars: Cars, car: int, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3) what one car sees, in colour and as the world is."""
        arena = int(self._arenas[car])
        bodies, own = self._bodies[arena : arena + 1], int(self._own[car])
        return self._pictures.draw(cars[car : car + 1], width, height, bodies, own)
