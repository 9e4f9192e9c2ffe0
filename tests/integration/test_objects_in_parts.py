"""Objects that are sent and fetched in parts, on the real store."""

import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.errors import InvalidInput, NotFound
from libs.common.multipart import PART_BYTES
from libs.common.objects import ObjectStore

SIZES = [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 12345]


def noise(size_bytes: int) -> bytes:
    return random.Random(size_bytes).randbytes(size_bytes)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def in_parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PART_BYTES):
        yield data[start : start + PART_BYTES]


@pytest.mark.parametrize("size_bytes", SIZES)
async def test_a_file_comes_back_as_it_was_put(
    objects: ObjectStore, tmp_path: Path, size_bytes: int
) -> None:
    data, path = noise(size_bytes), tmp_path / "file"
    path.write_bytes(data)
    reference = await objects.put_file("a/b", path)
    assert (reference.sha256, reference.size_bytes) == (digest(data), size_bytes)
    assert await objects.head("a/b") == reference
    assert await objects.get(reference) == data
    parts = [part async for part in objects.parts("a/b", size_bytes)]
    assert b"".join(parts) == data
    assert max(map(len, parts), default=0) <= PART_BYTES


async def test_the_first_bytes_of_a_growing_file_can_be_put(
    objects: ObjectStore, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"whole line\ntorn")
    reference = await objects.put_file("a", path, 11)
    assert await objects.get(reference) == b"whole line\n"


@pytest.mark.parametrize("size_bytes", [10, PART_BYTES + 10])
async def test_a_stream_that_is_not_what_was_announced_changes_nothing(
    objects: ObjectStore, size_bytes: int
) -> None:
    before = await objects.put("a", b"before")
    with pytest.raises(InvalidInput, match=r"a has SHA-256 \w+, but 00 was announced"):
        await objects.put_parts("a", in_parts(noise(size_bytes)), "00", size_bytes)
    assert await objects.head("a") == before


async def test_a_listing_tells_keys_sizes_and_what_changes_with_the_content(
    objects: ObjectStore,
) -> None:
    for key in ("a/1", "a/2", "b/1"):
        await objects.put(key, b"one")
    first = [item async for item in objects.listing("a/")]
    assert [(item.key, item.size_bytes) for item in first] == [("a/1", 3), ("a/2", 3)]
    await objects.put("a/1", b"two")
    second = [item async for item in objects.listing("a/")]
    assert [one.etag == other.etag for one, other in zip(first, second, strict=True)] == [
        False,
        True,
    ]


async def test_parts_of_what_is_not_there_are_not_found(objects: ObjectStore) -> None:
    with pytest.raises(NotFound):
        [part async for part in objects.parts("nothing", 10)]
