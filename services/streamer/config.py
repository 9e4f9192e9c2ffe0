"""Settings of the streamer: `DR_STREAMER_…`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.config import ServiceSettings


class StreamerSettings(ServiceSettings):
    """Where and how much; see `deploy/env/streamer.env.example`."""

    model_config = SettingsConfigDict(env_prefix="DR_STREAMER_")

    # A run's figures are kept this long after its last viewer left, for who comes back soon.
    linger_s: float = Field(30.0, ge=0)
    # The trainer's API for the page; empty takes the one whose heartbeat is heard.
    trainer_url: str = ""
    # What stands for {key} in the targets of broadcasts; it is shown to nobody.
    stream_key: str = Field("", repr=False)
    most_broadcasts: int = Field(2, ge=0)  # at once; each takes a good part of a processor
    # A viewer is told of changes at most this often; what came between is one change.
    push_every_s: float = Field(0.1, gt=0, le=10)
