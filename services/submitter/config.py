"""Settings of the submitter."""

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from libs.common.config import ServiceSettings


class SubmitterSettings(ServiceSettings):
    """Where packaged models are put beside the store."""

    model_config = SettingsConfigDict(
        env_prefix="DR_SUBMITTER_", frozen=True, env_ignore_empty=True
    )

    folder: Path | None = None  # each run's archives in a folder of it; else `models` of the state

    @property
    def models_dir(self) -> Path:
        """The folder of all runs' archives."""
        return (self.folder or self.state_dir / "models").absolute()
