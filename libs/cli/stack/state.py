"""
The state folder: generated credentials and everything that the embedded stack keeps.

`credentials.json` is written last and in one move, so a folder without it was never finished or
is not ours. The folder is for its owner alone (0700), the credentials' file too (0600).
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from libs.common.errors import Conflict, Unavailable

SUBFOLDERS = ("nats", "s3", "logs", "run")


class Credentials(BaseModel):
    """Generated once for each state folder. Every value is safe in URLs and configuration files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    stack_id: str  # marks the processes that belong to this folder
    nats_user: str = "slipstream"
    nats_password: str
    s3_access_key: str
    s3_secret_key: str
    supervisor_user: str = "slipstream"
    supervisor_password: str

    @classmethod
    def generate(cls) -> "Credentials":
        """New random ones; each begins with a letter, so that no parser takes it for a number."""
        return cls(
            stack_id=f"s{secrets.token_hex(8)}",
            nats_password=f"n{secrets.token_hex(24)}",
            s3_access_key=f"A{secrets.token_hex(10).upper()}",
            s3_secret_key=f"k{secrets.token_hex(24)}",
            supervisor_password=f"p{secrets.token_hex(24)}",
        )


@dataclass(frozen=True)
class StateFolder:
    """A state folder that is complete."""

    path: Path
    credentials: Credentials

    @property
    def nats_dir(self) -> Path:
        """JetStream's store."""
        return self.path / "nats"

    @property
    def s3_dir(self) -> Path:
        """SeaweedFS's data."""
        return self.path / "s3"

    @property
    def logs_dir(self) -> Path:
        """One rotated log file for each process."""
        return self.path / "logs"

    @property
    def run_dir(self) -> Path:
        """What is generated anew by every start."""
        return self.path / "run"

    @property
    def s3_identities(self) -> Path:
        """Who may use the embedded S3 server, in SeaweedFS's form."""
        return self.run_dir / "s3.json"

    @property
    def programs(self) -> Path:
        """The supervisor's program sections."""
        return self.run_dir / "programs.conf"

    @property
    def description(self) -> Path:
        """The process table of the last start: `stack.json`."""
        return self.path / "stack.json"

    def log_file(self, process_name: str) -> Path:
        """Where a process's output goes."""
        return self.logs_dir / f"{process_name}.log"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One start or stop at a time; a second caller waits for the first."""
        with (self.run_dir / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def open_state(path: Path, min_free_mb: int = 0) -> StateFolder:
    """
    The state folder at `path`, made if there is none.

    Raises:
        Conflict: the folder is another user's, not ours, half-written or of another version.
        Unavailable: the disk has less than `min_free_mb` free, or the folder can't be written.
    """
    try:
        if not path.exists():
            path.mkdir(mode=0o700, parents=True)
        _check_owner(path)
        _check_free(path, min_free_mb)
        if not any(path.iterdir()):
            _fill(path)
        path.chmod(0o700)
        credentials = read_credentials(path)
        for name in SUBFOLDERS:
            (path / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"the state folder {path} can't be used: {error}") from error
    return StateFolder(path, credentials)


def find_state(path: Path) -> StateFolder | None:
    """The state folder if there is a complete one, without making anything."""
    try:
        return StateFolder(path, read_credentials(path))
    except (Conflict, OSError):
        return None


def read_credentials(path: Path) -> Credentials:
    """
    The credentials of a state folder.

    Raises:
        Conflict: there are none, or they can't be read; says what to do.
    """
    file = path / "credentials.json"
    advice = f"Move it away (or remove it: {path}), or name another folder in DR_STATE_DIR."
    if not file.exists():
        raise Conflict(
            f"{path} is no state folder of Slipstream, or its making was interrupted: "
            f"it is not empty but has no credentials.json. {advice}"
        )
    try:
        return Credentials.model_validate_json(file.read_bytes())
    except (ValidationError, UnicodeDecodeError) as error:
        raise Conflict(
            f"{file} is damaged or was written by another version of Slipstream. {advice}"
        ) from error


def write_private(file: Path, text: str) -> None:
    """Replace a file in one move; nobody but the owner can read it at any moment."""
    draft = file.with_name(f"{file.name}.{os.getpid()}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(file)


def write_s3_identities(state: StateFolder) -> None:
    """Tell SeaweedFS the one identity that may use it."""
    credentials = state.credentials
    key = {"accessKey": credentials.s3_access_key, "secretKey": credentials.s3_secret_key}
    identity = {
        "name": "slipstream",
        "credentials": [key],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    write_private(state.s3_identities, json.dumps({"identities": [identity]}))


def _check_owner(path: Path) -> None:
    if not path.is_dir():
        raise Conflict(f"{path} is a file; name a folder in DR_STATE_DIR")
    owner = path.stat().st_uid
    if owner != os.getuid():
        raise Conflict(
            f"{path} belongs to user {owner} and this is user {os.getuid()}: "
            "run as its owner, or name another folder in DR_STATE_DIR"
        )


def _check_free(path: Path, min_free_mb: int) -> None:
    free_mb = shutil.disk_usage(path).free // 1_000_000
    if free_mb < min_free_mb:
        raise Unavailable(
            f"only {free_mb} MB are free where {path} is, and {min_free_mb} MB are needed: "
            "free some, or name a folder on another disk in DR_STATE_DIR"
        )


def _fill(path: Path) -> None:
    for name in SUBFOLDERS:
        (path / name).mkdir(mode=0o700)
    write_private(path / "credentials.json", Credentials.generate().model_dump_json(indent=2))
