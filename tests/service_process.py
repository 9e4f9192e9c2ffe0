"""Any service as a test runs it: `python -m services.<name>`, to be killed, ended and started."""

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import stamina

from tests.servers import NatsServer, S3Server, free_port

ROOT = Path(__file__).parents[1]


class ServiceProcess:
    """One service; killed at the end of the `with` if it still lives, its log shown on failure."""

    def __init__(
        self,
        name: str,
        nats: NatsServer,
        s3: S3Server,
        state: Path,
        *,
        bucket: str,
        **variables: str,
    ) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.log = state / f"{name}-{port}.log"
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "DR_NATS_URL": nats.url,
            "DR_S3_ENDPOINT": s3.endpoint,
            "DR_S3_ACCESS_KEY": s3.access_key,
            "DR_S3_SECRET_KEY": s3.secret_key,
            "DR_S3_BUCKET": bucket,
            "DR_STATE_DIR": str(state),
            f"DR_{name.upper()}_PORT": str(port),
            **variables,
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        if error is not None:
            sys.stderr.write(self.log.read_text())

    def set(self, **variables: str) -> None:
        """Change what it is told at its next start."""
        self._environment |= variables

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.name}"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    @stamina.retry(on=httpx.HTTPError, attempts=None, timeout=30, wait_initial=0.05, wait_max=0.2)
    def wait_until_ready(self) -> None:
        """Return when it says so; fail where it has ended."""
        assert self.process.poll() is None, self.log.read_text()
        httpx.get(f"{self.url}/readyz").raise_for_status()

    @stamina.retry(on=AssertionError, attempts=None, timeout=30, wait_initial=0.05, wait_max=0.2)
    def wait_until_not_ready(self) -> str:
        """What it says is missing, as soon as something is."""
        answer = httpx.get(f"{self.url}/readyz")
        assert answer.status_code == 503, answer.text
        return answer.text
