"""
A run as video, by ffmpeg: to a UDP or RTMP address, or as HLS files that browsers play.

Frames are drawn only while a broadcast runs, at real time. ffmpeg that ends, as where the target
can't be reached, is begun again with back-off; the run does not notice any of it.
"""

import asyncio
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import stamina
from pydantic import BaseModel, ConfigDict, Field, field_validator

from libs.common.errors import InvalidInput, PlatformError
from libs.common.ffmpeg import find_ffmpeg, in_words
from libs.common.log import get_log
from libs.common.tasks import end
from services.streamer.frames import Painter, Scene, Size

FRAMES_PER_S = 15
KEYFRAME_EVERY = 45  # frames, as the sandbox of 2019 had it
HLS_SEGMENT_S, HLS_SEGMENTS = 2, 10
CLOSE_S = 5.0
KEY = "{key}"
CERTAIN_FRAMES = 2 * FRAMES_PER_S
"""So many are in the pipe before ffmpeg has found out that nobody is there."""
MOST_REPEATED = 10 * FRAMES_PER_S
STEADY_S = 60.0
"""After so long on the air a break is a new one: it is retried at once."""

SIZES: dict[str, Size] = {"640x480": (640, 480), "1280x720": (1280, 720)}
FORMATS = {"udp": "mpegts", "rtmp": "flv", "rtmps": "flv"}


