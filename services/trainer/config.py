"""Settings of the trainer and of its learner processes."""

import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.config import ServiceSettings

COACH = Path(__file__).parents[2] / ".venv-coach" / "bin" / "python"
LEARNER = (sys.executable, "-m", "services.trainer.learner_process")


class TrainerSettings(ServiceSettings):
    """How much one trainer takes on."""

    model_config = SettingsConfigDict(env_prefix="DR_TRAINER_", frozen=True)

    # Each learner takes about two cores; more at once only where the machine has them.
    runs_at_once: int = Field(1, ge=1, le=64)
    # A trainer that has not renewed its claim on a run for this long is taken for dead.
    lease_s: float = Field(6.0, ge=1)
    # Learner processes that have imported TensorFlow and wait for a run, none while as many learn
    # as may; each takes some 280 MB of memory of its own and 430 MB of files that all learners map.
    warm_learners: int = Field(1, ge=0, le=64)
    # What trains a run, by the protocol that `order.py` tells; empty is the one that comes along.
    learner_command: tuple[str, ...] = ()
    # The Python that has rl-coach, for runs of engine coach; empty is that of `make install-coach`.
    coach_python: str = ""
