"""Settings of the logger."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from libs.common.config import ServiceSettings
from libs.common.journal import SEGMENT_BYTES


class LoggerSettings(ServiceSettings):
    """How the journals are written."""

    model_config = SettingsConfigDict(env_prefix="DR_LOGGER_", frozen=True)

    batch: int = Field(512, ge=1, le=1024)  # events that share one sync of the disk
    # How long the bus waits for a batch that a killed logger had in hand before it comes again.
    ack_wait_s: float = Field(5.0, gt=0)
    # An open part of a journal of this size becomes a compressed segment.
    segment_bytes: int = Field(SEGMENT_BYTES, ge=1024)
    # Local segments are given up when they are older, or their run has more bytes here; both only
    # once they are in the store, and in the remote one where there is one. 0 keeps all.
    retain_days: float = Field(0.0, ge=0)
    retain_run_bytes: int = Field(0, ge=0)
    retention_check_s: float = Field(600.0, gt=0)
    # Where every event goes beside the journals; empty is nowhere.
    opensearch_url: str = ""
    opensearch_index: str = Field("slipstream", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    opensearch_user: str = ""
    opensearch_password: str = Field("", repr=False)
    opensearch_aws_region: str = ""  # signs for Amazon's service instead of user and password
    loki_url: str = ""
    loki_user: str = ""
    loki_password: str = Field("", repr=False)
    # Takes logs of foreign containers by Fluentd's forward protocol; 0 does not listen.
    fluent_port: int = Field(0, ge=0, le=65535)
    open_journals: int = Field(32, ge=1)  # files held open at once

    @field_validator("opensearch_url", "loki_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("an address is accepted, as https://host:9200, or nothing")
        return url.rstrip("/")

    @property
    def journal_dir(self) -> Path:
        """The folder of the journals."""
        return self.state_dir / "journal"
