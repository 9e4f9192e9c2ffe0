"""Reading what the REST API answers: documents, and refusals with every problem they name."""

from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from libs.cli.documents import Document
from libs.cli.output import Unreachable
from libs.common.errors import InvalidInput, Unavailable

Answer = TypeVar("Answer", bound=Document)


class RefusedByApi(InvalidInput):
    """The REST API answered with an error; title and status are the answer's."""

    def __init__(self, status: int, title: str, problems: list[str]) -> None:
        super().__init__(problems)
        # Other errors have these by class; here the service decides.
        self.status_code = status  # type: ignore[misc]
        self.title = title  # type: ignore[misc]


def read_one(kind: type[Answer], answer: httpx.Response) -> Answer:
    """
    One document.

    Raises:
        Unreachable: what answers is not the REST API.
    """
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise not_ours(answer) from error


def read_all(kind: type[Answer], answer: httpx.Response) -> list[Answer]:
    """A list of documents, bare or as the items of a page."""
    try:
        body = answer.json()
        return [kind.model_validate(item) for item in _items(body)]
    except ValueError as error:  # also of a document that does not fit
        raise not_ours(answer) from error


def _items(body: object) -> list[object]:
    items = body.get("items") if isinstance(body, dict) else body
    if not isinstance(items, list):
        raise ValueError("neither a list nor a page")
    return items


def not_ours(answer: httpx.Response) -> Unreachable:
    """The error for an answer that no trainer gives."""
    return Unreachable(
        f"{answer.url} answered what is no document of this API: {answer.text[:80]!r}; "
        "is another program on that port, or another version of Slipstream?"
    )


def check(answer: httpx.Response) -> None:
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
