"""The state folder: made once, private, and refused where it is not ours."""

import json
import os
import stat
from pathlib import Path

import pytest

from libs.cli.stack.state import find_state, open_state, write_s3_identities
from libs.common.errors import Conflict, Unavailable


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    state = open_state(tmp_path / "some" / "where")
    write_s3_identities(state)
    assert mode_of(state.path) == 0o700
    assert mode_of(state.path / "credentials.json") == 0o600
    assert mode_of(state.s3_identities) == 0o600
    assert all((state.path / name).is_dir() for name in ("nats", "s3", "logs", "run"))


def test_a_folder_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    path = open_state(tmp_path / "state").path
    path.chmod(0o755)
    assert mode_of(open_state(path).path) == 0o700


def test_credentials_are_random_and_stay(tmp_path: Path) -> None:
    first = open_state(tmp_path / "first").credentials
    other = open_state(tmp_path / "other").credentials
    assert open_state(tmp_path / "first").credentials == first
    generated = ("stack_id", "nats_password", "s3_access_key", "s3_secret_key")
    assert all(getattr(first, name) != getattr(other, name) for name in generated)
    assert first.nats_password[0].isalpha()


def test_a_half_written_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = open_state(tmp_path / "state").path
    (path / "credentials.json").unlink()
    with pytest.raises(Conflict, match="its making was interrupted.*DR_STATE_DIR"):
        open_state(path)
    assert find_state(path) is None


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(Conflict, match="is no state folder of Slipstream"):
        open_state(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize("content", ["", "{", '{"version": 2}', "\x00\xff"])
def test_damaged_credentials_are_refused(tmp_path: Path, content: str) -> None:
    path = open_state(tmp_path / "state").path
    (path / "credentials.json").write_text(content)
    with pytest.raises(Conflict, match="damaged or was written by another version"):
        open_state(path)


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(Conflict, match="is a file"):
        open_state(tmp_path / "state")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    path = open_state(tmp_path / "state").path
    os.chown(path, 12345, 12345)
    with pytest.raises(Conflict, match="belongs to user 12345 and this is user 0"):
        open_state(path)


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="MB are free where .* 999999999 MB are needed"):
        open_state(tmp_path / "state", min_free_mb=999_999_999)
    assert not any((tmp_path / "state").iterdir())


def test_the_s3_server_is_told_the_one_identity(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    write_s3_identities(state)
    identities = json.loads(state.s3_identities.read_text())["identities"]
    keys = [key for identity in identities for key in identity["credentials"]]
    credentials = state.credentials
    assert keys == [
        {"accessKey": credentials.s3_access_key, "secretKey": credentials.s3_secret_key}
    ]
