"""
Closed parts of a journal: zstd files that can be read from anywhere, as `zstd -d` reads them too.

    <folder>/<run_id>/000000000000-000033554432.jsonl       just closed
    <folder>/<run_id>/000000000000-000033554432.jsonl.zst   compressed
    <folder>/<run_id>/000000000000-000033554432.away        its bytes are in the object store alone
    <folder>/<run_id>/000000000000-000033554432.ids         which events it holds

A name tells the bytes of the journal that the segment has, so that the folder is its own index. A
compressed one is in zstd's seekable format: independent frames of `FRAME_BYTES`, and in the end a
frame that decoders skip, with the sizes of all. `.ids` are sorted digests of events' ids; where the
file is missing it is made again.

Everything here blocks: call it in a thread.
"""

import hashlib
import os
import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np
import zstandard
from numpy.typing import NDArray

from libs.common.errors import InvalidInput

FRAME_BYTES = 1024**2
LEVEL = 3

PLAIN, COMPRESSED, AWAY, IDS = ".jsonl", ".jsonl.zst", ".away", ".ids"
"""What a segment's file ends in."""

_NAME = re.compile(r"(\d{12,})-(\d{12,})(\.jsonl|\.jsonl\.zst|\.away)")

# https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_HEAD, _ENTRY, _FOOT = struct.Struct("<II"), struct.Struct("<II"), struct.Struct("<IBI")


