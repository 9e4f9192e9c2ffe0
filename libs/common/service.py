"""
The life of a service: start, serve, stop, with a deadline and an exit code that means something.

    connect (within 5 s) -> start() -> work(), heartbeat, log lines and HTTP side by side
    SIGTERM -> not ready -> stop the intake -> finish what is in hand -> stop() -> close the bus

Exit codes: 0 clean; 1 crash, or a server that is away: restart me; 3 the configuration can't work:
do not restart me.
"""

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Generic, TypeVar

import uvicorn
from fastapi import FastAPI
from prometheus_client.core import Metric

from libs.common import log
from libs.common.bus import Bus
from libs.common.config import ServiceSettings, load
from libs.common.errors import PlatformError, StartupFailed, Unavailable
from libs.common.events import PLATFORM, ObjectBrought, ObjectWanted, ServiceBeat
from libs.common.health import add_health, add_problem_details
from libs.common.metrics import add_metrics
from libs.common.objects import ObjectStore
from libs.common.tasks import end

EXIT_CRASH = 1
EXIT_STARTUP = 3
BEAT_S = 1.0
BRING_BACK_S = 300.0
"""An object of a gigabyte comes back over a slow line in this time."""
SLOW_CALLBACK_S = 0.05
"""The event loop of a service runs nothing longer than this."""

Settings = TypeVar("Settings", bound=ServiceSettings)


