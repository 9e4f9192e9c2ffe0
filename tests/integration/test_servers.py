"""The servers that tests run on: containers where an engine answers, processes elsewhere."""

from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from libs.common.errors import Unavailable
from libs.common.objects import ObjectStore
from tests.servers import NatsServer, S3Server, ServerSettings, in_containers


def test_a_server_is_a_container_where_an_engine_answers_and_a_process_elsewhere(
    nats_server: NatsServer,
) -> None:
    processes = {process.name() for process in psutil.Process().children()}
    assert ("nats-server" in processes) is not in_containers(ServerSettings())


async def test_a_store_that_was_killed_has_its_objects_at_the_same_address(tmp_path: Path) -> None:
    server = S3Server(tmp_path)
    server.start()
    try:
        async with ObjectStore(server.address("kept")) as objects:
            await objects.ensure_bucket()
            stored = await objects.put("a", b"before")
            server.kill()
            server.start()
            assert await objects.get(stored) == b"before"
    finally:
        server.kill()


@pytest.mark.parametrize("address", ["unix:///{}/none", "tcp://far:2375", "ssh://far"])
def test_an_engine_that_is_far_or_absent_is_none(address: str) -> None:
    docker_host = address.format(uuid4())
    assert not in_containers(ServerSettings(kind="auto", docker_host=docker_host))
    with pytest.raises(Unavailable, match=rf"no engine answers at {docker_host!r}"):
        in_containers(ServerSettings(kind="containers", docker_host=docker_host))


def test_embedded_servers_need_no_engine_and_want_none() -> None:
    assert not in_containers(ServerSettings(kind="embedded"))
