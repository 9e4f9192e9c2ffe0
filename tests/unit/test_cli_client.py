"""
The client of the REST API, against a real HTTP server that answers as the test says.

How the client gets on with the trainer itself is shown end to end; here is what a healthy trainer
does not do: it goes away in the middle of a stream, refuses, or is another program altogether.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from libs.cli.answers import RefusedByApi
from libs.cli.client import ApiClient, EvaluationFailed
from libs.cli.output import EXIT_FAILED, EXIT_UNREACHABLE, Unreachable, exit_code
from libs.common.errors import InvalidInput, Unavailable
from libs.common.health import add_problem_details
from tests.servers import free_port

Answer = Callable[[Request], Response]

RUN = '{"id": "a", "name": "a", "status": "%s", "track": "loop", "outcome": %s}'
RUNNING = RUN % ("running", "null")
FINISHED = RUN % ("finished", '"finished"')


class Server:
    """Answers `METHOD path` with what is next in its list; the last answer stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[Request] = []
        self.url = f"http://127.0.0.1:{free_port()}"
        app = FastAPI()
        app.add_api_route("/v1/{path:path}", self._answer, methods=["GET", "POST"])
        add_problem_details(app)
        port = int(self.url.rpartition(":")[2])
        config = uvicorn.Config(app, port=port, log_level="error", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=asyncio.run, args=[self._server.serve()])

    def __enter__(self) -> "Server":
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def on(self, question: str, *answers: Answer) -> None:
        self.answers[question] = list(answers)

    async def _answer(self, request: Request, path: str) -> Response:
        self.asked.append(request)
        left = self.answers[f"{request.method} /{path}"]
        return (left.pop(0) if len(left) > 1 else left[0])(request)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[ApiClient]:
    with ApiClient(server.url) as connected:
        yield connected


def document(text: str) -> Answer:
    return lambda request: Response(text, media_type="application/json")


def events(*texts: str) -> Answer:
    return lambda request: Response("".join(texts), media_type="text/event-stream")


def event(number: int, kind: str) -> str:
    return f'id: {number}\nevent: {kind}\ndata: {{"n": {number}}}\n\n'


def refuse(error: Exception) -> Answer:
    def answer(request: Request) -> Response:
        raise error

    return answer


def test_a_stream_that_breaks_off_is_taken_up_behind_its_last_event(
    server: Server, client: ApiClient
) -> None:
    server.on(
        "GET /runs/a/events",
        events(event(3, "evt.run.queued.v1"), event(5, "evt.run.started.v1")),
        events(": keep-alive\n\n", event(8, "evt.run.ended.v1"), event(9, "evt.log.archived.v1")),
    )
    server.on("GET /runs/a", document(FINISHED))
    assert [told.id for told in client.follow_run("a")] == ["3", "5", "8", "9"]
    asked = [request.headers.get("last-event-id") for request in server.asked]
    assert asked == [None, "5", None]  # the last question is whether the run is over


def test_a_run_that_was_resumed_is_followed_over_its_first_end(
    server: Server, client: ApiClient
) -> None:
    server.on(
        "GET /runs/a/events",
        events(event(1, "evt.run.ended.v1")),
        events(event(2, "evt.run.started.v1"), event(3, "evt.run.ended.v1")),
    )
    server.on("GET /runs/a", document(RUNNING), document(FINISHED))
    assert [told.id for told in client.follow_run("a")] == ["1", "2", "3"]


def test_following_ends_where_the_end_itself_is_no_longer_kept(
    server: Server, client: ApiClient
) -> None:
    server.on("GET /runs/a/events", events())
    server.on("GET /runs/a", document(FINISHED))
    assert list(client.follow_run("a")) == []


def test_a_refusal_is_told_with_every_problem(server: Server, client: ApiClient) -> None:
    server.on("POST /runs", refuse(InvalidInput(["lr: -1", "batch_size: 0"])))
    with pytest.raises(RefusedByApi) as caught:
        client.queue_run({}, {})
    assert caught.value.problems == ["lr: -1", "batch_size: 0"]
    assert (caught.value.title, caught.value.status_code) == ("Invalid input", 422)
    assert exit_code(caught.value) == EXIT_FAILED


def test_a_trainer_that_is_just_starting_is_waited_for_only_where_something_goes_on(
    server: Server, client: ApiClient
) -> None:
    starting = refuse(Unavailable("the trainer is starting"))
    server.on("GET /runs/a", starting)
    with pytest.raises(Unavailable, match="the trainer is starting"):
        client.show_run("a")

    ended = '{"evaluation_id": "e", "status": "ended", "trials": []}'
    pending = '{"evaluation_id": "e", "status": "pending"}'
    path = "GET /runs/a/evaluations/e"
    server.on(path, document(pending), starting, document(ended))
    assert client.await_evaluation("a", "e", timeout_s=30).status == "ended"


def test_an_evaluation_that_failed_says_why(server: Server, client: ApiClient) -> None:
    failed = '{"evaluation_id": "e", "status": "failed", "reason": "the policy is gone"}'
    server.on("GET /runs/a/evaluations/e", document(failed))
    with pytest.raises(EvaluationFailed, match="the policy is gone"):
        client.await_evaluation("a", "e", timeout_s=30)


def test_nobody_there_is_an_exit_code_of_its_own_with_a_hint() -> None:
    with (
        ApiClient(f"http://127.0.0.1:{free_port()}") as client,
        pytest.raises(Unreachable, match="make up") as caught,
    ):
        client.list_runs()
    assert exit_code(caught.value) == EXIT_UNREACHABLE


@pytest.mark.parametrize("body", ["<html>hello</html>", '{"items": [{"no": "run"}]}'])
def test_another_program_on_the_port_is_not_taken_for_the_trainer(
    server: Server, client: ApiClient, body: str
) -> None:
    server.on("GET /runs", document(body))
    server.on("GET /tracks", document(body))
    server.on("GET /runs/a/events", document(body))
    for ask in (client.list_runs, client.list_tracks, lambda: list(client.follow_run("a"))):
        with pytest.raises(Unreachable, match="is another program on that port"):
            ask()


def test_runs_are_read_page_by_page(server: Server, client: ApiClient) -> None:
    pages = [f'{{"items": [{RUNNING}], "next": {cursor}}}' for cursor in ('"two"', "null")]
    server.on("GET /runs", *(document(page) for page in pages))
    assert len(client.list_runs(status="running")) == 2
    assert [request.query_params.get("cursor") for request in server.asked] == [None, "two"]
    assert server.asked[0].query_params["status"] == "running"
