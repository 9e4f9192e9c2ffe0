"""
Settings: where and how much. What is trained is a `RunSpec` and never here.

Shared variables are `DR_NATS_URL` and its like; a service's own begin with `DR_<SERVICE>_`. Each
service has one frozen subclass, built once in its `__main__` and passed down.
"""

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.common.errors import StartupFailed


def shared(variable: str) -> AliasChoices:
    """The alias of a setting that all services share, whatever their own prefix is."""
    return AliasChoices(variable, variable.removeprefix("DR_").lower())


class ServiceSettings(BaseSettings):
    """What every service needs to find the bus, the store and its place on disk."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    nats_url: str = Field("nats://127.0.0.1:4222", validation_alias=shared("DR_NATS_URL"))
    s3_endpoint: str = Field("http://127.0.0.1:8333", validation_alias=shared("DR_S3_ENDPOINT"))
    s3_access_key: str = Field("", validation_alias=shared("DR_S3_ACCESS_KEY"))
    s3_secret_key: str = Field("", validation_alias=shared("DR_S3_SECRET_KEY"), repr=False)
    s3_region: str = Field("us-east-1", validation_alias=shared("DR_S3_REGION"))
    s3_bucket: str = Field("slipstream", validation_alias=shared("DR_S3_BUCKET"))
    state_dir: Path = Field(Path(".slipstream"), validation_alias=shared("DR_STATE_DIR"))
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias=shared("DR_LOG_LEVEL")
    )
    # Events of a run stay on the bus this long; its journal stays for ever.
    event_stream_max_bytes: int = Field(
        2 * 1024**3, ge=1024**2, validation_alias=shared("DR_EVENT_STREAM_MAX_BYTES")
    )
    host: str = Field("127.0.0.1", validation_alias=shared("DR_HOST"))

    # Private to each service, with its own prefix.
    port: int = Field(0, ge=0, le=65535)  # 0 takes any free port
    instance: str = ""  # names a replica; empty makes one of host and process
    stop_deadline_s: float = Field(10.0, gt=0)  # for work in hand after SIGTERM


Settings = TypeVar("Settings", bound=ServiceSettings)


def load(settings_class: type[Settings]) -> Settings:
    """
    Read the environment.

    Raises:
        StartupFailed: a variable has a value that is not accepted; each is named and quoted.
    """
    try:
        return settings_class()
    except ValidationError as error:
        problems = [
            f"{item['loc'][0]}: {item['msg']} (got {item['input']!r})" for item in error.errors()
        ]
        raise StartupFailed("; ".join(problems)) from error
