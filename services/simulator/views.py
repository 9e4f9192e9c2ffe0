"""What the cars of a race see, each its own arena's bodies and not its own, and pictures of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import Track
from services.simulator.camera import NETWORK_CAMERA, render_cars
from services.simulator.pictures import Pictures
from services.simulator.randomisation import draw_factors
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
        seeds: Sequence[int],
        traffic: Traffic,
        world: World | None = None,
    ) -> None:
        """`world` is what `draw_world` makes of the look, where it is there already."""
        self._seeds, self._ranges, self._bodies = tuple(seeds), look.randomisation, traffic.bodies
        numbers = np.arange(len(seeds))
        self._arenas = numbers // traffic.cars_in_arena
        seats = numbers % traffic.cars_in_arena
        self._own = seats if traffic.kind == LEARNERS else np.full(len(seeds), -1)
        self._pictures = Pictures(track, look.world)
        self._varied: VariedViews | None = None
        if look.randomisation.varies_picture:
            self._varied = VariedViews(len(seeds), track, look.world, look.randomisation)
            world = self._varied.world
        self._world = draw_world(track, look.world) if world is None else world

    def renew(self, cars: Cars, indices: NDArray[np.int64]) -> None:
        """Draw anew what differs, for cars (of all `cars`) that begin an episode."""
        if self._varied is None:
            return
        for index in indices.tolist():
            seed, episode = self._seeds[index], int(cars["episode"][index])
            self._varied.renew(index, draw_factors(self._ranges, 0, seed, episode))

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
