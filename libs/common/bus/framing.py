"""A message with raw bytes behind it: length of the JSON, JSON, bytes."""

import struct
from typing import TypeVar

from libs.common.errors import InvalidInput
from libs.common.events import Message, decode_as

M = TypeVar("M", bound=Message)


def join(message: Message, blob: bytes) -> bytes:
    head = message.encode()
    return struct.pack(">I", len(head)) + head + blob


def split(message_class: type[M], data: bytes) -> tuple[M, bytes]:
    if len(data) < 4 or len(data) < (end := 4 + struct.unpack_from(">I", data)[0]):
        raise InvalidInput(f"{message_class.type_name}: not a framed message: {data[:40]!r}")
    return decode_as(message_class, data[4:end]), data[end:]
