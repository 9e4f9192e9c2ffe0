"""
Policies in the formats that others run, each read back and compared before it is handed over.

All are made of the frozen graph. ONNX takes any number of observations at once; OpenVINO's
intermediate representation takes one, as the car's inference does.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import openvino
import tensorflow as tf
from numpy.typing import NDArray

from libs.common.errors import InvalidInput, PlatformError
from services.trainer.architecture import Blueprint, Observations, Weights
from services.trainer.checkpoint import Optimiser, read_checkpoint, write_checkpoint
from services.trainer.frozen import freeze_policy, input_node, output_node, run_frozen
from services.trainer.network import ActorCritic

OPSET = 17
PROBES = 4
"""Random observations on which an export has to agree with the live policy."""
PATCH = 10
"""Side of a patch in a random picture, in pixels."""
TOLERANCE, HALF_TOLERANCE = 1e-5, 1e-3
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
"""OpenVINO's own choice on recent processors is 2e-3 off."""


class Inaccurate(PlatformError):
    """An export does not do what the policy does."""

    status_code: ClassVar[int] = 500
    title: ClassVar[str] = "Export differs from the policy"


@dataclass(frozen=True)
class Export:
    """
    One format of a policy: its files, and how far its outputs are from the live policy's.

    The difference is that of probabilities, or of means: as a share of the largest above 1.
    """

    format: str
    files: tuple[Path, ...]
    difference: float


def export_policy(
    weights: Weights,
    blueprint: Blueprint,
    name: str,
    folder: Path,
    formats: Sequence[str],
    optimiser: Optimiser | None = None,
) -> list[Export]:
    """
    Write a policy in each of the formats into a folder.

    Args:
        weights: in DeepRacer's form, as `read_checkpoint` gives them.
        name: of the checkpoint, as `13_Step-8044.ckpt`; other files are called `model_13`.
        formats: of `FORMATS`.
        optimiser: for complete checkpoints; by default one that has not made a step.

    Raises:
        InvalidInput: an unknown format, or weights that do not fit; nothing was written.
        Inaccurate: an export is further from the policy than it may be; nothing was written.
    """
    unknown = [each for each in formats if each not in FORMATS]
    if unknown:
        raise InvalidInput(f"format {unknown[0]!r}; accepted: {', '.join(FORMATS)}")
    probes = random_observations(blueprint)
    expected = _live_outputs(weights, blueprint, probes)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = [
            FORMATS[each](
                _Order(each, weights, blueprint, name, Path(scratch), probes, expected, optimiser)
            )
            for each in formats
        ]
        return [_moved(export, folder) for export in made]


