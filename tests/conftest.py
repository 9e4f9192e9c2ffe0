"""Fixtures: the real servers, and a bus and a store on them."""

import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
import stamina.instrumentation
from pydantic import ValidationError

from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.objects import ObjectStore
from tests.servers import NatsServer, S3Server, ServerSettings, in_containers

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

# As learner processes have it: on a busy machine its threads wait for each other most of the time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251 - read by numpy alone
stamina.instrumentation.set_on_retry_hooks([])  # waiting for a server is no news in a test

Connect = Callable[[str], Awaitable[Bus]]


def pytest_report_header() -> list[str]:
    """Say that servers are containers, where they are; refuse what was asked for and can't be."""
    try:
        return ["servers: in containers"] if in_containers(ServerSettings()) else []
    except (Unavailable, ValidationError) as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture
def shared_data() -> Path:
    """Published tracks and logs of the real simulator; a test without them is left out."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the published data is not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def coach_python() -> Path:
    """The Python that has rl-coach: `make install-coach` makes it where it is missing."""
    subprocess.run(["make", "install-coach"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / ".venv-coach" / "bin" / "python"


@pytest.fixture
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server for this test alone, so that it may be killed."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One store for all tests; each takes a bucket of its own."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def connect(nats_server: NatsServer) -> AsyncIterator[Connect]:
    """Open a bus as the named service; closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_bus(service: str) -> Bus:
            bus = await Bus.connect(nats_server.url, service, "test")
            stack.push_async_callback(bus.close)
            stack.push_async_callback(bus.drain, 2.0)
            return bus

        yield open_bus


@pytest.fixture
async def objects(s3_server: S3Server) -> AsyncIterator[ObjectStore]:
    """A store with an empty bucket."""
    bucket = f"test-{uuid4().hex[:12]}"
    async with ObjectStore(s3_server.address(bucket)) as store:
        await store.ensure_bucket()
        yield store
