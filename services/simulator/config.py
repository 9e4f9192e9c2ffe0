"""Settings of the simulator."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.config import ServiceSettings


class SimulatorSettings(ServiceSettings):
    """How much one simulator takes on."""

    model_config = SettingsConfigDict(env_prefix="DR_SIMULATOR_", frozen=True)

    # A rollout waits for its learner nearly all the time, so one process drives several.
    rollouts_at_once: int = Field(4, ge=1, le=64)
    evaluations_at_once: int = Field(1, ge=1, le=16)
    policy_threads: int = Field(1, ge=1, le=64)  # of an exported policy in an evaluation
    # How long a rollout goes on asking a learner that does not answer; one that comes back later
    # sends its rollouts anew.
    patience_s: float = Field(15.0, gt=0)
