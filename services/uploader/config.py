"""Settings of the uploader."""

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from libs.common.config import ServiceSettings


class UploaderSettings(ServiceSettings):
    """Where the mirror is; without a bucket there is none."""

    model_config = SettingsConfigDict(env_prefix="DR_UPLOADER_", frozen=True)

    remote_endpoint: str = ""  # empty is Amazon's S3
    remote_bucket: str = Field("", validate_default=True)  # empty switches the mirror off
    remote_prefix: str = ""  # a folder of the bucket
    remote_access_key: str = ""  # empty takes the machine's own credentials
    remote_secret_key: str = Field("", repr=False)
    remote_region: str = "us-east-1"
    reconcile_s: float = Field(300.0, gt=0)  # between two comparisons of both sides
    concurrency: int = Field(4, ge=1, le=64)  # objects copied at once
    # One object's calls are repeated this long before it goes back into the backlog.
    remote_patience_s: float = Field(5.0, gt=0)

    @field_validator("remote_bucket")
    @classmethod
    def _is_another_place(cls, bucket: str, info: ValidationInfo) -> str:
        endpoint = info.data.get("remote_endpoint", "")
        if endpoint and not bucket:
            raise ValueError(f"the remote {endpoint} needs a bucket")
        ours = (info.data.get("s3_endpoint"), info.data.get("s3_bucket"))
        if bucket and (endpoint, bucket) == ours:
            raise ValueError("the remote is this platform's own bucket; name another")
        return bucket

    @field_validator("remote_prefix")
    @classmethod
    def _without_slashes(cls, prefix: str) -> str:
        return prefix.strip("/")
