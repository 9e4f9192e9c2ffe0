"""A driver that is an exported policy, acting greedily."""

from pathlib import Path

import numpy as np

from libs.common.deepracer.metadata import ModelMetadata, parse_model_metadata
from libs.common.errors import InvalidInput, NotFound
from services.simulator.drivers import Commands
from services.simulator.policy import ExportedPolicy
from services.simulator.race import Race
from services.simulator.rollout import discrete_commands

METADATA = "model_metadata.json"


class PolicyDriver:
    """Takes the most probable action of a `model_N.pb` for what each car sees."""

    def __init__(self, file: Path, metadata: ModelMetadata, threads: int = 1) -> None:
        """Raises `InvalidInput` where the file is no policy with the metadata's actions."""
        if not isinstance(metadata.action_space, tuple):
            raise InvalidInput("policies of continuous action spaces can't be driven yet")
        self._policy = ExportedPolicy(file, threads)
        self._steering_rad, self._speed_mps = discrete_commands(metadata)
        if self._policy.actions != len(self._speed_mps):
            raise InvalidInput(
                f"{file.name} has {self._policy.actions} actions, its metadata "
                f"{len(self._speed_mps)}"
            )

    def commands(self, race: Race) -> Commands:
        """See `Driver`."""
        chosen = self._policy.probabilities(race.observations).argmax(axis=1).astype(np.int64)
        return Commands(self._steering_rad[chosen], self._speed_mps[chosen], chosen)


def find_metadata(policy: Path, named: Path | None) -> ModelMetadata:
    """
    The `model_metadata.json` of a policy: the one named, or one beside it or a folder above.

    Raises:
        NotFound: there is none.
        InvalidInput: what is wrong with it.
    """
    beside = [folder / METADATA for folder in list(policy.resolve().parents)[:2]]
    found = next((file for file in ([named] if named else beside) if file.is_file()), None)
    if found is None:
        looked = str(named) if named else " and ".join(map(str, beside))
        raise NotFound(f"no {METADATA} at {looked}; name it with --metadata")
    return parse_model_metadata(found.read_bytes(), found.name).value
