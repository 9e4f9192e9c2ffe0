"""A typed client of the trainer's REST API."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar
from uuid import uuid4

import httpx
import stamina
from httpx_sse import EventSource, ServerSentEvent, connect_sse
from pydantic import ValidationError

from libs.cli.documents import Document, Evaluation, Model, Run, RunPage, Track
from libs.cli.output import Unreachable
from libs.common.errors import InvalidInput, NotFound, PlatformError, Unavailable

CONNECT_S = 3.0
ANSWER_S = 60.0
SILENCE_S = 60.0
"""A stream of events that says nothing for this long is opened anew."""

QUIET_S = 1.0
"""A replay in which nothing comes for this long has told everything there is."""

PATIENCE_S = 60.0
"""How long something that went on already waits for a trainer that is being restarted."""

LAST_EVENTS = ("evt.run.ended.", "evt.run.deleted.")

PENDING_POLL_S = 0.5
PAGE_SIZE = 100

Answer = TypeVar("Answer", bound=Document)


class RefusedByApi(InvalidInput):
    """The REST API answered with an error; title and status are the answer's."""

    def __init__(self, status: int, title: str, problems: list[str]) -> None:
        super().__init__(problems)
        self.status_code = status  # type: ignore[misc]
        self.title = title  # type: ignore[misc]


class EvaluationFailed(PlatformError):
    """The evaluation could not be driven."""

    title: ClassVar[str] = "Evaluation failed"


class _StillPending(Exception):
    pass


class ApiClient:
    """One connection to the REST API. Use as a context manager."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._http = httpx.Client(
            base_url=f"{base_url}/v1",
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            # A proxy is never asked for an address on this machine.
            trust_env=httpx.URL(base_url).host not in ("127.0.0.1", "localhost"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    # -- runs --------------------------------------------------------------------------------

    def queue_run(self, files: Mapping[str, str], fields: Mapping[str, object]) -> Run:
        """Queue a run folder; `fields` are name, track, seed, priority, as far as given."""
        body = {"files": dict(files), **{k: v for k, v in fields.items() if v is not None}}
        headers = {"Idempotency-Key": uuid4().hex}
        return self._read(Run, self._send("POST", "/runs", json=body, headers=headers))

    def list_runs(
        self, status: str | None = None, track: str | None = None, limit: int = 50
    ) -> list[Run]:
        """The newest runs, over as many pages as it takes."""
        runs: list[Run] = []
        cursor: str | None = None
        while len(runs) < limit:
            size = min(PAGE_SIZE, limit - len(runs))
            query = {"status": status, "track": track, "limit": size, "cursor": cursor}
            page = self._read(RunPage, self._get("/runs", query))
            runs += page.items
            cursor = page.next
            if not cursor or not page.items:
                break
        return runs

    def show_run(self, run: str) -> Run:
        """One run."""
        return self._read(Run, self._get(f"/runs/{run}"))

    def stop_run(self, run: str) -> Run:
        """End a run after its current update."""
        return self._read(Run, self._send("POST", f"/runs/{run}/stop"))

    def follow_run(self, run: str) -> Iterator[ServerSentEvent]:
        """
        Every event of a run from its first to its last, over restarts of the trainer.

        Raises:
            Unreachable: the trainer was not there at the beginning, or stayed away.
        """
        last_id, patience_s, over = "", 0.0, False
        while not over:
            told = ended = False
            with self._open_events(run, last_id, patience_s) as source:
                patience_s = PATIENCE_S
                try:
                    for event in _events(source):
                        last_id, told = event.id or last_id, True
                        ended = ended or event.event.startswith(LAST_EVENTS)
                        yield event
                except httpx.TransportError:
                    continue
            # The trainer closes the stream at the run's end, but also when it stops itself.
            over = (ended or not told) and self._is_over(run)

    def replay_run(self, run: str) -> Iterator[ServerSentEvent]:
        """
        The events of a run so far.

        The stream itself goes on with what comes; it is left after a short silence, or with the
        first event that is younger than the question.
        """
        asked_at = datetime.now(UTC)
        with self._open_events(run, "", 0.0, silence_s=QUIET_S) as source:
            try:
                for event in _events(source):
                    if _moment_of(event) > asked_at:
                        return
                    yield event
            except httpx.TransportError:
                return

    # -- evaluations -------------------------------------------------------------------------

    def evaluate(
        self, run: str, checkpoint: str | int, trials: int, track: str | None
    ) -> Evaluation:
        """Ask for an evaluation; it is driven later."""
        body: dict[str, object] = {"checkpoint": checkpoint, "trials": trials}
        if track:
            body["track"] = track
        return self._read(Evaluation, self._send("POST", f"/runs/{run}/evaluations", json=body))

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
                    answer = self._read(Evaluation, self._get(path, patience_s=PATIENCE_S))
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
        return _read_all(Track, self._get("/tracks"))

    def import_track(self, name: str, data: bytes) -> Track:
        """Store a `.npy` track under a name."""
        answer = self._send("POST", "/tracks", params={"name": name}, content=data)
        return self._read(Track, answer)

    def list_models(self) -> list[Model]:
        """Every run that has a checkpoint."""
        return _read_all(Model, self._get("/models"))

    def show_model(self, run: str) -> Model:
        """The checkpoints and files of one run."""
        return self._read(Model, self._get(f"/models/{run}"))

    def download(self, run: str, path: str) -> Iterator[bytes]:
        """The bytes of one of a model's files, in pieces."""
        with self._http.stream("GET", f"/models/{run}/files/{path}") as answer:
            _check(answer)
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
                _check(answer)
        return answer

    def _open_events(
        self, run: str, last_id: str, patience_s: float, silence_s: float = SILENCE_S
    ) -> "_OpenEvents":
        for attempt in _patiently(Unavailable, patience_s):
            with attempt:
                try:
                    return _OpenEvents(self._http, f"/runs/{run}/events", last_id, silence_s)
                except httpx.TransportError as error:
                    raise self._unreachable(error) from error
        raise AssertionError("an attempt returns or raises")

    def _is_over(self, run: str) -> bool:
        try:
            record = self._read(Run, self._get(f"/runs/{run}", patience_s=PATIENCE_S))
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

    @staticmethod
    def _read(kind: type[Answer], answer: httpx.Response) -> Answer:
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError as error:
            raise _not_ours(answer) from error


