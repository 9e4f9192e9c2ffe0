"""What the logger has of a run, line by line, and with `follow` what comes."""

from collections.abc import Iterator, Mapping

import httpx
import stamina

from libs.cli.answers import check
from libs.cli.connection import open_http
from libs.cli.output import Unreachable
from libs.cli.watch import describe_event
from libs.common.errors import InvalidInput
from libs.common.events import decode

PATIENCE_S = 60.0
"""How long a logger that is being restarted is waited for."""


Query = Mapping[str, str | int | list[str]]


class _Lost(Exception):
    """The connection broke, or the logger stopped."""


def journal_lines(base_url: str, path: str, query: Query, follow: bool) -> Iterator[str]:
    """
    The lines of `/v1/journal/<path>`; with `follow` for ever, over restarts of the logger.

    Raises:
        Unreachable: the logger was not there at the beginning, or stayed away.
        PlatformError: it refused, as with a run that it does not know.
    """
    told = 0
    parameters = httpx.QueryParams({**query, "follow": follow})
    with open_http(base_url, "/v1/journal", answer_s=None) as http:
        while True:
            try:
                # The journal only grows, so that what was told before comes first again.
                for number, line in enumerate(_lines(http, path, parameters, waits=told > 0)):
                    if number >= told:
                        told = number + 1
                        yield line
            except _Lost:
                pass
            if not follow:
                return


def _lines(
    http: httpx.Client, path: str, parameters: httpx.QueryParams, *, waits: bool
) -> Iterator[str]:
    answer = _opened(http, path, parameters, PATIENCE_S if waits else 0.0)
    try:
        yield from answer.iter_lines()
    except httpx.TransportError as error:
        raise _Lost from error
    finally:
        answer.close()


def _opened(
    http: httpx.Client, path: str, parameters: httpx.QueryParams, patience_s: float
) -> httpx.Response:
    for attempt in stamina.retry_context(
        on=Unreachable, attempts=None if patience_s else 1, timeout=patience_s or None, wait_max=1.0
    ):
        with attempt:
            try:
                request = http.build_request("GET", f"/{path}", params=parameters)
                answer = http.send(request, stream=True)
            except httpx.TransportError as error:
                raise Unreachable(
                    f"{http.base_url} does not answer ({error}); `make up` (or `slipstream up`) "
                    "starts the stack, and DR_LOGGER_URL names a logger that runs elsewhere"
                ) from error
            check(answer)
            return answer
    raise AssertionError("an attempt returns or raises")


def as_text(line: str) -> str | None:
    """A line of a journal for people; None for an event of another version."""
    try:
        return describe_event(decode(line.encode()))
    except InvalidInput:
        return None
