"""An exported policy: DeepRacer's frozen graph, run without TensorFlow."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from libs.common.errors import InvalidInput
from libs.common.events import SensorArray
from libs.common.observations import Observations

SCOPE, SAC_SCOPE = "main_level/agent/main/online/", "main_level/agent/policy/online/"
OUTPUT = SCOPE + "network_1/ppo_head_0/policy"
SAC_OUTPUT = SAC_SCOPE + "network_0/sac_policy_head_0/policy"
SCOPES = {OUTPUT: SCOPE, SAC_OUTPUT: SAC_SCOPE}
"""The scope of the placeholders by the node of the policy, of clipped PPO and of SAC."""


def input_node(sensor: str, scope: str = SCOPE) -> str:
    """The placeholder that takes a sensor's observations."""
    return f"{scope}network_0/{sensor}/{sensor}"


class ExportedPolicy:
    """
    The policy of a `model_N.pb`: images 0..255 and the lidar's numbers in, probabilities of
    discrete actions or means of continuous ones out.

    Arithmetic is float32: the default on recent processors, bfloat16, is 2e-3 off.
    """

    def __init__(self, path: Path, sensors: Sequence[SensorArray], threads: int = 1) -> None:
        """
        Read and compile the graph for cars with these sensors.

        Raises:
            InvalidInput: the file is missing, no frozen graph, lacks DeepRacer's nodes, or is of
                a network for other sensors.
        """
        if not path.is_file():
            raise InvalidInput(f"policy {str(path)!r}: no such file")
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        core = openvino.Core()
        try:
            model = _select_policy(core.read_model(path), sensors)
            self._compiled = core.compile_model(model, "CPU", options)
        except Exception as error:  # OpenVINO raises whatever its front ends do
            raise InvalidInput(_describe_failure(path, sensors, error)) from error
        self._names = [sensor.name for sensor in sensors]
        self.actions = int(model.output(0).get_partial_shape()[1].get_length())

    def probabilities(self, observations: Observations) -> NDArray[np.float32]:
        """(n, actions) outputs for observations (n, *shape) by sensor."""
        given = [observations[name].astype(np.float32) for name in self._names]
        result: NDArray[np.float32] = np.array(self._compiled(given)[0])
        return result


def _select_policy(graph: openvino.Model, sensors: Sequence[SensorArray]) -> openvino.Model:
    """The part of a graph from its sensors' inputs, in their order, for any number of cars."""
    tensors = (tensor for node in graph.get_ordered_ops() for tensor in node.outputs())
    named = ((tensor, name.removesuffix(":0")) for tensor in tensors for name in tensor.get_names())
    found = next(((tensor, SCOPES[name]) for tensor, name in named if name in SCOPES), None)
    if found is None:
        raise LookupError("the graph lacks the policy's nodes")
    policy, scope = found
    inputs = [_input(graph, sensor, scope) for sensor in sensors]
    model = openvino.Model([policy], [port.get_node() for port in inputs])
    shapes = zip(model.inputs, sensors, strict=True)
    model.reshape({port: [-1, *sensor.shape] for port, sensor in shapes})
    return model


def _input(graph: openvino.Model, sensor: SensorArray, scope: str) -> openvino.Output:
    name = f"{input_node(sensor.name, scope)}:0"
    found = next((port for port in graph.inputs if name in port.get_names()), None)
    if found is None:
        raise LookupError("the graph lacks the policy's nodes")
    return found


def _describe_failure(path: Path, sensors: Sequence[SensorArray], error: Exception) -> str:
    """One line: the last one that OpenVINO says, for it begins with its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    nodes = [input_node(sensor.name) for sensor in sensors]
    return (
        f"policy {path.name!r} ({path.stat().st_size} bytes) can't be read: {reason}; accepted is "
        f"a frozen graph with the nodes {', '.join([*nodes, OUTPUT])}, for {_list(sensors)}"
    )


def _list(sensors: Sequence[SensorArray]) -> str:
    return ", ".join(map(str, sensors))
