"""
What tests have rl-coach's environment do: `.venv-coach/bin/python -m tests.coach_probe ORDER.json`.

It drives the learner in a world without a simulator, saves and restores, and prints one line of
JSON. The order says what; see `Order`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from libs.common.deepracer.run_spec import RunSpec
from libs.common.events import CarStep

EPISODE_STEPS = 5


class Order(BaseModel):
    """What to do, one after the other."""

    spec: RunSpec
    height_px: int
    width_px: int
    observations: Path  # of which the policy's outputs are wanted: an array (n, *shape) by sensor
    folder: Path  # of checkpoints
    restore: str | None = None  # a checkpoint of this run
    adopt: str | None = None  # one of another run
    calls: int = 0  # camera steps of all cars
    save: bool = False


def main(order: Order) -> dict[str, Any]:
    """Obey, and tell what came of it."""
    from services.trainer.coach.compatibility import install

    install()
    from services.trainer.coach.learner import CoachLearner

    learner = CoachLearner(order.spec, height_px=order.height_px, width_px=order.width_px)
    if order.restore is not None:
        learner.restore(order.folder, order.restore)
    if order.adopt is not None:
        learner.adopt_checkpoint(order.folder / order.adopt)
    decisions = drive(learner, order)
    with np.load(order.observations) as probes:
        outputs = learner.exported_policy(dict(probes))
    return {
        "outputs": outputs.tolist(),
        "actions": [decision.actions or decision.commands for decision in decisions],
        "episodes": [decision.episodes for decision in decisions],
        "ended": [d.ended.model_dump(mode="json") for d in decisions if d.ended is not None],
        "saved": learner.save(order.folder).name if order.save else None,
        "state": learner.state.model_dump(),
    }


def drive(learner: Any, order: Order) -> list[Any]:
    """One half of each picture is bright; the reward is for naming it by the action's sign."""
    cars = order.spec.hyperparameters.cars
    steps: list[CarStep] = []
    decisions = []
    first = learner.state.env_steps // cars  # the same world for a run that goes on
    for call in range(first, first + order.calls):
        rng = np.random.default_rng(call)
        sides = rng.integers(2, size=cars)
        pictures = rng.integers(40, 90, (cars, order.height_px, order.width_px)).astype(np.uint8)
        for picture, side in zip(pictures, sides, strict=True):
            half = order.width_px // 2
            picture[:, side * half : (side + 1) * half] += 120
        decision = learner.act({"FRONT_FACING_CAMERA": pictures[..., np.newaxis]}, steps)
        decisions.append(decision)
        named = decision.actions or [command[0] > 0 for command in decision.commands]
        done = call % EPISODE_STEPS == EPISODE_STEPS - 1
        steps = [
            CarStep(
                reward=float(bool(name) == bool(side)),
                done=done,
                status="off_track" if done else "in_progress",
                episode_reward=1.0,
            )
            for name, side in zip(named, sides, strict=True)
        ]
    return decisions


if __name__ == "__main__":
    told = main(Order.model_validate_json(Path(sys.argv[1]).read_text()))
    sys.stdout.write(json.dumps(told) + "\n")