class Service(Generic[Settings]):
    """One concern, one process. Subclasses fill in `start`, `work`, `stop` and `routes`."""

    name: ClassVar[str]
    bus: Bus
    objects: ObjectStore

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.instance = settings.instance or f"{socket.gethostname()}-{os.getpid()}"
        self.lines = log.BusLines(self.name, self.instance)
        log.configure(settings.log_level, self.lines)
        self.log = log.get_log()
        self.started_at_s = time.time()
        self.ready = False
        self.loop_lag_s = 0.0
        self._stopping = asyncio.Event()

    # -- what a service fills in -----------------------------------------------------------

    async def start(self) -> None:
        """Subscribe. The service is ready when this returns."""

    async def work(self) -> None:
        """What goes on besides handlers; cancelled when the service stops."""

    async def stop(self) -> None:
        """Let go of what `start` took; the bus is still open, its intake closed."""

    def routes(self, app: FastAPI) -> None:
        """Add routes to the service's HTTP server, which has the health probes already."""

    def detail(self) -> dict[str, Any]:
        """What the heartbeat tells of this service."""
        return {}

    def measures(self) -> Iterable[Metric]:
        """What `/metrics` tells of this service beside the bus and the process."""
        return ()

    def problems(self) -> list[str]:
        """What is wrong outside of this service, as a disk that fails; a sentence each."""
        return []

    # -- the life cycle --------------------------------------------------------------------

    async def run(self) -> None:
        """Live until SIGTERM or SIGINT."""
        settings = self.settings
        # With PYTHONASYNCIODEBUG=1 asyncio tells of every callback that held the loop longer.
        asyncio.get_running_loop().slow_callback_duration = SLOW_CALLBACK_S
        self._listen_for_signals()
        listener = self._bind()
        self.bus = await Bus.connect(
            settings.nats_url, self.name, self.instance, settings.event_stream_max_bytes
        )
        async with ObjectStore.of(settings, self._bring_back) as self.objects:
            await self.objects.ensure_bucket()
            self.lines.attach()
            await self._serve(listener)
            await self.bus.close()

    async def _serve(self, listener: socket.socket) -> None:
        config = uvicorn.Config(
            self.app(), log_config=None, lifespan="off", timeout_graceful_shutdown=2
        )
        config.load()  # what it imports would hold the loop of a service that is ready at once
        server = uvicorn.Server(config)
        server.capture_signals = _no_signals  # type: ignore[method-assign,assignment]
        http = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._publish_lines()), group.create_task(self._beat())]
            await self.start()
            # What is loaded now stays. To look through it once more, as the collector would now and
            # then in the middle of a callback, holds the loop for 0.15 s beside numba's kernels.
            gc.freeze()
            self.ready = True
            self.log.info("ready", url=self.url)
            tasks.append(group.create_task(self.work()))
            await self._until_stopped(http)
            self.ready = False
            await self.bus.drain(settings_deadline := self.settings.stop_deadline_s)
            await end(tasks.pop())
            async with asyncio.timeout(settings_deadline):
                await self.stop()
            server.should_exit = True
            await http
            self.log.info("stopped")
            await end(*tasks)
        await self._publish_last_lines()

    async def _until_stopped(self, http: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopping, http}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            raise RuntimeError("the HTTP server ended by itself")

    def app(self) -> FastAPI:
        """The HTTP server: health, metrics, problem details and the service's own routes."""
        app = FastAPI(title=f"Slipstream {self.name}", version="1")
        add_problem_details(app)
        add_health(app, self._missing, self.problems)
        add_metrics(app, self, self.bus.tally)
        self.routes(app)
        return app

    @property
    def stopping(self) -> bool:
        """Whether the service was told to stop; long handlers hand back what they hold."""
        return self._stopping.is_set()

    @property
    def url(self) -> str:
        """Where the HTTP server listens."""
        return f"http://{self.settings.host}:{self.port}"

    def _missing(self) -> list[str]:
        missing = [] if self.ready else ["subscriptions are not bound"]
        if not self.bus.connected:
            missing.append("the bus is not connected")
        return missing

    async def _bring_back(self, key: str) -> None:
        """Have the uploader bring an evicted object's bytes back."""
        wanted = ObjectWanted(run_id=PLATFORM, key=key)
        try:
            answer, _ = await self.bus.request(wanted, ObjectBrought, timeout_s=BRING_BACK_S)
        except Unavailable as error:
            raise Unavailable(
                f"{key} was evicted and no uploader brings it back: {error}"
            ) from error
        if answer.problem:
            raise Unavailable(f"{key} was evicted and can't be brought back: {answer.problem}")

    def _bind(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.settings.host, self.settings.port))
        except OSError as error:
            raise StartupFailed(
                f"{self.name} can't listen on {self.settings.host}:{self.settings.port}"
                f" ({error.strerror}); set DR_{self.name.upper()}_PORT to a free port"
            ) from error
        self.port = int(listener.getsockname()[1])
        return listener

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            reasons = [*self._missing(), *self.problems()]
            await self.bus.publish(
                ServiceBeat(
                    service=self.name,
                    instance=self.instance,
                    ready=not reasons,
                    reasons=tuple(reasons),
                    url=self.url,
                    started_at_s=self.started_at_s,
                    detail=self.detail(),
                )
            )
            wakes_at = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.loop_lag_s = loop.time() - wakes_at

    async def _publish_lines(self) -> None:
        while True:
            await self.bus.publish(await self.lines.next())

    async def _publish_last_lines(self) -> None:
        while (line := self.lines.next_nowait()) is not None:
            await self.bus.publish(line)


def run_service(service_class: type[Service[Settings]], settings_class: type[Settings]) -> int:
    """Run one service in this process and return its exit code."""
    log.configure("info")
    try:
        asyncio.run(_run(service_class, settings_class))
    except Exception as error:
        return _exit_code(error)
    return 0


async def _run(service_class: type[Service[Settings]], settings_class: type[Settings]) -> None:
    await service_class(load(settings_class)).run()


def _exit_code(error: Exception) -> int:
    """Tell why the service ended, and whether a restart can help."""
    code = EXIT_CRASH
    for leaf in _leaves(error):
        if isinstance(leaf, PlatformError):
            log.get_log().error("ended", reason=str(leaf))
        else:
            log.get_log().error("crashed", exc_info=leaf)
        if isinstance(leaf, StartupFailed):
            code = EXIT_STARTUP
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _no_signals() -> AbstractContextManager[None]:
    """Uvicorn leaves the signals to us: the order of stopping is ours."""
    return nullcontext()
