"""The submitter: archives of the best checkpoint when a run ends, and of others on demand."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from fastapi import FastAPI
from prometheus_client.core import Metric

from libs.common.deepracer.run_spec import CheckpointChoice
from libs.common.events import CheckpointRef, ModelPackaged, RunEnded
from libs.common.metrics import counter
from libs.common.service import Service
from services.submitter.api import add_routes
from services.submitter.config import SubmitterSettings
from services.submitter.packager import Packager
from services.submitter.store import ModelStore

ACK_WAIT_S = 6.0
"""After this a run that a killed submitter had in hand comes again."""

TRIES = 100
"""Of one run's package while the store or the disk fails: about an hour."""


class Submitter(Service[SubmitterSettings]):
    """Packages models."""

    name = "submitter"

    def __init__(self, settings: SubmitterSettings) -> None:
        super().__init__(settings)
        self._packaged = 0

    async def start(self) -> None:
        """Subscribe to ends of runs."""
        await self.bus.subscribe(
            RunEnded,
            self.on_run_ended,
            durable=self.name,
            ack_wait_s=ACK_WAIT_S,
            max_deliver=TRIES,
        )

    @cached_property
    def _models(self) -> ModelStore:
        return ModelStore(self.objects)

    @cached_property
    def _packager(self) -> Packager:
        return Packager(self.objects, self._models, self.settings.models_dir)

    def routes(self, app: FastAPI) -> None:
        """Add the API."""
        add_routes(app, self)

    def detail(self) -> dict[str, Any]:
        """Where the archives are put."""
        return {"folder": str(self.settings.models_dir)}

    def measures(self) -> Iterable[Metric]:
        """What was packaged."""
        yield counter("slipstream_models_packaged", "Models packaged for cars.", self._packaged)

    async def on_run_ended(self, event: RunEnded) -> None:
        """Package the best checkpoint, where the run has one."""
        if event.best is not None:
            await self._package(event.run_id, event.best, event.id)

    async def package(self, run_id: str, choice: CheckpointChoice) -> ModelPackaged:
        """
        Package a checkpoint now.

        Raises:
            NotFound: no such run, or it has no checkpoint. InvalidInput: none of that number.
        """
        return await self._package(run_id, await self._models.find(run_id, choice), None)

    async def _package(
        self, run_id: str, checkpoint: CheckpointRef, cause: str | None
    ) -> ModelPackaged:
        packaged = await self._packager.package(run_id, checkpoint)
        event = packaged.model_copy(update={"cause": cause})
        await self.bus.publish(event)
        self._packaged += 1
        self.log.info(
            "model packaged", run_id=run_id, checkpoint=checkpoint.name, folder=event.target
        )
        return event
