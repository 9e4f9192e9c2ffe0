"""An exported policy: DeepRacer's frozen graph, run without TensorFlow."""

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from libs.common.errors import InvalidInput
from services.simulator.camera import NETWORK_CAMERA

SCOPE = "main_level/agent/main/online/"
INPUT = SCOPE + "network_0/FRONT_FACING_CAMERA/FRONT_FACING_CAMERA"
OUTPUT = SCOPE + "network_1/ppo_head_0/policy"


class ExportedPolicy:
    """
    The policy of a `model_N.pb`: grey images 0..255 in, probabilities of discrete actions out.

    Arithmetic is float32: the default on recent processors, bfloat16, is 2e-3 off.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """
        Read and compile the graph.

        Raises:
            InvalidInput: the file is missing, no frozen graph, or lacks DeepRacer's nodes.
        """
        if not path.is_file():
            raise InvalidInput(f"policy {str(path)!r}: no such file")
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        core = openvino.Core()
        try:
            model = _select_policy(core.read_model(path))
            self._compiled = core.compile_model(model, "CPU", options)
        except Exception as error:  # OpenVINO raises whatever its front ends do
            raise InvalidInput(_describe_failure(path, error)) from error
        self.actions = int(model.output(0).get_partial_shape()[1].get_length())

    def probabilities(self, observations: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, actions) probabilities for (n, 120, 160) images."""
        images = observations.astype(np.float32)[..., np.newaxis]
        result: NDArray[np.float32] = np.array(self._compiled([images])[0])
        return result


def _select_policy(graph: openvino.Model) -> openvino.Model:
    """The part of a graph between DeepRacer's input and output, for any number of images."""
    images = next((node for node in graph.inputs if INPUT + ":0" in node.get_names()), None)
    tensors = (tensor for node in graph.get_ordered_ops() for tensor in node.outputs())
    policy = next((tensor for tensor in tensors if OUTPUT + ":0" in tensor.get_names()), None)
    if images is None or policy is None:
        raise LookupError("the graph lacks the policy's nodes")
    model = openvino.Model([policy], [images.get_node()])
    model.reshape([-1, NETWORK_CAMERA.height, NETWORK_CAMERA.width, 1])
    return model


def _describe_failure(path: Path, error: Exception) -> str:
    """One line: the last one that OpenVINO says, for it begins with its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return (
        f"policy {path.name!r} ({path.stat().st_size} bytes) can't be read: {reason}; "
        f"accepted is a frozen graph with the nodes {INPUT} and {OUTPUT}"
    )