class _OpenEvents:
    """An open stream of server-sent events."""

    def __init__(self, http: httpx.Client, path: str, last_id: str, silence_s: float) -> None:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        timeout = httpx.Timeout(silence_s, connect=CONNECT_S)
        self._connection = connect_sse(http, "GET", path, headers=headers, timeout=timeout)
        self._source: EventSource = self._connection.__enter__()
        try:
            _check(self._source.response)
            if "text/event-stream" not in self._source.response.headers.get("content-type", ""):
                self._source.response.read()
                raise _not_ours(self._source.response)
        except PlatformError:
            self._connection.__exit__(None, None, None)
            raise

    def __enter__(self) -> EventSource:
        return self._source

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.__exit__(kind, error, trace)


def _read_all(kind: type[Answer], answer: httpx.Response) -> list[Answer]:
    """A list of documents, bare or as the items of a page."""
    try:
        body = answer.json()
        return [kind.model_validate(item) for item in _items(body)]
    except ValueError as error:  # also of a document that does not fit
        raise _not_ours(answer) from error


def _events(source: EventSource) -> Iterator[ServerSentEvent]:
    """Events with something in them; a keep-alive looks like one without."""
    return (event for event in source.iter_sse() if event.data)


def _moment_of(event: ServerSentEvent) -> datetime:
    try:
        return datetime.fromisoformat(event.json()["at"])
    except (ValueError, KeyError, TypeError):
        return datetime.min.replace(tzinfo=UTC)


def _items(body: object) -> list[object]:
    items = body.get("items") if isinstance(body, dict) else body
    if not isinstance(items, list):
        raise ValueError("neither a list nor a page")
    return items


def _not_ours(answer: httpx.Response) -> Unreachable:
    return Unreachable(
        f"{answer.url} answered what is no document of this API: {answer.text[:80]!r}; "
        "is another program on that port, or another version of Slipstream?"
    )


def _check(answer: httpx.Response) -> None:
    """
    Raises:
        Unavailable: 503; it may pass.
        RefusedByApi: any other error, with every problem that the answer names.
    """
    if answer.is_success:
        return
    answer.read()
    problem = _problem(answer)
    detail = str(problem.get("detail") or answer.text or answer.reason_phrase)
    if answer.status_code == Unavailable.status_code:
        raise Unavailable(detail)
    problems = [str(item) for item in problem.get("errors") or [detail]]
    raise RefusedByApi(
        answer.status_code, str(problem.get("title") or answer.reason_phrase), problems
    )


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


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
