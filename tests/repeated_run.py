"""
A short run, learner and simulator in one process, told to the last digit.

    python -m tests.repeated_run OUTPUT NETWORK UPDATES

Writes `OUTPUT/steps.jsonl`, what each car did at every step and what came of it, and
`OUTPUT/weights.npz`. TensorFlow has the threads of production.
"""

import json
import sys
from pathlib import Path

import numpy as np

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from services.simulator.action_space import ActionSpace
from services.simulator.race import Race
from services.simulator.rollout import as_steps
from services.simulator.track_choice import choose_track
from services.trainer.learner import Learner
from services.trainer.memory import write_memory
from services.trainer.network import configure_threads

SEED = 5
STEERING_DEG = (-30.0, 0.0, 30.0)


def main(output: str, network: str, updates: str) -> None:
    """Drive and learn until so many updates are done."""
    configure_threads()
    actions = [
        {"steering_angle": angle, "speed": 1.5, "index": index}
        for index, angle in enumerate(STEERING_DEG)
    ]
    metadata = ModelMetadata.model_validate({"action_space": actions, "neural_network": network})
    spec = RunSpec(
        name="again",
        track="loop",
        seed=SEED,
        metadata=metadata,
        hyperparameters=Hyperparameters.model_validate({"preset": "sprint"}),
        reward_function="",
    )
    cars = spec.hyperparameters.cars
    learner, space = Learner(spec), ActionSpace(metadata)
    track = choose_track(spec.track)
    race = Race(track, spec.race, metadata.version, range(SEED, SEED + cars))
    steps, lines = (), []
    while learner.state.updates < int(updates):
        seen = {"FRONT_FACING_CAMERA": race.observations[..., np.newaxis]}
        decision = learner.act(seen, steps)
        race.step(*space.take(decision.actions, decision.commands, cars))
        distances = [params["distance_from_center"] for params in race.measured_params()]
        result = race.finish_step([1 - distance for distance in distances])
        steps = as_steps(result, result.episode.tolist())
        told = [step.model_dump(mode="json") for step in steps]
        lines.append(json.dumps([decision.actions, decision.episodes, told]))
    (Path(output) / "steps.jsonl").write_text("\n".join(lines), "utf-8")
    write_memory(Path(output) / "weights.npz", learner.export_weights())


if __name__ == "__main__":
    main(*sys.argv[1:])
