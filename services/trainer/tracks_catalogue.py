"""The tracks that runs may name: the built-in ones and those that were imported."""

import asyncio
import hashlib
import re
from typing import Self

from libs.common.bus import Bus, Records
from libs.common.deepracer.run_spec import TRACK_PATTERN
from libs.common.errors import Conflict, InvalidInput, NotFound, TooLarge
from libs.common.events import ObjectRef, TrackRef, Value
from libs.common.objects import ObjectStore
from libs.common.tracks import Track, built_in_names, load_built_in, parse_npy

BUCKET = "tracks"
MAX_TRACK_BYTES = 5 * 2**20


class TrackEntry(Value):
    """One track as lists show it; lengths in metres."""

    track: TrackRef
    points: int
    length_m: float
    width_m: float  # the mean
    closed: bool

    @classmethod
    def of(cls, track: Track, source: ObjectRef | None) -> Self:
        """The entry of a track that was read; `source` is None for a built-in one."""
        return cls(
            track=TrackRef(name=track.name, source=source),
            points=len(track.centre),
            length_m=round(track.length_m, 3),
            width_m=round(float(track.widths_m.mean()), 3),
            closed=track.closed,
        )


class TracksCatalogue:
    """Names to tracks. An imported track never changes: runs refer to it by name."""

    def __init__(self, objects: ObjectStore, imported: Records[TrackEntry]) -> None:
        self._objects, self._imported = objects, imported

    @classmethod
    async def open(cls, bus: Bus, objects: ObjectStore) -> "TracksCatalogue":
        """The catalogue that all trainers share."""
        return cls(objects, await bus.records(BUCKET, TrackEntry))

    async def all(self) -> list[TrackEntry]:
        """Every track by name, the built-in ones first."""
        imported = sorted((await self._imported.all()).items())
        return [*await asyncio.to_thread(_built_in), *(entry for _, (entry, _) in imported)]

    async def resolve(self, name: str) -> TrackRef:
        """Where a track is to be had. Raises `NotFound` that names those there are."""
        if name in built_in_names():
            return TrackRef(name=name)
        try:
            return (await self._imported.get(name))[0].track
        except NotFound as error:
            known = ", ".join(entry.track.name for entry in await self.all())
            raise NotFound(f"no track {name!r}; there are {known}") from error

    async def resolve_input(self, name: str) -> TrackRef:
        """As `resolve`, for a name inside a request. Raises `InvalidInput`."""
        try:
            return await self.resolve(name)
        except NotFound as error:
            raise InvalidInput(str(error)) from error

    async def load(self, name: str) -> Track:
        """A track with its geometry. Raises `NotFound`."""
        reference = await self.resolve(name)
        if reference.source is None:
            return await asyncio.to_thread(load_built_in, name)
        data = await self._objects.get(reference.source)
        return await asyncio.to_thread(parse_npy, name, data)

    async def add(self, name: str, data: bytes) -> tuple[TrackEntry, bool]:
        """
        Import a track from the bytes of an `.npy` file.

        Returns the entry and whether it is new; the same content again is not.

        Raises:
            InvalidInput: a name that is not accepted, or no track.
            TooLarge: over the limit.
            Conflict: the name is taken by another track.
        """
        _check(name, data)
        key = f"tracks/{name}.npy"
        entry = await asyncio.to_thread(_read, name, data, self._objects.uri(key))
        new = await self._claim_name(name, entry)
        await self._objects.put(key, data)
        return entry, new

    async def _claim_name(self, name: str, entry: TrackEntry) -> bool:
        """The name first, the object second: two different tracks never share a key."""
        try:
            await self._imported.create(name, entry)
        except Conflict:
            if (await self._imported.get(name))[0] == entry:
                return False
            raise Conflict(
                f"a track {name!r} with other content exists already; choose another name"
            ) from None
        return True


def _check(name: str, data: bytes) -> None:
    if re.match(TRACK_PATTERN, name) is None:
        raise InvalidInput(f"track name {name!r}; accepted: {TRACK_PATTERN}")
    if name in built_in_names():
        raise Conflict(f"{name!r} is the name of a built-in track; choose another name")
    if len(data) > MAX_TRACK_BYTES:
        raise TooLarge(f"the track has {len(data):,} bytes; accepted: up to {MAX_TRACK_BYTES:,}")


def _read(name: str, data: bytes, uri: str) -> TrackEntry:
    digest = hashlib.sha256(data).hexdigest()
    source = ObjectRef(uri=uri, sha256=digest, size_bytes=len(data))
    return TrackEntry.of(parse_npy(name, data), source)


def _built_in() -> list[TrackEntry]:
    return [TrackEntry.of(load_built_in(name), None) for name in built_in_names()]
