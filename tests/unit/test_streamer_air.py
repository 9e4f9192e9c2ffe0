"""What is on the air: files that a killed process has left."""

import os
import time
from pathlib import Path

from services.streamer.air import STALE_S, Air


def test_only_what_nobody_writes_any_more_is_swept_away(tmp_path: Path) -> None:
    long_ago_s = time.time() - STALE_S - 1
    for name, is_old in (("killed", True), ("other", False)):
        (tmp_path / name).mkdir()
        playlist = tmp_path / name / "index.m3u8"
        playlist.write_text("#EXTM3U")
        if is_old:
            os.utime(playlist, (long_ago_s, long_ago_s))
        os.utime(tmp_path / name, (long_ago_s, long_ago_s))
    Air(tmp_path, key="", most=1).sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    Air(tmp_path / "nothing", key="", most=1).sweep()
