"""The tables of layers: DeepRacer's networks (reference, section 3), and FAST."""

from dataclasses import dataclass


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
    head_units: int = 256  # of each hidden layer of SAC's heads
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
    "FAST": Trunk(_FAST, _FAST, middleware=(128,), head_units=128, most_steps=10_000),
}
"""By the name in `model_metadata.json`."""
