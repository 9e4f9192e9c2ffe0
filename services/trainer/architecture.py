"""
What the networks are made of: tables of layers, and the names and shapes that follow from them.

The tables are DeepRacer's (reference, section 3), but for FAST. As in rl_coach every sensor has an
embedder, the embeddings are laid end to end in the order of the sensors' names, and a middleware
follows. Value (`network_0`) and policy (`network_1`) have all of that to themselves. Every layer
but the heads' ends in a ReLU; the batch normalisation, tanh and dropout that DeepRacer's own tables
mention are not applied there either.

A dense layer of an embedder acts on the channels of every pixel, as rl_coach flattens after it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.continuous import COMMANDS
from libs.common.deepracer.metadata import ContinuousActionSpace, LidarConfig, ModelMetadata

Weights = dict[str, NDArray[np.float32]]
"""Arrays by DeepRacer's variable names, for images divided by 255."""

Observations = Mapping[str, NDArray[np.generic]]
"""Arrays (n, *shape) by sensor: uint8 of cameras, float32 of lidars."""

HEIGHT_PX, WIDTH_PX = 120, 160
LIDAR_RAYS, LIDAR_SECTORS = 64, 8
SECTOR_VALUES = 64
"""Of DISCRETIZED_SECTOR_LIDAR by default: 8 sectors of 8 values."""

ONLINE = "main_level/agent/main/online"
VALUE, POLICY = f"{ONLINE}/network_0", f"{ONLINE}/network_1"
VALUE_HEAD = f"{VALUE}/v_values_head_0/output"
POLICY_SCOPE = f"{POLICY}/ppo_head_0"
LOG_STD = f"{POLICY_SCOPE}/policy_log_std"


@dataclass(frozen=True)
class Embedder:
    """The layers of one sensor."""

    convolutions: tuple[tuple[int, int, int], ...] = ()  # filters, kernel, stride; padding VALID
    dense: tuple[int, ...] = ()
    pooling: int = 1  # side of the squares of pixels that are averaged first


@dataclass(frozen=True)
class Trunk:
    """The layers of one network below its head."""

    camera: Embedder
    stereo: Embedder
    middleware: tuple[int, ...]
    lidar: Embedder = Embedder(dense=(256, 256))
    most_steps: int = 3_000  # of all cars between two updates, DeepRacer's caps

    def embedder(self, sensor: str) -> Embedder:
        """The embedder of a sensor."""
        if sensor.endswith("LIDAR"):
            return self.lidar
        return self.stereo if sensor == "STEREO_CAMERAS" else self.camera


_SHALLOW = Embedder(((32, 8, 4), (64, 4, 2), (64, 3, 1)))
_DEEP_STEREO = Embedder(((32, 3, 1), (64, 3, 2), (64, 3, 1), (128, 3, 2), (128, 3, 1)))
_FAST = Embedder(((16, 4, 2), (32, 3, 2)), pooling=4)

TRUNKS = {
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": Trunk(
        _SHALLOW, _SHALLOW, middleware=(512,), most_steps=10_000
    ),
    "DEEP_CONVOLUTIONAL_NETWORK": Trunk(
        Embedder(((32, 5, 2), (32, 3, 1), (64, 3, 2), (64, 3, 1)), dense=(64,)),
        _DEEP_STEREO,
        middleware=(512,),
    ),
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP": Trunk(
        Embedder(((32, 8, 4), (32, 4, 2), (64, 4, 2), (64, 3, 1)), dense=(512, 512)),
        _DEEP_STEREO,
        middleware=(256, 128),
    ),
    # Ours, for quick experiments: 40 x 30 means of pixels, 0.45 M weights to SHALLOW's 11.7 M.
    "FAST": Trunk(_FAST, _FAST, middleware=(128,), most_steps=10_000),
}
"""By the name in `model_metadata.json`."""


@dataclass(frozen=True)
class Layer:
    """One layer with weights: a convolution where its kernel has four dimensions, else dense."""

    name: str  # below its network's scope
    kernel: tuple[int, ...]
    stride: int = 1


