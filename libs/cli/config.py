"""What the command line reads from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from libs.cli.output import WrongUsage

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that holds `deploy/` and from which the services run."""

SERVICES = ("trainer", "simulator", "logger", "uploader", "streamer", "submitter")
"""Every service there is, in the order in which it is shown."""

HIGHEST_PORT_BASE = 65_535 - 10_000 - 37
"""SeaweedFS opens each of its ports a second time, 10,000 higher; the highest is base + 37."""


class StackSettings(BaseSettings):
    """Where the stack is or will be. Each port left None follows from `port_base`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="DR_")

    state_dir: Path = CHECKOUT / ".slipstream"
    host: str = "127.0.0.1"
    port_base: int = Field(7400, ge=1024, le=HIGHEST_PORT_BASE)
    services: Annotated[tuple[str, ...], NoDecode] = SERVICES
    simulators: int = Field(1, ge=0, le=12)
    min_free_mb: int = Field(500, ge=0)
    ready_deadline_s: float = Field(60.0, gt=0)

    # Servers from outside: where one is named, no embedded one is started.
    nats_url: str = ""
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_bucket: str = "slipstream"

    # Where the REST API, the logger and the uploader are, when they are not on this machine.
    api_url: str = ""
    logger_url: str = ""
    uploader_url: str = ""

    supervisor_port: int | None = Field(None, ge=1, le=65_535)
    trainer_port: int | None = Field(None, ge=1, le=65_535)
    logger_port: int | None = Field(None, ge=1, le=65_535)
    uploader_port: int | None = Field(None, ge=1, le=65_535)
    streamer_port: int | None = Field(None, ge=1, le=65_535)
    submitter_port: int | None = Field(None, ge=1, le=65_535)
    simulator_port: int | None = Field(None, ge=1, le=65_535)
    nats_port: int | None = Field(None, ge=1, le=65_534)
    s3_port: int | None = Field(None, ge=1, le=HIGHEST_PORT_BASE)

    @property
    def local_host(self) -> str:
        """The address at which this machine reaches what listens on `host`."""
        return "127.0.0.1" if self.host in ("", "0.0.0.0") else self.host

    @field_validator("services", mode="before")
    @classmethod
    def _split_services(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("services")
    @classmethod
    def _know_services(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in SERVICES]
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)}; accepted: {', '.join(SERVICES)}")
        return value

    @field_validator("state_dir")
    @classmethod
    def _resolve(cls, value: Path) -> Path:
        return value.expanduser().absolute()


def load_settings() -> StackSettings:
    """
    Read the environment.

    Raises:
        WrongUsage: a variable has a value that is not accepted; each is named and quoted.
    """
    try:
        return StackSettings()
    except ValidationError as error:
        raise WrongUsage(
            [
                f"DR_{str(item['loc'][0]).upper()}: {item['msg']} (got {item['input']!r})"
                for item in error.errors()
            ]
        ) from error