class Writable(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take them."""


class SegmentAway(Exception):
    """A segment has to be fetched from the object store before it can be read."""

    def __init__(self, segment: "Segment") -> None:
        super().__init__(segment.name)
        self.segment = segment


@dataclass(frozen=True, order=True)
class Segment:
    """One closed part of a journal."""

    start: int  # bytes of the journal before it
    end: int
    folder: Path
    suffix: str

    @property
    def name(self) -> str:
        """Without what it ends in."""
        return f"{self.start:012}-{self.end:012}"

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / f"{self.name}{self.suffix}"

    @property
    def compressed(self) -> Path:
        """Where it lies when it is compressed."""
        return self.folder / f"{self.name}{COMPRESSED}"

    def lines(self, offset: int = 0) -> Iterator[bytes]:
        """
        Whole lines, from this byte of the journal on, with their ends.

        Raises:
            SegmentAway: it is not here.
            OSError: it is not here any more, as it has just been compressed.
        """
        skipped = max(0, offset - self.start)
        if self.suffix == AWAY:
            raise SegmentAway(self)
        if self.suffix == PLAIN:
            with self.path.open("rb") as file:
                file.seek(skipped)
                yield from file
            return
        rest = b""
        for block in read_from(self.path, skipped):
            *whole, rest = (rest + block).split(b"\n")
            yield from (line + b"\n" for line in whole)


def segments_of(folder: Path) -> list[Segment]:
    """All segments of a journal, oldest first; of what is there in two forms the better one."""
    best: dict[tuple[int, int], Segment] = {}
    ranks = {AWAY: 0, PLAIN: 1, COMPRESSED: 2}
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            if (found := _NAME.fullmatch(path.name)) is None:
                continue
            segment = Segment(int(found[1]), int(found[2]), folder, found[3])
            known = best.get(place := (segment.start, segment.end))
            if known is None or ranks[known.suffix] < ranks[segment.suffix]:
                best[place] = segment
    return [best[place] for place in sorted(best)]


def close_segment(path: Path, folder: Path, start: int, end: int, ids: Iterable[str]) -> Segment:
    """
    Make a segment of the open part of a journal, in one step that a crash can't cut in two.

    Raises:
        OSError: the disk fails; the open part stays as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    segment = Segment(start, end, folder, PLAIN)
    write_ids(segment, ids)
    path.rename(segment.path)
    for changed in (folder, path.parent):
        sync_folder(changed)
    return segment


def compress(segment: Segment) -> Segment:
    """
    Compress a segment that was just closed.

    Raises:
        OSError: the disk fails; the segment stays as it is.
    """
    unfinished = segment.compressed.with_suffix(".part")
    with segment.path.open("rb") as source, unfinished.open("wb") as target:
        write_seekable(iter(lambda: source.read(FRAME_BYTES), b""), target)
        target.flush()
        os.fsync(target.fileno())
    unfinished.rename(segment.compressed)
    sync_folder(segment.folder)
    segment.path.unlink()
    return Segment(segment.start, segment.end, segment.folder, COMPRESSED)


def leave(segment: Segment) -> Segment:
    """Give up the bytes of a compressed segment that the object store has."""
    away = Segment(segment.start, segment.end, segment.folder, AWAY)
    away.path.touch()
    sync_folder(segment.folder)
    segment.path.unlink()
    return away


def come_back(segment: Segment, data: bytes) -> Segment:
    """
    Take the bytes of a segment that is away.

    Raises:
        InvalidInput: they are not those of this segment.
    """
    unfinished = segment.compressed.with_suffix(".part")
    unfinished.write_bytes(data)
    size = sum(plain for _, plain in frames_of(unfinished))
    if size != segment.end - segment.start:
        unfinished.unlink()
        raise InvalidInput(f"segment {segment.name} came back with {size} bytes")
    unfinished.rename(segment.compressed)
    segment.path.unlink(missing_ok=True)
    return Segment(segment.start, segment.end, segment.folder, COMPRESSED)


# -- which events a segment holds ------------------------------------------------------------------


def digests(ids: Iterable[str]) -> NDArray[np.uint64]:
    """Eight bytes of a digest of each id, in their order."""
    joined = b"".join(hashlib.blake2b(each.encode(), digest_size=8).digest() for each in ids)
    return np.frombuffer(joined, np.uint64)


def write_ids(segment: Segment, ids: Iterable[str]) -> NDArray[np.uint64]:
    """Write which events a segment holds, and return it."""
    held = np.sort(digests(ids))
    path = segment.folder / f"{segment.name}{IDS}"
    unfinished = path.with_suffix(".part-ids")
    with unfinished.open("wb") as file:
        file.write(held.tobytes())
        os.fsync(file.fileno())
    unfinished.rename(path)
    return held


def read_ids(segment: Segment) -> NDArray[np.uint64] | None:
    """Which events a segment holds; None where it was not written down."""
    try:
        return np.fromfile(segment.folder / f"{segment.name}{IDS}", np.uint64)
    except FileNotFoundError:
        return None


# -- zstd's seekable format ------------------------------------------------------------------------


def write_seekable(blocks: Iterable[bytes], target: Writable) -> None:
    """A frame for each block, and the table that tells where they are."""
    compressor, table = zstandard.ZstdCompressor(level=LEVEL), []
    for block in blocks:
        frame = compressor.compress(block)
        target.write(frame)
        table.append(_ENTRY.pack(len(frame), len(block)))
    entries = b"".join(table)
    target.write(_HEAD.pack(_SKIPPABLE, len(entries) + _FOOT.size))
    target.write(entries + _FOOT.pack(len(table), 0, _SEEKABLE))


def frames_of(path: Path) -> list[tuple[int, int]]:
    """
    Bytes of each frame, compressed and plain.

    Raises:
        InvalidInput: it is no seekable zstd file.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _FOOT.size))
        foot = file.read(_FOOT.size)
        count, _, magic = _FOOT.unpack(foot) if len(foot) == _FOOT.size else (0, 0, 0)
        length = count * _ENTRY.size
        if magic != _SEEKABLE or length + _FOOT.size + _HEAD.size > size:
            raise InvalidInput(f"{path.name} is no seekable zstd file, or it was cut short")
        file.seek(size - _FOOT.size - length)
        return list(_ENTRY.iter_unpack(file.read(length)))


def read_from(path: Path, offset: int) -> Iterator[bytes]:
    """The plain bytes from this one on, block by block."""
    frames, decompressor = frames_of(path), zstandard.ZstdDecompressor()
    starts = [0, *accumulate(plain for _, plain in frames)]
    places = [0, *accumulate(packed for packed, _ in frames)]
    first = min(max(0, bisect_right(starts, offset) - 1), len(frames))
    with path.open("rb") as file:
        file.seek(places[first])
        for number in range(first, len(frames)):
            block = decompressor.decompress(file.read(frames[number][0]), frames[number][1])
            yield block[max(0, offset - starts[number]) :]


def sync_folder(path: Path) -> None:
    """What was renamed in it is on the disk when this returns."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
