"""
Real servers for tests: NATS with JetStream and an S3 store, each on a free port.

Both can be killed and started again on the same data, as the tests of recovery do.
"""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import stamina

BIN = Path(sys.executable).parent
S3_PORTS = 5  # s3, master, volume, filer, admin; each takes port + 10000 for gRPC too


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


class NatsServer:
    """A nats-server on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._config = folder / "nats.conf"
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{folder}" }}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [BIN / "nats-server", "-c", self._config], stderr=subprocess.DEVNULL
        )
        _wait_for_port(self.port)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class S3Server:
    """SeaweedFS's S3 on a folder of its own."""

    access_key = "test-access-key"
    secret_key = "test-secret-key"

    def __init__(self, folder: Path) -> None:
        self._folder, self._base = folder, free_block(S3_PORTS)
        self.endpoint = f"http://127.0.0.1:{self._base}"
        credentials = {"accessKey": self.access_key, "secretKey": self.secret_key}
        identity = {"name": "test", "credentials": [credentials], "actions": ["Admin"]}
        self._config = folder / "s3.json"
        self._config.write_text(json.dumps({"identities": [identity]}))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        names = ("s3", "master", "volume", "filer", "admin")
        ports = [f"-{name}.port={self._base + i}" for i, name in enumerate(names)]
        self._process = subprocess.Popen(
            [
                *(BIN / "weed", "mini", f"-dir={self._folder}", "-ip=127.0.0.1"),
                *("-ip.bind=127.0.0.1", *ports, f"-s3.config={self._config}"),
                *("-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        _wait_for_port(self._base)
        _wait_for_answer(self.endpoint)

    def kill(self) -> None:
        """SIGKILL, as a crash; also how a test ends, since a clean stop takes long."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@stamina.retry(on=OSError, attempts=None, timeout=30, wait_initial=0.02, wait_max=0.2)
def _wait_for_port(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 1).close()


@stamina.retry(on=OSError, attempts=None, timeout=30, wait_initial=0.05, wait_max=0.2)
def _wait_for_answer(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as error:  # a refusal is an answer; a 5xx is not yet one
        if error.code >= 500:
            raise
