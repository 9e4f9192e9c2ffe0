"""The stack in words: `stack.json`, its URLs, and what its processes are told."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from libs.cli.config import StackSettings
from libs.cli.stack.ports import PortClaim
from libs.cli.stack.processes import (
    Process,
    nats_port,
    s3_port,
    service_port,
    supervisor_port,
)
from libs.cli.stack.state import Credentials, StateFolder, find_state


class StackDescription(BaseModel):
    """What `up` started: read by every later command, whatever its environment says."""

    model_config = ConfigDict(frozen=True)

    supervisor_port: int
    urls: dict[str, str]  # without passwords
    processes: tuple[Process, ...]


def describe(table: Sequence[Process], settings: StackSettings) -> StackDescription:
    """The description of a table that is about to be started."""
    names = {process.name for process in table}
    urls = {}
    if "trainer" in names:
        urls["api"] = _service_url("trainer", settings)
        urls["api documentation"] = f"{urls['api']}/docs"
    if "logger" in names:
        urls["journal"] = _service_url("logger", settings)
    if "uploader" in names:
        urls["mirror"] = _service_url("uploader", settings)
    if "streamer" in names:
        urls["live page"] = f"{_service_url('streamer', settings)}/"
    urls["nats"] = _without_password(settings.nats_url) or f"nats://{_nats_address(settings)}"
    urls["s3"] = settings.s3_endpoint or _s3_url(settings)
    return StackDescription(
        supervisor_port=supervisor_port(settings), urls=urls, processes=tuple(table)
    )


def read_description(state: StateFolder) -> StackDescription | None:
    """What the last `up` wrote down, if it can be read."""
    try:
        return StackDescription.model_validate_json(state.description.read_bytes())
    except (OSError, ValueError):
        return None


def find_urls(settings: StackSettings) -> dict[str, str]:
    """The URLs of the stack that was started last from the settings' state folder."""
    state = find_state(settings.state_dir)
    description = read_description(state) if state else None
    return description.urls if description else {}


def find_api_url(settings: StackSettings) -> str:
    """Where the REST API is: what the environment says, else the stack, else the usual port."""
    if settings.api_url:
        return settings.api_url.rstrip("/")
    return find_urls(settings).get("api", _service_url("trainer", settings))


def find_logger_url(settings: StackSettings) -> str:
    """Where the logger is: what the environment says, else the stack, else the usual port."""
    if settings.logger_url:
        return settings.logger_url.rstrip("/")
    return find_urls(settings).get("journal", _service_url("logger", settings))


def find_uploader_url(settings: StackSettings) -> str:
    """Where the uploader is: what the environment says, else the stack, else the usual port."""
    if settings.uploader_url:
        return settings.uploader_url.rstrip("/")
    return find_urls(settings).get("mirror", _service_url("uploader", settings))


def claims_of(table: Sequence[Process], settings: StackSettings) -> list[PortClaim]:
    """Every port that the supervisor and the processes of the table want."""
    own = PortClaim(supervisor_port(settings), "the supervisor", "DR_SUPERVISOR_PORT")
    return [own] + [
        PortClaim(port, process.name, process.port_variable)
        for process in table
        for port in (process.port, *process.more_ports)
    ]


def variables_of(settings: StackSettings, state: StateFolder) -> dict[str, str]:
    """What the supervisor and every process is told, beside the caller's own variables."""
    credentials = state.credentials
    variables = {
        "DR_STACK_ID": credentials.stack_id,
        "DR_STATE_DIR": str(state.path),
        "DR_HOST": settings.host,
        "DR_SUPERVISOR_PORT": str(supervisor_port(settings)),
        "DR_SUPERVISOR_USER": credentials.supervisor_user,
        "DR_SUPERVISOR_PASSWORD": credentials.supervisor_password,
        "DR_S3_REGION": settings.s3_region,
        "DR_S3_BUCKET": settings.s3_bucket,
        "PYTHONUNBUFFERED": "1",
    }
    if not settings.nats_url:
        variables |= _nats_variables(settings, credentials)
    if not settings.s3_endpoint:
        variables |= _s3_variables(settings, credentials)
    return variables


def _nats_variables(settings: StackSettings, credentials: Credentials) -> dict[str, str]:
    user, password = credentials.nats_user, credentials.nats_password
    return {
        "DR_NATS_URL": f"nats://{user}:{password}@{_nats_address(settings)}",
        # For the server itself: deploy/nats.conf.
        "DR_NATS_USER": user,
        "DR_NATS_PASSWORD": password,
    }


def _s3_variables(settings: StackSettings, credentials: Credentials) -> dict[str, str]:
    return {
        "DR_S3_ENDPOINT": _s3_url(settings),
        "DR_S3_ACCESS_KEY": credentials.s3_access_key,
        "DR_S3_SECRET_KEY": credentials.s3_secret_key,
    }


def _service_url(name: str, settings: StackSettings) -> str:
    return f"http://{settings.local_host}:{service_port(name, settings)}"


def _nats_address(settings: StackSettings) -> str:
    return f"127.0.0.1:{nats_port(settings)}"


def _s3_url(settings: StackSettings) -> str:
    return f"http://127.0.0.1:{s3_port(settings)}"


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
