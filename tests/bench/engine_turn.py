"""
One engine's learner at work without a simulator, for `engine_speed.py`; in the engine's own Python.

    python -m tests.bench.engine_turn native|coach

It says what it is when it has learned once. For every line it drives one iteration and answers with
what that took.
"""

import json
import sys
import time
from typing import Any

import numpy as np

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import DiscreteAction, ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import CarStep, IterationEnded

CARS, EPISODE_STEPS, EPOCHS = 8, 32, 3
STEPS = CARS * EPISODE_STEPS
CAMERA = "FRONT_FACING_CAMERA"


def spec_of(engine: str) -> RunSpec:
    """DeepRacer's network and five actions; every iteration ends with the episodes of all cars."""
    space = tuple(
        DiscreteAction(steering_angle=15.0 * (index - 2), speed=1.0, index=index)
        for index in range(5)
    )
    return RunSpec.model_validate(
        {
            "name": "bench",
            "track": "loop",
            "engine": engine,
            "metadata": ModelMetadata(action_space=space),
            "hyperparameters": Hyperparameters(
                cars=CARS,
                batch_size=64,
                num_epochs=EPOCHS,
                num_episodes_between_training=CARS,
            ),
            "reward_function": "",
        }
    )


class Drive:
    """Cars whose pictures are noise: what a learner does with them takes as long as with others."""

    def __init__(self, engine: str) -> None:
        from services.trainer.coach.__main__ import coach
        from services.trainer.learner_process import native

        make = {"native": native, "coach": coach}[engine]()
        self._learner = make(spec_of(engine))
        self._learner.compile()
        rng = np.random.default_rng(0)
        self._pictures = rng.integers(0, 256, (EPISODE_STEPS, CARS, 120, 160, 1), np.uint8)
        self._rng = rng
        self._calls = 0
        self._steps: list[CarStep] = []

    def iterate(self) -> dict[str, float]:
        """One iteration: steps and frames, and the seconds that they took."""
        began_s = time.process_time()
        while (ended := self._step()) is None:
            pass
        return {
            "play_s": ended.infer_s,
            "learn_s": ended.learn_s,
            "processor_s": time.process_time() - began_s,
        }

    def _step(self) -> IterationEnded | None:
        seen = self._pictures[self._calls % EPISODE_STEPS]
        decision = self._learner.act({CAMERA: seen}, self._steps)
        self._calls += 1
        done = self._calls % EPISODE_STEPS == 0
        status = "off_track" if done else "in_progress"
        self._steps = [
            CarStep(reward=float(reward), done=done, status=status)
            for reward in self._rng.random(CARS)
        ]
        return decision.ended


def say(document: dict[str, Any]) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    drive = Drive(sys.argv[1])
    drive.iterate()
    say({"ready": True})
    for _ in sys.stdin:
        say(drive.iterate())
