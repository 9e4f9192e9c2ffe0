"""What the cars of a race sense: the world, what shares their road, but not themselves."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.metadata import LidarConfig, ModelMetadata
from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import Track
from services.simulator.camera import Camera
from services.simulator.pictures import Pictures
from services.simulator.sensors import CAMERAS, FRONT_CAMERA, Array, Render, Sensors, with_channels
from services.simulator.traffic import LEARNERS, Traffic
from services.simulator.varied_views import VariedViews
from services.simulator.vehicle import Cars
from services.simulator.world import World, draw_world


class Look(NamedTuple):
    """What a race looks like, and what differs from episode to episode."""

    world: WorldSpec = WorldSpec()
    randomisation: RandomisationSpec = RandomisationSpec()


Eyes = tuple[tuple[str, ...], LidarConfig | None]
"""What of a model's metadata says what its car senses."""


class Views:
    """
    The sensors of a race's cars.

    `sensed` holds what each measured last, (cars, ...) by its name; `images` is that of the camera,
    which every car has. Where other drivers are on the road, `observed_by` holds theirs too.
    """

    def __init__(
        self,
        track: Track,
        look: Look,
        seeds: Sequence[int],
        traffic: Traffic,
        world: World | None = None,
        metadata: ModelMetadata | None = None,
        others: Sequence[ModelMetadata] = (),
    ) -> None:
        """
        `world` is what `draw_world` makes of the look, where it is there already; without metadata
        the front camera is the only sensor.
        """
        own = Sensors(metadata)
        self.sensed = own.allocate(len(seeds))
        self._eyes = {_eyes(metadata): (own, self.sensed)}
        for other in others:
            if _eyes(other) not in self._eyes:
                theirs = Sensors(other)
                self._eyes[_eyes(other)] = theirs, theirs.allocate(len(seeds))
        self.images: NDArray[np.uint8] = next(
            values for name, values in self.sensed.items() if name in CAMERAS
        )
        self._bodies = traffic.bodies
        numbers = np.arange(len(seeds))
        self._arenas = numbers // traffic.cars_in_arena
        seats = numbers % traffic.cars_in_arena
        self._own = seats if traffic.kind == LEARNERS else np.full(len(seeds), -1)
        self._noise_seeds = np.array(seeds, np.uint64) * np.uint64(traffic.cars_in_arena)
        self._noise_seeds += seats.astype(np.uint64)  # cars of an arena may share a seed
        self._pictures = Pictures(track, look.world)
        self._varied: VariedViews | None = None
        if look.randomisation.varies_picture:
            cameras = [each for sensors, _ in self._eyes.values() for each in sensors.cameras]
            self._varied = VariedViews(
                len(seeds), track, look.world, look.randomisation, cameras=cameras
            )
            world = self._varied.world
        self._world = draw_world(track, look.world) if world is None else world

    def renew(self, car: int, factors: np.void) -> None:
        """Let a car that begins an episode see as it has drawn, a row of `FACTORS`."""
        if self._varied is not None:
            self._varied.renew(car, factors)

    def look(self, cars: Cars, part: slice) -> None:
        """Measure what a part of all `cars` senses now."""
        road = self._bodies, self._arenas[part], self._own[part]
        render: Render | None = None
        if (varied := self._varied) is not None:

            def render(camera: Camera, images: NDArray[np.uint8]) -> None:
                varied.render(cars[part], camera, images, *road, part.start)

        noise = self._noise_seeds[part]
        for sensors, sensed in self._eyes.values():
            into = {name: values[part] for name, values in sensed.items()}
            sensors.observe(cars[part], self._world, into, *road, noise_seeds=noise, render=render)

    def observed_by(self, metadata: ModelMetadata) -> Mapping[str, Array]:
        """
        (cars, ...) by name what the sensors of one of the drivers measured last, cameras with an
        axis for their channels: as networks take it.
        """
        _, sensed = self._eyes[_eyes(metadata)]
        return {name: with_channels(array) for name, array in sensed.items()}

    def picture(self, cars: Cars, car: int, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3) what one car sees, in colour and as the world is."""
        arena = int(self._arenas[car])
        bodies, own = self._bodies[arena : arena + 1], int(self._own[car])
        return self._pictures.draw(cars[car : car + 1], width, height, bodies, own)


def _eyes(metadata: ModelMetadata | None) -> Eyes:
    return (metadata.sensor, metadata.lidar_config) if metadata else ((FRONT_CAMERA,), None)
