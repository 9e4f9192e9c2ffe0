"""
What the networks are made of: the names and shapes that follow from the tables of layers.

As in rl_coach every sensor has an embedder, the embeddings are laid end to end in the order of the
sensors' names, and a middleware follows. Value (`network_0`) and policy (`network_1`) have all of
that to themselves. Every layer but the heads' ends in a ReLU; the batch normalisation, tanh and
dropout that DeepRacer's own tables mention are not applied there either.

A dense layer of an embedder acts on the channels of every pixel, as rl_coach flattens after it.

With SAC there are other networks: see `SacBlueprint`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from libs.common.deepracer.continuous import COMMANDS
from libs.common.deepracer.metadata import ContinuousActionSpace, LidarConfig, ModelMetadata
from services.trainer.trunks import TRUNKS as TRUNKS
from services.trainer.trunks import Trunk

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

SAC_POLICY = "main_level/agent/policy/online/network_0"
SAC_POLICY_SCOPE = f"{SAC_POLICY}/sac_policy_head_0"
SAC_Q = "main_level/agent/q/online/network_0"
SAC_V, SAC_TARGET_V = (f"main_level/agent/v/{copy}/network_0" for copy in ("online", "target"))


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
    def networks(self) -> tuple[str, ...]:
        """The scopes of all networks: each has its own embedders."""
        return VALUE, POLICY

    @property
    def policy_network(self) -> str:
        """The scope of the network that acts."""
        return POLICY

    @property
    def input_network(self) -> str:
        """The scope of the placeholders; rl_coach makes them with the first network."""
        return VALUE

    @property
    def policy_scope(self) -> str:
        """The scope of the policy's head."""
        return POLICY_SCOPE

    @property
    def policy_head(self) -> str:
        """The scope of the policy's last layer."""
        return f"{POLICY_SCOPE}/{'policy_mean' if self.continuous else 'policy_fc'}"

    @property
    def spread_head(self) -> str | None:
        """The scope of the layer that tells the spreads; None where they are free variables."""
        return None

    @property
    def squashed(self) -> bool:
        """Whether actions are the hyperbolic tangent of what is drawn."""
        return False

    def policy_layers(self) -> list[Layer]:
        """Hidden layers between the policy's middleware and its last layer."""
        return []

    @property
    def pooled(self) -> dict[str, tuple[int, ...]]:
        """Shapes of what a learner keeps: `inputs`, pooled where a network pools them first."""
        return {sensor: self._pooled_shape(sensor) for sensor in self.inputs}

    def is_pooled(self, sensor: str) -> bool:
        """Whether the network's first layer averages squares of pixels."""
        return self.trunk.embedder(sensor).pooling > 1

    def pooled_dtype(self, sensor: str) -> type[np.generic]:
        """Of what a learner keeps."""
        return np.float32 if self.is_pooled(sensor) else self.dtype(sensor)

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
        sides = list(self._pooled_shape(sensor)[:-1])
        for _, kernel, stride in embedder.convolutions:
            sides = [(side - kernel) // stride + 1 for side in sides]
        return prod(sides) * layers[-1].kernel[-1]

    def _pooled_shape(self, sensor: str) -> tuple[int, ...]:
        *sides, channels = self.inputs[sensor]
        pooling = self.trunk.embedder(sensor).pooling
        return (*(side // pooling for side in sides), channels)

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
        width = self.trunk.middleware[-1]
        value = [*self.trunk_layers(VALUE), Layer(VALUE_HEAD, (width, 1))]
        policy = [*self.trunk_layers(POLICY), Layer(self.policy_head, (width, self.actions))]
        shapes = _shapes_of([*value, *policy])
        if self.continuous:
            shapes[LOG_STD] = (1, self.actions)
        return shapes

    def trunk_layers(self, network: str) -> list[Layer]:
        """The layers of a network below its head, with their whole names."""
        layers = [layer for sensor in self.sensors for layer in self.embedder_layers(sensor)]
        return _scoped(network, [*layers, *self.middleware_layers()])

    def __str__(self) -> str:
        actions = "continuous actions" if self.continuous else f"{self.actions} actions"
        return f"{self.network} with {', '.join(self.sensors)} and {actions}"


class SacBlueprint(Blueprint):
    """
    The networks of SAC, as DeepRacer's simulation application has them.

    The policy has a hidden layer, a mean and a logarithm of the spread for each action. The two
    action values share the embedders of one network; each has two hidden layers that read the
    embeddings and the action. The state's value has a target network that lags behind it.
    """

    @property
    def networks(self) -> tuple[str, ...]:
        """Policy, action values, state value and its target."""
        return SAC_POLICY, SAC_Q, SAC_V, SAC_TARGET_V

    @property
    def policy_network(self) -> str:
        """The scope of the network that acts."""
        return SAC_POLICY

    @property
    def input_network(self) -> str:
        """The policy has placeholders of its own."""
        return SAC_POLICY

    @property
    def policy_scope(self) -> str:
        """The scope of the policy's head."""
        return SAC_POLICY_SCOPE

    @property
    def policy_head(self) -> str:
        """The scope of the layer of means."""
        return f"{SAC_POLICY_SCOPE}/policy_mean"

    @property
    def spread_head(self) -> str | None:
        """The scope of the layer that tells the logarithms of the spreads."""
        return f"{SAC_POLICY_SCOPE}/dense_1"

    @property
    def squashed(self) -> bool:
        """Actions are within -1 to 1."""
        return True

    def policy_layers(self) -> list[Layer]:
        """The head's hidden layer."""
        kernel = (self.trunk.middleware[-1], self.trunk.head_units)
        return [Layer("sac_policy_head_0/dense", kernel)]

    def q_layers(self, number: int) -> list[Layer]:
        """The layers of action value 1 or 2 above the shared embedders, the last one linear."""
        head = f"q_values_head_0/q{number}_head"
        width = sum(self.embedding_size(sensor) for sensor in self.sensors)
        units = self.trunk.head_units
        return [
            Layer(f"{head}/dense", (width + self.actions, units)),
            Layer(f"{head}/dense_1", (units, units)),
            Layer(f"{head}/q{number}_output", (units, 1)),
        ]

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every variable by its name: policy, action values, state value, its target."""
        scopes, size = self._policy_heads(), (self.trunk.head_units, self.actions)
        heads = [Layer(scope, size) for scope in scopes]
        policy = [*self.trunk_layers(SAC_POLICY), *_scoped(SAC_POLICY, self.policy_layers())]
        embedders = [layer for sensor in self.sensors for layer in self.embedder_layers(sensor)]
        q_values = [*embedders, *self.q_layers(1), *self.q_layers(2)]
        shapes = _shapes_of([*policy, *heads, *_scoped(SAC_Q, q_values)])
        for network in (SAC_V, SAC_TARGET_V):
            output = Layer("v_values_head_0/output", (self.trunk.middleware[-1], 1))
            shapes |= _shapes_of([*self.trunk_layers(network), *_scoped(network, [output])])
        return shapes

    def _policy_heads(self) -> tuple[str, str]:
        return self.policy_head, f"{SAC_POLICY_SCOPE}/dense_1"


def _scoped(network: str, layers: Iterable[Layer]) -> list[Layer]:
    return [replace(layer, name=f"{network}/{layer.name}") for layer in layers]


def _shapes_of(layers: Iterable[Layer]) -> dict[str, tuple[int, ...]]:
    """Kernel and bias of each layer; names are whole."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        shapes[f"{layer.name}/kernel"] = layer.kernel
        shapes[f"{layer.name}/bias"] = layer.kernel[-1:]
    return shapes


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
    kind = SacBlueprint if metadata.training_algorithm == "sac" else Blueprint
    return kind(
        network=metadata.neural_network,
        inputs=sensor_shapes(metadata.sensor, height_px, width_px, sector_values),
        actions=len(metadata.action_space)
        if isinstance(metadata.action_space, tuple)
        else COMMANDS,
        continuous=continuous,
    )
