"""A typed client of the trainer's REST API."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import httpx
import stamina
from httpx_sse import ServerSentEvent

from libs.cli.answers import RefusedByApi, check, read_all, read_one
from libs.cli.connection import CONNECT_S, Connection
from libs.cli.documents import Evaluation, Model, ModelPage, Run, RunPage, Track
from libs.cli.event_stream import EventStream
from libs.cli.output import Unreachable
from libs.common.errors import NotFound, PlatformError, Unavailable

ANSWER_S = 60.0
IMPORT_S = 600.0
SILENCE_S = 60.0
"""A stream of events that says nothing for this long is opened anew."""

PATIENCE_S = 60.0
"""How long something that went on already waits for a trainer that is being restarted."""

LAST_EVENTS = ("evt.run.ended.", "evt.run.deleted.")

PENDING_POLL_S = 0.5
PAGE_SIZE = 100


class EvaluationFailed(PlatformError):
    """The evaluation could not be driven."""

    title: ClassVar[str] = "Evaluation failed"


class _StillPending(Exception):
    pass


class ApiClient(Connection):
    """One connection to the REST API. Use as a context manager."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url, ANSWER_S)

    # -- runs --------------------------------------------------------------------------------

    def queue_run(self, files: Mapping[str, str], fields: Mapping[str, object]) -> Run:
        """Queue a run folder; `fields` are name, track, seed, priority, as far as given."""
        body = {"files": dict(files), **{k: v for k, v in fields.items() if v is not None}}
        headers = {"Idempotency-Key": uuid4().hex}
        return read_one(Run, self._send("POST", "/runs", json=body, headers=headers))

    def list_runs(
        self, status: str | None = None, track: str | None = None, limit: int = 50
    ) -> list[Run]:
        """The newest runs, over as many pages as it takes."""
        runs: list[Run] = []
        cursor: str | None = None
        while len(runs) < limit:
            size = min(PAGE_SIZE, limit - len(runs))
            query = {"status": status, "track": track, "limit": size, "cursor": cursor}
            page = read_one(RunPage, self._get("/runs", query))
            runs += page.items
            cursor = page.next
            if not cursor or not page.items:
                break
        return runs

    def show_run(self, run: str) -> Run:
        """One run."""
        return read_one(Run, self._get(f"/runs/{run}"))

    def stop_run(self, run: str) -> Run:
        """End a run after its current update."""
        return read_one(Run, self._send("POST", f"/runs/{run}/stop"))

    def follow_run(self, run: str) -> Iterator[ServerSentEvent]:
        """
        Every event of a run from its first to its last, over restarts of the trainer.

        Raises:
            Unreachable: the trainer was not there at the beginning, or stayed away.
        """
        last_id, patience_s, over = "", 0.0, False
        while not over:
            told = ended = False
            with self._open_events(run, last_id, patience_s) as stream:
                patience_s = PATIENCE_S
                try:
                    for event in stream:
                        last_id, told = event.id or last_id, True
                        ended = ended or event.event.startswith(LAST_EVENTS)
                        yield event
                except httpx.TransportError:
                    continue
            # The trainer closes the stream at the run's end, but also when it stops itself.
            over = (ended or not told) and self._is_over(run)

    # -- evaluations -------------------------------------------------------------------------

    def evaluate(
        self,
        run: str,
        checkpoint: str | int,
        trials: int,
        track: str | None,
        rules: str | None = None,
    ) -> Evaluation:
        """Ask for an evaluation; it is driven later."""
        body: dict[str, object] = {"checkpoint": checkpoint, "trials": trials}
        if track:
            body["track"] = track
        if rules:
            body["rules"] = rules
        return read_one(Evaluation, self._send("POST", f"/runs/{run}/evaluations", json=body))

    def await_evaluation(self, run: str, evaluation_id: str, timeout_s: float) -> Evaluation:
        """
        The evaluation once it has ended.

        Raises:
            EvaluationFailed: it could not be driven, or did not end in time.
        """
        path = f"/runs/{run}/evaluations/{evaluation_id}"
        try:
            for attempt in _patiently(_StillPending, timeout_s, PENDING_POLL_S):
                with attempt:
                    answer = read_one(Evaluation, self._get(path, patience_s=PATIENCE_S))
                    if answer.status == "pending":
                        raise _StillPending
        except _StillPending:
            raise EvaluationFailed(
                f"evaluation {evaluation_id} of {run} did not end within {timeout_s:.0f} s; "
                "is a simulator running? `slipstream status` tells"
            ) from None
        if answer.status == "failed":
            raise EvaluationFailed(f"evaluation {evaluation_id} of {run}: {answer.reason}")
        return answer

    # -- tracks and models -------------------------------------------------------------------

    def list_tracks(self) -> list[Track]:
        """Built-in and imported tracks."""
        return read_all(Track, self._get("/tracks"))

    def import_track(self, name: str, data: bytes, width_m: float | None = None) -> Track:
        """Store a `.npy` track under a name; `is_new` is False of the same road again."""
        query = {"name": name, "width_m": width_m}
        params = {key: value for key, value in query.items() if value is not None}
        answer = self._send("POST", "/tracks", params=params, content=data)
        return read_one(Track, answer).model_copy(update={"is_new": answer.status_code == 201})

    def show_track(self, name: str) -> Track:
        """One track."""
        return read_one(Track, self._get(f"/tracks/{name}"))

    def download_track(self, name: str) -> bytes:
        """The `.npy` file of a track."""
        return self._get(f"/tracks/{name}/track.npy").content

    def delete_track(self, name: str) -> None:
        """Forget an imported track."""
        self._send("DELETE", f"/tracks/{name}")

    def list_models(self) -> list[Model]:
        """Every run that has a checkpoint, over as many pages as it takes."""
        models: list[Model] = []
        cursor: str | None = None
        while True:
            query = {"limit": PAGE_SIZE, "cursor": cursor}
            page = read_one(ModelPage, self._get("/models", query))
            models += page.items
            cursor = page.next
            if not cursor:
                return models

    def import_model(self, files: Mapping[str, Path], name: str, track: str | None) -> Run:
        """Take in the files of a model folder, by their paths in it, as a run."""
        fields = {"name": name, **({"track": track} if track else {})}
        with ExitStack() as opened:
            parts = [
                ("files", (path, opened.enter_context(file.open("rb"))))
                for path, file in files.items()
            ]
            answer = self._send("POST", "/models", data=fields, files=parts, timeout=IMPORT_S)
        return read_one(Run, answer)

    def show_model(self, run: str) -> Model:
        """The checkpoints and files of one run."""
        return read_one(Model, self._get(f"/models/{run}"))

    def download(self, run: str, path: str) -> Iterator[bytes]:
        """The bytes of one of a model's files, in pieces."""
        with self._http.stream("GET", f"/models/{run}/files/{path}") as answer:
            check(answer)
            yield from answer.iter_bytes()

    # -- plumbing ----------------------------------------------------------------------------

    def _get(
        self, path: str, query: Mapping[str, object] | None = None, patience_s: float = 0.0
    ) -> httpx.Response:
        params: dict[str, Any] = {k: v for k, v in (query or {}).items() if v is not None}
        return self._send("GET", path, patience_s=patience_s, params=params)

    def _send(
        self, method: str, path: str, patience_s: float = 0.0, **arguments: Any
    ) -> httpx.Response:
        for attempt in _patiently(Unavailable, patience_s):
            with attempt:
                try:
                    answer = self._http.request(method, path, **arguments)
                except httpx.TransportError as error:
                    raise self._unreachable(error) from error
                check(answer)
        return answer

    def _open_events(self, run: str, last_id: str, patience_s: float) -> EventStream:
        for attempt in _patiently(Unavailable, patience_s):
            with attempt:
                try:
                    return EventStream(
                        self._http, f"/runs/{run}/events", last_id, CONNECT_S, SILENCE_S
                    )
                except httpx.TransportError as error:
                    raise self._unreachable(error) from error
        raise AssertionError("an attempt returns or raises")

    def _is_over(self, run: str) -> bool:
        try:
            record = read_one(Run, self._get(f"/runs/{run}", patience_s=PATIENCE_S))
        except RefusedByApi as error:
            if error.status_code == NotFound.status_code:  # it was deleted
                return True
            raise
        return record.outcome is not None

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(
            f"{self.base_url} does not answer ({error}); `make up` (or `slipstream up`) starts "
            "the stack, and DR_API_URL names one that runs elsewhere"
        )


def _patiently(
    on: type[Exception], timeout_s: float, wait_s: float = 0.2
) -> Iterator[stamina.Attempt]:
    """Attempts for so long; with a timeout of 0 a single one."""
    return iter(
        stamina.retry_context(
            on=on,
            attempts=None if timeout_s else 1,
            timeout=timeout_s or None,
            wait_initial=wait_s,
            wait_max=max(wait_s, 1.0),
            wait_exp_base=1.2,
            wait_jitter=0.0,
        )
    )
