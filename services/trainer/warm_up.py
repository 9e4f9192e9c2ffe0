"""
What a learner can do before it knows its run: import TensorFlow, and learn a little.

The first functions that a process builds take a second longer than later ones: TensorFlow loads
its gradients, kernels and thread pools as they are first asked for. So a spare learner has gone
through a life in small: build, act, update, save.
"""

import gc
import tempfile
from pathlib import Path

import numpy as np

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import CarStep
from services.trainer.learner import Learner
from services.trainer.training import Training as Training  # imports what surrounds a learner

SIZE_PX = 36
STEPS = 8


def learn_a_little() -> None:
    """Train the smallest learner that there is, once."""
    actions = [{"steering_angle": angle, "speed": 1, "index": angle} for angle in (0, 1)]
    metadata = {"action_space": actions, "neural_network": "FAST"}
    sizes = {"cars": 1, "horizon": STEPS, "batch_size": STEPS, "num_epochs": 1}
    spec = RunSpec(
        name="warm-up",
        track="oval",
        metadata=ModelMetadata.model_validate(metadata),
        hyperparameters=Hyperparameters.model_validate(sizes),
        reward_function="",
    )
    learner = Learner(spec, height_px=SIZE_PX, width_px=SIZE_PX)
    learner.compile()
    dark = np.zeros((1, SIZE_PX, SIZE_PX, 1), np.uint8)
    while learner.state.updates == 0:
        learner.act({camera: dark for camera in spec.metadata.sensor}, [CarStep()])
    with tempfile.TemporaryDirectory(prefix="slipstream-") as folder:
        learner.save(Path(folder))
    del learner
    gc.collect()
