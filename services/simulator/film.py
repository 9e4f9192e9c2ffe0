"""Videos, written by ffmpeg as the pictures come."""

import contextlib
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from libs.common.errors import PlatformError
from libs.common.ffmpeg import find_ffmpeg, in_words


class Film:
    """
    An MP4 (H.264) of RGB pictures of one even size.

    A context manager. The file is there once it is complete; where something goes wrong it is not.
    """

    def __init__(self, file: Path, width: int, height: int, frames_per_s: float) -> None:
        """Raises `Unavailable` where ffmpeg is not installed."""
        self._file = file
        self._part = file.with_name(f".{file.name}.part")
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        source += ["-r", f"{frames_per_s:g}", "-i", "-"]
        coding = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
        coding += ["-movflags", "+faststart", "-f", "mp4"]
        quiet = ["-hide_banner", "-loglevel", "error", "-y"]
        self._command = [find_ffmpeg(), *quiet, *source, *coding, str(self._part)]

    def __enter__(self) -> "Film":
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors
        )
        return self

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Write one (height, width, 3) picture. Raises `PlatformError` where ffmpeg gave up."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(picture).data)
        except BrokenPipeError:
            raise PlatformError(self._complaint()) from None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        failed = self._close() != 0
        complaint = self._complaint()
        self._errors.close()
        if failed or kind is not None:
            self._part.unlink(missing_ok=True)
        else:
            self._part.replace(self._file)
        if failed and kind is None:
            raise PlatformError(complaint)

    def _close(self) -> int:
        """End of the pictures; ffmpeg's exit code."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the exit code tells
            self._process.stdin.close()
        return self._process.wait()

    def _complaint(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace")
        return f"{self._file}: ffmpeg could not write it: {in_words(said, code)}"
