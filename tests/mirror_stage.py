"""The uploader between two real stores: what tests of the mirror and of the cache need."""

import json
from typing import Any

import httpx
import stamina

from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.events import CheckpointRef, CheckpointSaved, ObjectRef
from libs.common.objects import ObjectStore
from tests.servers import S3Server
from tests.service_process import ServiceProcess

# A store that was killed answers again before it finds its objects again.
UNTIL = (AssertionError, Unavailable)
wait = stamina.retry(on=UNTIL, attempts=None, timeout=90, wait_initial=0.1, wait_max=0.5)


class Stage:
    """What a test of the mirror needs; `remote` is below the folder `backup` of its bucket."""

    def __init__(
        self, bus: Bus, objects: ObjectStore, remote: ObjectStore, uploader: ServiceProcess
    ) -> None:
        self.bus, self.objects, self.remote, self.uploader = bus, objects, remote, uploader

    async def save(self, number: int, data: bytes, run_id: str = "r1") -> str:
        """Put an object and announce it, as a checkpoint's policy; returns its key."""
        key = f"runs/{run_id}/model/model_{number}.pb"
        policy = await self.objects.put(key, data)
        await self.bus.publish(saved(run_id, number, policy))
        return key

    async def told(self, message_class: Any, run_id: str = "r1") -> list[Any]:
        """All events of a class so far."""
        stored = self.bus.follow(run_id, classes=[message_class], live=False)
        return [item.message async for item in stored]

    async def ask(self, path: str, **query: str | list[str]) -> Any:
        """What the uploader's API answers."""
        async with httpx.AsyncClient(base_url=f"{self.uploader.url}/v1", timeout=60) as http:
            answer = await http.get(path, params=query)
            answer.raise_for_status()
            return answer.json()

    async def move(self, what: str, **wish: object) -> dict[str, str]:
        """Let the cache `evict` or `pull`: keys with their problems."""
        async with httpx.AsyncClient(base_url=f"{self.uploader.url}/v1", timeout=60) as http:
            answer = await http.post(f"/cache/{what}", json=wish)
            answer.raise_for_status()
            lines = [json.loads(line) for line in answer.text.splitlines()]
            return {line["key"]: line["problem"] for line in lines}

    async def state_of(self, key: str) -> dict[str, Any]:
        """What the ledger has of an object; empty where it has nothing."""
        uploads = (await self.ask("/uploads", limit="10000"))["uploads"]
        return next((upload for upload in uploads if upload["key"] == key), {})

    @wait
    async def wait_for_state(self, key: str, state: str) -> dict[str, Any]:
        found = await self.state_of(key)
        assert found.get("state") == state, found
        return found

    @wait
    async def wait_for_copy(self, key: str, data: bytes) -> None:
        there = await self.remote.head(f"backup/{key}")
        assert there is not None
        assert await self.remote.get(there) == data

    @wait
    async def wait_for_told(self, message_class: Any, *keys: str) -> None:
        told = [event.source.uri for event in await self.told(message_class)]
        assert sorted(told) == sorted(self.objects.uri(key) for key in keys)


def saved(run_id: str, number: int, *artifacts: ObjectRef) -> CheckpointSaved:
    checkpoint = CheckpointRef(
        name=f"{number}_Step-10.ckpt", number=number, env_steps=10, files=(), policy=artifacts[0]
    )
    return CheckpointSaved(
        run_id=run_id, checkpoint=checkpoint, iteration=number, artifacts=artifacts
    )


def remote_variables(server: S3Server, bucket: str) -> dict[str, str]:
    return {
        "DR_UPLOADER_REMOTE_ENDPOINT": server.endpoint,
        "DR_UPLOADER_REMOTE_BUCKET": bucket,
        "DR_UPLOADER_REMOTE_PREFIX": "backup/",
        "DR_UPLOADER_REMOTE_ACCESS_KEY": server.access_key,
        "DR_UPLOADER_REMOTE_SECRET_KEY": server.secret_key,
        "DR_UPLOADER_REMOTE_PATIENCE_S": "0.5",
    }
