"""What `doctor` finds on a machine."""

import socket
from pathlib import Path

import pytest

from libs.cli.config import StackSettings
from libs.cli.doctor import Finding, examine
from tests.servers import free_port


def find(part: str, settings: StackSettings) -> Finding:
    return next(finding for finding in examine(settings) if finding.part == part)


def test_what_is_not_there_has_a_purpose_and_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = examine(StackSettings(state_dir=tmp_path / "none"))
    absent = {finding.part: finding for finding in findings if finding.found == "not found"}
    assert {"C compiler", "ffmpeg", "Chromium", "Docker"} == absent.keys()
    assert all(item.verdict == "advice" and item.remedy for item in absent.values())
    assert all(finding.purpose for finding in findings)


def test_servers_come_from_beside_this_python() -> None:
    settings = StackSettings()
    assert "v2." in find("nats-server", settings).found
    assert find("weed", settings).verdict == "ok"


def test_the_kernels_walls_around_reward_functions_are_told_of() -> None:
    finding = find("reward walls", StackSettings())
    assert (finding.verdict == "ok") == (finding.found == "Landlock, seccomp")


def test_a_server_from_outside_is_not_missed(tmp_path: Path) -> None:
    settings = StackSettings(nats_url="nats://far:4222", s3_endpoint="https://s3.example")
    assert find("nats-server", settings).found == "not needed: DR_NATS_URL is set"
    assert find("weed", settings).found == "not needed: DR_S3_ENDPOINT is set"


def test_a_port_in_use_is_named_with_the_process_that_wants_it(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        finding = find("ports", StackSettings(state_dir=tmp_path / "none", trainer_port=port))
    assert finding.verdict == "missing"
    assert f"{port} (trainer) by " in finding.found