def random_observations(blueprint: Blueprint, count: int = PROBES) -> Observations:
    """Something to see for every sensor, always the same: pictures of patches, as roads are."""
    rng = np.random.default_rng(0)
    seen: dict[str, NDArray[Any]] = {}
    for sensor, shape in blueprint.inputs.items():
        if blueprint.is_camera(sensor):
            height, width, channels = shape
            size = (count, -(-height // PATCH), -(-width // PATCH), channels)
            patches = rng.integers(0, 256, size, dtype=np.uint8)
            tiles = patches.repeat(PATCH, axis=1).repeat(PATCH, axis=2)
            seen[sensor] = tiles[:, :height, :width]
        else:
            seen[sensor] = rng.random((count, *shape)).astype(np.float32)
    return seen


@dataclass(frozen=True)
class _Order:
    """What an export is made of, and what it has to agree with."""

    format: str
    weights: Weights
    blueprint: Blueprint
    name: str
    folder: Path
    probes: Observations
    expected: NDArray[np.float32]
    optimiser: Optimiser | None = None

    @property
    def stem(self) -> str:
        return f"model_{self.name.partition('_')[0]}"

    @property
    def frozen(self) -> bytes:
        return freeze_policy(self.weights, self.blueprint)

    def done(
        self,
        files: Sequence[Path],
        outputs: NDArray[np.float32],
        tolerance: float = TOLERANCE,
    ) -> Export:
        scale = max(1.0, float(np.abs(self.expected).max()))
        difference = float(np.abs(outputs - self.expected).max()) / scale
        if not difference <= tolerance:
            raise Inaccurate(
                f"{self.format} of {self.name} differs by {difference:.1e} from the policy: up to "
                f"{tolerance:.0e} is accepted"
            )
        return Export(self.format, tuple(files), difference)


def _export_frozen(order: _Order) -> Export:
    file = order.folder / f"{order.stem}.pb"
    file.write_bytes(order.frozen)
    return order.done([file], run_frozen(file.read_bytes(), order.probes))


def _export_checkpoint(order: _Order) -> Export:
    """Complete, with an optimiser: what stock rl_coach restores."""
    files = write_checkpoint(
        order.folder, order.name, order.weights, complete=True, optimiser=order.optimiser
    )
    again = read_checkpoint(order.folder / order.name, order.blueprint)
    small = [order.folder / ".coach_checkpoint", order.folder / "checkpoint"]
    outputs = _live_outputs(again, order.blueprint, order.probes)
    return order.done([*files, *small], outputs)


def _export_onnx(order: _Order) -> Export:
    # Half a second to import, and only here.
    from tf2onnx.convert import from_graph_def

    blueprint = order.blueprint
    inputs = [f"{input_node(each, blueprint.input_network)}:0" for each in blueprint.sensors]
    graph = tf.compat.v1.GraphDef.FromString(order.frozen)
    model, _ = from_graph_def(
        graph, input_names=inputs, output_names=[f"{output_node(blueprint)}:0"], opset=OPSET
    )
    file = order.folder / f"{order.stem}.onnx"
    file.write_bytes(model.SerializeToString())
    return order.done([file], _run_openvino(file, order.probes))


def _export_openvino(order: _Order) -> Export:
    return _export_representation(order, order.stem, half=False)


def _export_half_openvino(order: _Order) -> Export:
    return _export_representation(order, f"{order.stem}_fp16", half=True)


def _export_representation(order: _Order, stem: str, *, half: bool) -> Export:
    frozen, file = order.folder / "frozen.pb", order.folder / f"{stem}.xml"
    frozen.write_bytes(order.frozen)
    model = openvino.Core().read_model(frozen)
    shapes = {
        port: [1, *order.blueprint.inputs[sensor]] for sensor, port in _ports(model, order.probes)
    }
    model.reshape(shapes)
    openvino.save_model(model, file, compress_to_fp16=half)
    tolerance = HALF_TOLERANCE if half else TOLERANCE
    return order.done(
        [file, file.with_suffix(".bin")], _run_openvino(file, order.probes), tolerance
    )


FORMATS: dict[str, Callable[[_Order], Export]] = {
    "pb": _export_frozen,
    "checkpoint": _export_checkpoint,
    "onnx": _export_onnx,
    "openvino": _export_openvino,
    "openvino-fp16": _export_half_openvino,
}
"""What a policy can be exported as."""


def _live_outputs(
    weights: Weights, blueprint: Blueprint, observations: Observations
) -> NDArray[np.float32]:
    """Probabilities or means of the network that learning goes on with."""
    network = ActorCritic(blueprint, seed=0)
    network.adopt_weights(weights)
    raw = network.policy(network.centre(observations)).numpy()
    return network.distribution.greedy(raw)


def _run_openvino(file: Path, observations: Observations) -> NDArray[np.float32]:
    """Outputs of a file that OpenVINO reads, one observation at a time."""
    core = openvino.Core()
    model = core.read_model(file)
    ports = _ports(model, observations)
    compiled = core.compile_model(model, "CPU", EXACT)
    rows = [
        compiled(
            {
                port.any_name: observations[name][row : row + 1].astype(np.float32)
                for name, port in ports
            }
        )[0]
        for row in range(PROBES)
    ]
    return np.concatenate(rows)


def _ports(model: Any, observations: Observations) -> list[tuple[str, Any]]:
    """Each sensor with the input that takes it."""
    return [
        (sensor, port)
        for sensor in observations
        for port in model.inputs
        if any(f"/{sensor}/{sensor}" in name for name in port.get_names())
    ]


def _moved(export: Export, folder: Path) -> Export:
    files = [Path(shutil.move(file, folder / file.name)) for file in export.files]
    return Export(export.format, tuple(files), export.difference)
