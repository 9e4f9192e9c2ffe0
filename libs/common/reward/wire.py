"""
Messages between parent and child: JSON, each behind its length in four bytes.

Never pickle: what the child sends is made by foreign code. Imported by both sides: standard library
only.
"""

import json
import os
from typing import Any

LENGTH_BYTES = 4
MAX_MESSAGE_BYTES = 64 * 2**20


def frame(message: dict[str, Any]) -> bytes:
    """The message as bytes; numpy scalars and arrays become numbers and lists."""
    body = json.dumps(message, default=_plain, separators=(",", ":")).encode()
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def body_length(head: bytes) -> int:
    """
    The length that a frame's head announces.

    Raises:
        ValueError: more than any message has; the stream is not to be trusted.
    """
    length = int.from_bytes(head, "big")
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return length


def parse(body: bytes) -> dict[str, Any]:
    """
    The message in a frame's body.

    Raises:
        ValueError: no JSON object.
    """
    message = json.loads(body)
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message


def read_blocking(descriptor: int) -> dict[str, Any] | None:
    """The next message; None at the end of the stream. Waits as long as it takes."""
    head = _read_exactly(descriptor, LENGTH_BYTES)
    body = _read_exactly(descriptor, body_length(head)) if head else b""
    return parse(body) if body else None


def write_blocking(descriptor: int, message: dict[str, Any]) -> None:
    """Write all of the message."""
    rest = memoryview(frame(message))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_exactly(descriptor: int, count: int) -> bytes:
    """That many bytes, or none where the stream ends before."""
    parts = bytearray()
    while len(parts) < count:
        part = os.read(descriptor, count - len(parts))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be sent to the reward function")
