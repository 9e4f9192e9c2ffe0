"""ffmpeg, which makes all video: where it is, and what its complaints mean."""

import shutil
import signal

from libs.common.errors import Unavailable

MISSING = (
    "ffmpeg is not installed, and it makes the video: apt-get install ffmpeg (or brew install "
    "ffmpeg), or pip install imageio-ffmpeg"
)

MEANINGS = (
    ("no space left on device", "the disk is full"),
    ("file too large", "the disk is full, or a file may not become larger"),
    ("connection refused", "nobody listens at the target"),
    ("network is unreachable", "the target can't be reached from this network"),
    ("no route to host", "the target can't be reached from this network"),
    ("connection timed out", "the target does not answer"),
    ("failed to resolve hostname", "the target's name is not known"),
    ("name or service not known", "the target's name is not known"),
    ("rtmp_connect", "the target takes no stream at this address"),
    ("server error", "the target refuses the stream: is the key right?"),
    ("netstream.publish", "the target refuses the stream: is the key right?"),
    ("permission denied", "the target may not be written"),
    ("broken pipe", "the target closed the line: is the key right?"),
    ("connection reset by peer", "the target closed the line: is the key right?"),
    ("end of file", "the target closed the line: is the key right?"),
)
"""What is in a complaint, in small letters, and what it means; the first that fits is told."""


def find_ffmpeg() -> str:
    """The system's program, or that of the package `imageio-ffmpeg`. Raises `Unavailable`."""
    if (program := shutil.which("ffmpeg")) is not None:
        return program
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise Unavailable(MISSING) from error


def in_words(said: str, exit_code: int | None) -> str:
    """
    What ffmpeg's last lines mean, and the last of them as it is.

    Args:
        said: its standard error.
        exit_code: negative where a signal ended it.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        if exit_code == -signal.SIGXFSZ:
            return "the disk is full, or a file may not become larger"
        if exit_code is not None and exit_code < 0:
            return f"ffmpeg was killed by signal {-exit_code}"
        return f"ffmpeg ended with exit code {exit_code} and said nothing"
    lowered = said.lower()
    meaning = next((meaning for sign, meaning in MEANINGS if sign in lowered), None)
    return lines[-1] if meaning is None else f"{meaning} ({lines[-1]})"