@dataclass(frozen=True)
class Blueprint:
    """
    A network with everything that its weights' shapes depend on.

    `inputs` are the shapes of the sensors' observations; `actions` is the size of the discrete
    action space, or 2 where steering and speed are continuous.
    """

    network: str
    inputs: Mapping[str, tuple[int, ...]]
    actions: int
    continuous: bool = False

    @property
    def trunk(self) -> Trunk:
        """The network's table."""
        return TRUNKS[self.network]

    @property
    def sensors(self) -> list[str]:
        """In the order in which rl_coach joins them."""
        return sorted(self.inputs)

    @property
    def cameras(self) -> list[str]:
        """The sensors that give images."""
        return [sensor for sensor in self.sensors if self.is_camera(sensor)]

    @property
    def policy_head(self) -> str:
        """The scope of the policy's last layer."""
        return f"{POLICY_SCOPE}/{'policy_mean' if self.continuous else 'policy_fc'}"

    def is_camera(self, sensor: str) -> bool:
        """Whether a sensor gives images."""
        return len(self.inputs[sensor]) == 3

    def dtype(self, sensor: str) -> type[np.generic]:
        """Of a sensor's observations."""
        return np.uint8 if self.is_camera(sensor) else np.float32

    def embedder_layers(self, sensor: str) -> list[Layer]:
        """The layers of a sensor, first to last; rl_coach counts activations as layers too."""
        embedder, shape = self.trunk.embedder(sensor), self.inputs[sensor]
        layers: list[Layer] = []
        channels = shape[-1]
        for filters, kernel, stride in embedder.convolutions:
            name = f"{sensor}/Conv2d_{2 * len(layers)}"
            layers.append(Layer(name, (kernel, kernel, channels, filters), stride))
            channels = filters
        for units in embedder.dense:
            layers.append(Layer(f"{sensor}/Dense_{2 * len(layers)}", (channels, units)))
            channels = units
        return layers

    def embedding_size(self, sensor: str) -> int:
        """How many numbers an embedder makes: SHALLOW makes 11264 of 120 x 160 pixels."""
        embedder, layers = self.trunk.embedder(sensor), self.embedder_layers(sensor)
        sides = [side // embedder.pooling for side in self.inputs[sensor][:-1]]
        for _, kernel, stride in embedder.convolutions:
            sides = [(side - kernel) // stride + 1 for side in sides]
        return prod(sides) * layers[-1].kernel[-1]

    def middleware_layers(self) -> list[Layer]:
        """The layers after the embeddings are joined."""
        layers: list[Layer] = []
        width = sum(self.embedding_size(sensor) for sensor in self.sensors)
        for units in self.trunk.middleware:
            name = f"middleware_fc_embedder/Dense_{2 * len(layers)}"
            layers.append(Layer(name, (width, units)))
            width = units
        return layers

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every variable by its name: those of the value network, then the policy's."""
        shapes = dict(self._network_shapes(VALUE, VALUE_HEAD, 1))
        shapes |= self._network_shapes(POLICY, self.policy_head, self.actions)
        if self.continuous:
            shapes[LOG_STD] = (1, self.actions)
        return shapes

    def _network_shapes(
        self, scope: str, head: str, outputs: int
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        layers = [layer for sensor in self.sensors for layer in self.embedder_layers(sensor)]
        for layer in (*layers, *self.middleware_layers()):
            yield f"{scope}/{layer.name}/kernel", layer.kernel
            yield f"{scope}/{layer.name}/bias", layer.kernel[-1:]
        yield f"{head}/kernel", (self.trunk.middleware[-1], outputs)
        yield f"{head}/bias", (outputs,)

    def __str__(self) -> str:
        actions = "continuous actions" if self.continuous else f"{self.actions} actions"
        return f"{self.network} with {', '.join(self.sensors)} and {actions}"


def sensor_shapes(
    sensors: tuple[str, ...],
    height_px: int = HEIGHT_PX,
    width_px: int = WIDTH_PX,
    sector_values: int = SECTOR_VALUES,
) -> dict[str, tuple[int, ...]]:
    """Shapes of the observations of these sensors (reference, section 2)."""
    shapes: dict[str, tuple[int, ...]] = {
        "FRONT_FACING_CAMERA": (height_px, width_px, 1),
        "LEFT_CAMERA": (height_px, width_px, 1),
        "STEREO_CAMERAS": (height_px, width_px, 2),
        "LIDAR": (LIDAR_RAYS,),
        "SECTOR_LIDAR": (LIDAR_SECTORS,),
        "DISCRETIZED_SECTOR_LIDAR": (sector_values,),
    }
    return {sensor: shapes[sensor] for sensor in sensors}


def blueprint_of(
    metadata: ModelMetadata, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX
) -> Blueprint:
    """The network that `model_metadata.json` asks for."""
    continuous = isinstance(metadata.action_space, ContinuousActionSpace)
    lidar = metadata.lidar_config or LidarConfig()
    sector_values = lidar.num_sectors * lidar.num_values_per_sector
    return Blueprint(
        network=metadata.neural_network,
        inputs=sensor_shapes(metadata.sensor, height_px, width_px, sector_values),
        actions=len(metadata.action_space)
        if isinstance(metadata.action_space, tuple)
        else COMMANDS,
        continuous=continuous,
    )
