"""
Messages between parent and child: bytes, each behind their length in four bytes.

A request begins with `BATCH` (one step of all cars, as columns of numbers) or is a JSON object. An
answer begins with `REWARDS` (numbers, then what was printed), `LOADED` (what was printed) or
`FAILURE` (a JSON object). Never pickle: what the child sends is made by foreign code. Imported by
both sides: standard library only.
"""

import json
import os
import struct
from typing import Any

LENGTH_BYTES = 4
MAX_MESSAGE_BYTES = 64 * 2**20

BATCH = b"B"
REWARDS, LOADED, FAILURE = b"R", b"L", b"F"

BATCH_HEAD = struct.Struct("=cII")
"""`BATCH`, how many calls, and how many cars are named (0 where call `k` is car `k`'s)."""

COUNT = struct.Struct("=I")
NUMBER_BYTES = 8

CODES = {"d": 8, "q": 8, "?": 1}
"""Bytes of a number in a column: a float, an int, a bool; codes as in `struct`."""
TEXT = "j"
"""Code of a column that is no array of numbers: a length in `COUNT`, then JSON."""

POINT_LISTS = frozenset({"waypoints", "objects_location"})
"""Keys whose value is a list of (x, y) tuples."""


def frame(body: bytes) -> bytes:
    """The message behind its length."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def to_json(value: Any) -> bytes:
    """As JSON; numpy scalars and arrays become numbers and lists."""
    return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def body_length(head: bytes, most: int = MAX_MESSAGE_BYTES) -> int:
    """
    The length that a frame's head announces.

    Raises:
        ValueError: more than any message has; the stream is not to be trusted.
    """
    length = int.from_bytes(head, "big")
    if length > most:
        raise ValueError(f"a message of {length} bytes")
    return length


def parse(body: bytes) -> dict[str, Any]:
    """
    The JSON object in a message.

    Raises:
        ValueError: no JSON object.
    """
    try:
        message = json.loads(body)
    except RecursionError as error:
        raise ValueError("a JSON value that is nested too deeply") from error
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message


def read_blocking(descriptor: int) -> bytes | None:
    """The next message; None at the end of the stream. Waits as long as it takes."""
    head = _read_exactly(descriptor, LENGTH_BYTES)
    return _read_exactly(descriptor, body_length(head)) if head else None


def write_blocking(descriptor: int, body: bytes) -> None:
    """Write all of the message."""
    rest = memoryview(frame(body))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_exactly(descriptor: int, count: int) -> bytes:
    """That many bytes, or none where the stream ends before."""
    parts = os.read(descriptor, count)
    while parts and len(parts) < count:
        part = os.read(descriptor, count - len(parts))
        parts = parts + part if part else b""
    return parts


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be sent to the reward function")
