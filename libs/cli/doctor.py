"""Examining the machine: what is there, what is missing, what for, and how to get it."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from libs.cli.config import StackSettings
from libs.cli.stack.description import claims_of
from libs.cli.stack.lifecycle import Stack
from libs.cli.stack.ports import is_free, owner_of
from libs.cli.stack.processes import build_table, find_binary
from libs.cli.stack.state import Credentials, StateFolder
from libs.common.errors import NotFound
from libs.common.reward.guard import LANDLOCK, SECCOMP, missing_walls

Verdict = Literal["ok", "missing", "advice"]

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VERSION_TIMEOUT_S = 10.0

# A learner with TensorFlow, a simulator with its compiled kernels, S3 and the other services.
MEMORY_NEEDED_GB = 3.0
DISK_NEEDED_GB = 3.0  # the virtual environment is most of it
CORES_NEEDED = 2


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for."""

    part: str
    verdict: Verdict  # advice: it works without
    found: str
    purpose: str
    remedy: str = ""


def examine(settings: StackSettings) -> list[Finding]:
    """Every finding, what is required first."""
    checks: list[Callable[[], Finding]] = [
        _python,
        _memory,
        lambda: _disk(settings.state_dir),
        _cores,
        lambda: _server("nats-server", "--version", bool(settings.nats_url), "DR_NATS_URL"),
        lambda: _server("weed", "version", bool(settings.s3_endpoint), "DR_S3_ENDPOINT"),
        lambda: _ports(settings),
        _reward_walls,
        _compiler,
        _ffmpeg,
        _chromium,
        _docker,
    ]
    return [check() for check in checks]


def _python() -> Finding:
    accepted = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding(
        "Python",
        "ok" if accepted else "missing",
        f"{platform.python_version()} at {sys.executable}",
        "runs everything",
        "" if accepted else "install Python 3.11, 3.12 or 3.13",
    )


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    enough = memory.available >= MEMORY_NEEDED_GB * 1e9
    return Finding(
        "memory",
        "ok" if enough else "advice",
        f"{memory.available / 1e9:.1f} GB available of {memory.total / 1e9:.1f} GB",
        "the learner, the simulators and the S3 server",
        "" if enough else f"{MEMORY_NEEDED_GB:g} GB are better: end other programs",
    )


def _disk(state_dir: Path) -> Finding:
    folder = next(path for path in (state_dir, *state_dir.parents) if path.exists())
    free_gb = shutil.disk_usage(folder).free / 1e9
    enough = free_gb >= DISK_NEEDED_GB
    return Finding(
        "disk",
        "ok" if enough else "advice",
        f"{free_gb:.1f} GB free at {folder}",
        "checkpoints, models, journals",
        "" if enough else f"{DISK_NEEDED_GB:g} GB are better; DR_STATE_DIR names another disk",
    )


def _cores() -> Finding:
    cores = _usable_cores()
    enough = cores >= CORES_NEEDED
    return Finding(
        "cores",
        "ok" if enough else "advice",
        f"{cores}",
        "learner and simulators side by side",
        "" if enough else f"{CORES_NEEDED} or more make training much faster",
    )


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _server(name: str, option: str, from_outside: bool, variable: str) -> Finding:
    purpose = "the bus" if name == "nats-server" else "the S3 store"
    if from_outside:
        return Finding(name, "ok", f"not needed: {variable} is set", purpose)
    try:
        binary = find_binary(name)
    except NotFound:
        remedy = f"run `make install`, or name a server in {variable}"
        return Finding(name, "missing", "not found", purpose, remedy)
    return Finding(name, "ok", _first_line([str(binary), option]), purpose)


def _ports(settings: StackSettings) -> Finding:
    purpose = "the services and servers of the stack"
    stack = Stack.find(settings)
    if stack and stack.is_running:
        return Finding("ports", "ok", "in use by this stack, which is up", purpose)
    taken = _taken_ports(settings)
    return Finding(
        "ports",
        "missing" if taken else "ok",
        "; ".join(taken) if taken else f"free from {settings.port_base} on",
        purpose,
        "free them, or move all ports with DR_PORT_BASE" if taken else "",
    )


def _taken_ports(settings: StackSettings) -> list[str]:
    nowhere = StateFolder(settings.state_dir, Credentials.generate())
    try:
        claims = claims_of(build_table(settings, nowhere), settings)
    except NotFound:  # a server's binary is missing, which is a finding of its own
        return []
    return [
        f"{claim.port} ({claim.process}) by {owner_of(claim.port)}"
        for claim in claims
        if not is_free(claim.port, settings.host)
    ]


def _reward_walls() -> Finding:
    missing = missing_walls()
    return Finding(
        "reward walls",
        "advice" if missing else "ok",
        f"without {', '.join(missing)}" if missing else f"{LANDLOCK}, {SECCOMP}",
        "shut reward functions in, which are foreign code",
        "Linux 5.13 or later on x86-64 or arm64; Python's own walls remain" if missing else "",
    )


def _compiler() -> Finding:
    return _optional(
        "C compiler",
        ("cc", "gcc", "clang"),
        "builds Python packages for machines that no wheel is published for",
        "apt-get install build-essential",
    )


def _ffmpeg() -> Finding:
    return _optional(
        "ffmpeg",
        ("ffmpeg",),
        "videos of runs, and their tests",
        "apt-get install ffmpeg",
        "-version",
    )


def _chromium() -> Finding:
    return _optional(
        "Chromium", CHROMIUM_NAMES, "tests of the live page", "apt-get install chromium"
    )


def _docker() -> Finding:
    remedy = "install Docker Engine; the embedded stack does without"
    purpose = "running in containers, tests against the official images"
    if not shutil.which("docker"):
        return Finding("Docker", "advice", "not found", purpose, remedy)
    version = _first_line(["docker", "version", "--format", "{{.Server.Version}}"])
    if not version or not version[0].isdigit():
        return Finding("Docker", "advice", "client only: no engine answers", purpose, remedy)
    return Finding("Docker", "ok", f"engine {version}", purpose)


def _optional(
    part: str, names: tuple[str, ...], purpose: str, remedy: str, option: str = "--version"
) -> Finding:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        return Finding(part, "advice", "not found", purpose, remedy)
    return Finding(part, "ok", _first_line([found, option]) or found, purpose)


def _first_line(command: list[str]) -> str:
    """The first line that a command says about itself; empty where it says nothing."""
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter(result.stdout.splitlines()), "").strip()
