"""Settings of the logger."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.config import ServiceSettings


class LoggerSettings(ServiceSettings):
    """How the journals are written."""

    model_config = SettingsConfigDict(env_prefix="DR_LOGGER_", frozen=True)

    batch: int = Field(512, ge=1, le=1024)  # events that share one sync of the disk
    # How long the bus waits for a batch that a killed logger had in hand before it comes again.
    ack_wait_s: float = Field(5.0, gt=0)
    open_journals: int = Field(32, ge=1)  # files held open at once

    @property
    def journal_dir(self) -> Path:
        """The folder of the journals."""
        return self.state_dir / "journal"
