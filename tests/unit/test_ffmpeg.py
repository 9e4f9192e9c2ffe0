"""ffmpeg: where it is found, and what its complaints mean."""

import sys
from pathlib import Path

import imageio_ffmpeg
import pytest

from libs.common.errors import Unavailable
from libs.common.ffmpeg import find_ffmpeg, in_words


def test_the_systems_program_goes_first_and_then_that_of_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == str(program)
    program.unlink()
    assert find_ffmpeg() == imageio_ffmpeg.get_ffmpeg_exe()


def test_without_either_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(Unavailable, match="apt-get install ffmpeg .* pip install imageio-ffmpeg"):
        find_ffmpeg()


@pytest.mark.parametrize(
    ("said", "code", "meant"),
    [
        (
            "[tcp @ 0x1] Connection to tcp://10.0.0.1:1935 failed: Connection refused\n",
            1,
            "nobody listens at the target (",
        ),
        ("av_interleaved_write_frame(): No space left on device", 1, "the disk is full ("),
        ("", -25, "the disk is full"),
        ("", -9, "ffmpeg was killed by signal 9"),
        ("", 1, "ffmpeg ended with exit code 1 and said nothing"),
        ("\nsomething else\n\n", 1, "something else"),
    ],
)
def test_complaints_are_told_in_words(said: str, code: int, meant: str) -> None:
    assert in_words(said, code).startswith(meant)
