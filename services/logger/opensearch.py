"""Events into OpenSearch or Elasticsearch: one document each, by the bulk API."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

from libs.common.errors import StartupFailed
from libs.common.log import get_log
from services.logger.forwarding import Forwarded, post

NDJSON = "application/x-ndjson"
ALREADY_THERE = 409

BulkItem = dict[str, Any]


class OpenSearch:
    """
    A client of `<url>/_bulk`.

    Events go into an index for each of their types, `<index>-evt-run-ended-v1`; an event's id is
    its document's, so that one that comes twice is there once.
    """

    name = "opensearch"

    def __init__(self, http: httpx.AsyncClient, index: str) -> None:
        self._http, self._index, self._log = http, index, get_log()

    async def send(self, events: Sequence[Forwarded]) -> None:
        """Create the documents that are not there; one that the index refuses is told and lost."""
        body = b"".join(self._lines(events))
        answer = await post(self._http, "/_bulk", body, NDJSON)
        document = answer.json()
        if not document.get("errors"):
            return
        for item in document.get("items", []):
            result: BulkItem = item.get("create", {})
            if result.get("status", 200) >= 400 and result["status"] != ALREADY_THERE:
                self._log.warning(
                    "an event was not taken",
                    target=self.name,
                    event_id=result.get("_id"),
                    reason=str(result.get("error"))[:300],
                )

    def _lines(self, events: Sequence[Forwarded]) -> Iterator[bytes]:
        for event in events:
            index = f"{self._index}-{event.type.replace('.', '-').replace('_', '-')}"
            yield json.dumps({"create": {"_index": index, "_id": event.id}}).encode() + b"\n"
            document = {"@timestamp": event.at.isoformat(), **event.document}
            if isinstance(fields := document.get("fields"), dict):
                # One name may have a number here and a text there, which an index does not take.
                document["fields"] = {key: _text(value) for key, value in fields.items()}
            yield json.dumps(document).encode() + b"\n"


class AwsSignature(httpx.Auth):
    """Signs requests for Amazon's OpenSearch, with the machine's own credentials."""

    requires_request_body = True

    def __init__(self, region: str) -> None:
        self._credentials, self._region = Session().get_credentials(), region
        if self._credentials is None:
            raise StartupFailed(f"no AWS credentials on this machine to sign for {region!r} with")

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        """Add the headers of the signature."""
        signed = AWSRequest(
            method=request.method,
            url=str(request.url),
            data=request.content,
            headers={"Content-Type": request.headers["Content-Type"], "Host": request.url.host},
        )
        SigV4Auth(self._credentials, "es", self._region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        yield request


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
