"""Settings of the uploader."""

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from libs.common.config import ServiceSettings
from libs.common.s3 import AddressingStyle, Encryption, StoreAddress


class UploaderSettings(ServiceSettings):
    """Where the mirror is; without a bucket there is none."""

    model_config = SettingsConfigDict(env_prefix="DR_UPLOADER_", frozen=True)

    remote_endpoint: str = ""  # empty is Amazon's S3
    remote_bucket: str = Field("", validate_default=True)  # empty switches the mirror off
    remote_prefix: str = ""  # a folder of the bucket
    remote_access_key: str = ""  # empty takes the machine's own credentials
    remote_secret_key: str = Field("", repr=False)
    remote_region: str = "us-east-1"
    remote_profile: str = ""  # of the machine's AWS configuration, where no keys are given
    remote_addressing_style: AddressingStyle = "path"
    remote_encryption: Encryption = ""  # of what is put there: AES256, aws:kms, or the bucket's own
    remote_kms_key_id: str = ""  # empty takes the account's own key
    reconcile_s: float = Field(300.0, gt=0)  # between two comparisons of both sides
    concurrency: int = Field(4, ge=1, le=64)  # objects copied at once
    parts_at_once: int = Field(4, ge=1, le=64)  # of 8 MiB, of all objects together
    bandwidth_bytes_per_s: int = Field(0, ge=0)  # to the remote; 0 is as fast as it goes
    # Above this the local store gives up what the remote has, the oldest first; 0 keeps all.
    cache_max_bytes: int = Field(0, ge=0)
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

    @field_validator("remote_profile")
    @classmethod
    def _is_the_only_source(cls, profile: str, info: ValidationInfo) -> str:
        if profile and info.data.get("remote_access_key"):
            raise ValueError("either a profile or an access key; both are given")
        return profile

    @field_validator("remote_kms_key_id")
    @classmethod
    def _is_of_kms(cls, key_id: str, info: ValidationInfo) -> str:
        if key_id and info.data.get("remote_encryption") != "aws:kms":
            raise ValueError("a KMS key needs the encryption aws:kms")
        return key_id

    @property
    def remote(self) -> StoreAddress:
        """Where the mirror is."""
        return StoreAddress(
            self.remote_endpoint,
            self.remote_access_key,
            self.remote_secret_key,
            self.remote_region,
            self.remote_bucket,
            self.remote_profile,
            self.remote_addressing_style,
            self.remote_encryption,
            self.remote_kms_key_id,
        )

    @field_validator("remote_prefix")
    @classmethod
    def _without_slashes(cls, prefix: str) -> str:
        return prefix.strip("/")
