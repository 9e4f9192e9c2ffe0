"""
An exported policy in one of the runtimes.

    python -m tests.bench.peers.policy_runtime openvino|onnxruntime|tensorflow FOLDER PICTURES
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from libs.common.events import SensorArray
from tests.bench.peers import learning
from tests.bench.peers.turns import serve

THREADS = 2
INPUT = f"main_level/agent/main/online/network_0/{learning.CAMERA}/{learning.CAMERA}"
OUTPUT = "main_level/agent/main/online/network_1/ppo_head_0/policy"
Infer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def with_openvino(folder: Path) -> tuple[str, Infer]:
    """As the simulator has it: the frozen graph for any number of pictures, float32."""
    import openvino

    from services.simulator.policy import ExportedPolicy

    shape = (learning.HEIGHT_PX, learning.WIDTH_PX, 1)
    sensor = SensorArray(name=learning.CAMERA, shape=shape, dtype="uint8")
    policy = ExportedPolicy(folder / "model_0.pb", [sensor], THREADS)
    version = openvino.__version__.partition("-")[0]
    return f"OpenVINO {version}", lambda pictures: policy.probabilities({learning.CAMERA: pictures})


def with_onnxruntime(folder: Path) -> tuple[str, Infer]:
    """The ONNX export."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        str(folder / "model_0.onnx"), options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return f"onnxruntime {onnxruntime.__version__}", lambda pictures: session.run(
        None, {given.name: pictures.astype(np.float32)}
    )[0]


def with_tensorflow(folder: Path) -> tuple[str, Infer]:
    """The frozen graph as a pruned function, without a session."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    definition = tf.compat.v1.GraphDef.FromString((folder / "model_0.pb").read_bytes())

    def graph() -> None:
        tf.graph_util.import_graph_def(definition, name="")

    wrapped = tf.compat.v1.wrap_function(graph, [])
    function = wrapped.prune(f"{INPUT}:0", f"{OUTPUT}:0")
    return f"TensorFlow {tf.__version__}", lambda pictures: function(
        tf.constant(pictures.astype(np.float32))
    ).numpy()


RUNTIMES = {
    "openvino": with_openvino,
    "onnxruntime": with_onnxruntime,
    "tensorflow": with_tensorflow,
}


def main(runtime: str, folder: str, pictures: str) -> None:
    """Infer whenever it is this process's turn."""
    name, infer = RUNTIMES[runtime](Path(folder))
    seen = learning.draw_experience(1, int(pictures)).frames[0]
    # The first picture is the same for any number of them.
    seen[0] = learning.draw_experience(1, 1).frames[0, 0]
    told = " ".join(f"{chance:.7f}" for chance in infer(seen)[0])

    def step() -> int:
        infer(seen)
        return len(seen)

    serve(f"{name}; {told}", step)


if __name__ == "__main__":
    main(*sys.argv[1:])