class BroadcastRequest(BaseModel):
    """Where a run is to be shown, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str = Field(
        "hls",
        description="`hls`, udp://host:port or rtmp(s)://host/app/{key}; the key is the service's",
        max_length=500,
    )
    size: Literal["640x480", "1280x720"] = "1280x720"
    bitrate_kbps: Annotated[int, Field(ge=100, le=20_000)] = 3000

    @field_validator("target")
    @classmethod
    def _is_known(cls, target: str) -> str:
        address = urlsplit(target)
        if target != "hls" and (address.scheme not in FORMATS or not address.hostname):
            raise ValueError("accepted: hls, udp://host:port, rtmp://host/app or rtmps://host/app")
        return target


class BroadcastShown(BaseModel):
    """How a broadcast goes."""

    id: str
    run_id: str
    target: str  # never with the key
    size: str
    state: Literal["starting", "on air", "retrying"]
    on_air_since_s: float | None  # epoch seconds; None while it is not
    frames: int  # since it began, over all restarts
    frames_per_s: float  # since ffmpeg was begun last
    repeated: int  # frames that were sent twice, since the next was not drawn in time
    restarts: int
    problem: str  # of the last ffmpeg that ended
    playlist: str | None  # where browsers find it, with HLS


def command(ffmpeg: str, request: BroadcastRequest, folder: Path, key: str) -> list[str]:
    """
    ffmpeg's arguments: raw frames on its standard input, H.264 to the target.

    Raises:
        InvalidInput: the target wants a key and there is none.
    """
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", request.size, "-r", f"{FRAMES_PER_S}"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]
    rate = [f"{request.bitrate_kbps}k"] * 2
    coding += ["-b:v", rate[0], "-maxrate", rate[1], "-bufsize", f"{2 * request.bitrate_kbps}k"]
    coding += ["-pix_fmt", "yuv420p", "-g", f"{KEYFRAME_EVERY}", "-r", f"{FRAMES_PER_S}"]
    quiet = ["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    head = [ffmpeg, *quiet, *source, "-i", "pipe:0", *coding]
    if request.target == "hls":
        hls = ["-f", "hls", "-hls_time", f"{HLS_SEGMENT_S}", "-hls_list_size", f"{HLS_SEGMENTS}"]
        return [*head, *hls, "-hls_flags", "delete_segments", str(folder / "index.m3u8")]
    if KEY in request.target and not key:
        raise InvalidInput(f"{request.target} wants a key: DR_STREAMER_STREAM_KEY has none")
    kind = FORMATS[urlsplit(request.target).scheme]
    target = request.target.replace(KEY, key)
    if kind == "mpegts" and "?" not in target:
        target += "?pkt_size=1316"  # seven packets of a transport stream in one of UDP
    return [*head, "-f", kind, target]


class _Ended(PlatformError):
    """ffmpeg has ended, with what it said last."""


class _WasSteady(Exception):
    """ffmpeg has ended after it had sent for a while."""


class Broadcast:
    """One run to one target, until it is closed."""

    def __init__(
        self,
        name: str,
        run_id: str,
        request: BroadcastRequest,
        folder: Path,
        key: str,
        scene: Callable[[], Scene],
        painter: Painter,
    ) -> None:
        self.name, self.run_id, self.folder, self._request = name, run_id, folder, request
        self._command = command(find_ffmpeg(), request, folder, key)
        self._key, self._scene, self._painter = key, scene, painter
        self._frames = self._repeated = self._restarts = 0
        self._sent = 0  # frames of the ffmpeg that runs now
        self._began_s, self._problem = 0.0, ""
        self._log = get_log()
        self._task = asyncio.create_task(self._run(), name=f"broadcast {name}")

    def shown(self) -> BroadcastShown:
        """How it goes."""
        state: Literal["starting", "on air", "retrying"] = "starting"
        is_on_air = self._sent > CERTAIN_FRAMES
        if is_on_air:
            state = "on air"
        elif self._restarts:
            state = "retrying"
        passed_s = time.time() - self._began_s
        is_hls = self._request.target == "hls"
        return BroadcastShown(
            id=self.name,
            run_id=self.run_id,
            target=self._request.target,
            size=self._request.size,
            state=state,
            on_air_since_s=self._began_s if is_on_air else None,
            frames=self._frames,
            frames_per_s=round(self._sent / passed_s, 1) if is_on_air and passed_s > 0 else 0.0,
            repeated=self._repeated,
            restarts=self._restarts,
            problem=self._problem,
            playlist=f"/v1/broadcasts/{self.name}/index.m3u8" if is_hls else None,
        )

    async def close(self) -> None:
        """Go off the air."""
        await end(self._task)
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def _run(self) -> None:
        while True:
            with suppress(_WasSteady):
                await self._send_again_and_again()

    async def _send_again_and_again(self) -> None:
        async for attempt in stamina.retry_context(
            on=_Ended, attempts=None, timeout=None, wait_max=30.0
        ):
            with attempt:
                await self._send()

    async def _send(self) -> None:
        await asyncio.to_thread(_empty, self.folder)
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stderr is not None
        self._began_s = time.time()
        complaints = asyncio.create_task(process.stderr.read(10_000))
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                await self._feed(process.stdin)
        finally:
            self._sent = 0
            process.stdin.close()
            await _end(process)
        said = (await complaints).decode(errors="replace")
        said = said.replace(self._key, "…") if self._key else said
        self._problem = in_words(said, process.returncode)
        self._restarts += 1
        self._log.warning("a broadcast broke off", target=self._request.target, why=self._problem)
        raise _WasSteady if time.time() - self._began_s > STEADY_S else _Ended(self._problem)

    async def _feed(self, stdin: asyncio.StreamWriter) -> None:
        """
        A frame each fifteenth of a second, whatever happens: who watches counts on it.

        Where one is not drawn in time the last one is sent again, so that time does not drift.
        """
        clock = asyncio.get_running_loop().time
        began_s = clock()
        while True:
            frame = await asyncio.to_thread(self._painter.paint, self._scene())
            due = max(1, round((clock() - began_s) * FRAMES_PER_S) + 1 - self._sent)
            if due > MOST_REPEATED:  # the machine slept: nobody waits for that time any more
                began_s += (due - 1) / FRAMES_PER_S
                due = 1
            for _ in range(due):
                stdin.write(frame)
                await stdin.drain()
            self._sent += due
            self._frames += due
            self._repeated += due - 1
            await asyncio.sleep(max(0.0, began_s + self._sent / FRAMES_PER_S - clock()))


def _empty(folder: Path) -> None:
    """An empty folder: pieces of an ffmpeg that was killed would be of another stream."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    """It ends by itself when its input does; where it hangs on a dead line it is killed."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError):
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
