"""Fixtures of the tests of the mirror and of the cache."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from libs.common.objects import ObjectStore
from tests.conftest import Connect
from tests.mirror_stage import Stage, remote_variables
from tests.servers import NatsServer, S3Server
from tests.service_process import ServiceProcess


@pytest.fixture
def far_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A second store, which may be killed."""
    server = S3Server(tmp_path_factory.mktemp("far"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def stage(
    connect: Connect,
    nats_server: NatsServer,
    s3_server: S3Server,
    far_server: S3Server,
    objects: ObjectStore,
    tmp_path: Path,
) -> AsyncIterator[Stage]:
    bucket = f"far-{uuid4().hex[:12]}"
    remote = ObjectStore(far_server.address(bucket), retry_for_s=0.5)
    variables = remote_variables(far_server, bucket)
    uploader = ServiceProcess(
        "uploader", nats_server, s3_server, tmp_path, bucket=objects.bucket, **variables
    )
    async with remote:
        yield Stage(await connect("trainer"), objects, remote, uploader)
