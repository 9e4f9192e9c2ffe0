"""What is on the air: every broadcast of this process."""

import asyncio
import shutil
import time
from pathlib import Path
from secrets import token_hex

from libs.common.errors import Conflict, NotFound
from services.streamer.broadcast import SIZES, Broadcast, BroadcastRequest, BroadcastShown
from services.streamer.frames import Painter, Scene
from services.streamer.run_watch import RunWatch
from services.streamer.track_shape import TrackShape

STALE_S = 60.0
"""HLS writes its playlist every two seconds: a folder this old is of a process that was killed."""


class Air:
    """
    Begins, tells of and ends broadcasts.

    Args:
        folder: where HLS files lie, a folder for each broadcast.
        key: what stands for `{key}` in targets.
        most: at once.
    """

    def __init__(self, folder: Path, key: str, most: int) -> None:
        self._folder, self._key, self._most = folder, key, most
        self._broadcasts: dict[str, Broadcast] = {}

    def sweep(self) -> None:
        """Remove what processes that were killed have left; blocking."""
        for folder in self._folder.glob("*/"):
            newest_s = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if time.time() - newest_s > STALE_S:
                shutil.rmtree(folder, ignore_errors=True)

    async def begin(
        self, watch: RunWatch, track: TrackShape | None, asked: BroadcastRequest
    ) -> BroadcastShown:
        """
        Show a run as video from now on.

        Raises:
            Conflict: there are as many broadcasts as there may be.
            InvalidInput, Unavailable: no key, or no ffmpeg.
        """
        if len(self._broadcasts) >= self._most:
            raise Conflict(
                f"{self._most} broadcasts are on the air already: DR_STREAMER_MOST_BROADCASTS"
            )
        painter = await asyncio.to_thread(Painter, SIZES[asked.size], track)

        def scene() -> Scene:
            watch.touch()  # simulators send poses and pictures while somebody looks
            seen = watch.camera.seen
            figures = watch.scoreboard.figures()
            return Scene(figures, watch.cars(), seen.jpeg if seen else None, time.time())

        name = f"{watch.run_id}-{token_hex(3)}"
        self._broadcasts[name] = Broadcast(
            name, watch.run_id, asked, self._folder / name, self._key, scene, painter
        )
        return self._broadcasts[name].shown()

    def shown(self) -> list[BroadcastShown]:
        """All that are on the air, or try to be."""
        return [broadcast.shown() for broadcast in self._broadcasts.values()]

    async def close(self, name: str) -> None:
        """Go off the air. Raises `NotFound`."""
        self.folder(name)  # it is there
        await self._broadcasts.pop(name).close()

    async def close_all(self) -> None:
        """Go off the air with everything."""
        for name in list(self._broadcasts):
            await self.close(name)

    def folder(self, name: str) -> Path:
        """Where a broadcast has its files. Raises `NotFound`."""
        if name not in self._broadcasts:
            raise NotFound(f"no broadcast {name!r}; GET /v1/broadcasts lists those there are")
        return self._folder / name
