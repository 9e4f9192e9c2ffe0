"""The tracks that runs may name: the built-in ones and those that were imported."""

import asyncio
import hashlib
import re
from typing import Self

from libs.common.bus import Bus, Records
from libs.common.deepracer import layout
from libs.common.deepracer.run_spec import TRACK_PATTERN
from libs.common.errors import Conflict, InvalidInput, NotFound, TooLarge
from libs.common.events import ObjectRef, TrackRef, Value
from libs.common.objects import ObjectStore
from libs.common.tracks import Track, built_in_names, load_built_in, parse_npy, read_npy
from libs.common.tracks.facts import find_facts

BUCKET = "tracks"
MAX_TRACK_BYTES = 5 * 2**20


class TrackEntry(Value):
    """One track as lists show it; lengths in metres."""

    track: TrackRef
    points: int
    length_m: float
    width_m: float  # the mean
    closed: bool
    notes: tuple[str, ...] = ()  # what was unusual in the imported file

    @classmethod
    def of(cls, track: Track, source: ObjectRef | None, notes: tuple[str, ...] = ()) -> Self:
        """The entry of a track that was read; `source` is None for a built-in one."""
        facts = find_facts(track)
        return cls(
            track=TrackRef(name=track.name, source=source),
            points=facts.points,
            length_m=facts.length_m,
            width_m=facts.width_mean_m,
            closed=facts.closed,
            notes=notes,
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
        return (await self.find(name)).track

    async def find(self, name: str) -> TrackEntry:
        """The entry of a track. Raises `NotFound` that names those there are."""
        if name in built_in_names():
            return TrackEntry.of(await asyncio.to_thread(load_built_in, name), None)
        try:
            if not _is_name(name):
                raise NotFound(f"{name!r} is no name of a track")
            return (await self._imported.get(name))[0]
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

    async def add(
        self, name: str, data: bytes, width_m: float | None = None
    ) -> tuple[TrackEntry, bool]:
        """
        Import a track from the bytes of an `.npy` file, as `read_npy` takes it.

        What is stored is the whole road in six columns, whatever the file was. Returns the entry
        and whether it is new; the same road again is not.

        Raises:
            InvalidInput: a name that is not accepted, or no track.
            TooLarge: over the limit.
            Conflict: the name is taken by another track.
        """
        _check(name, data)
        key = layout.imported_track(name)
        entry, road = await asyncio.to_thread(_read, name, data, width_m, self._objects.uri(key))
        new = await self._claim_name(name, entry)
        await self._objects.put(key, road)
        return entry, new

    async def delete(self, name: str, users: list[str]) -> None:
        """
        Forget an imported track, unless there are users of it.

        Raises:
            NotFound: no track has that name. Conflict: it is built in, or used.
        """
        if name in built_in_names():
            raise Conflict(f"{name!r} is a built-in track; only imported ones can be deleted")
        await self.find(name)
        if users:
            raise Conflict(f"track {name!r} is referred to by {', '.join(users[:5])}")
        await self._imported.delete(name)
        await self._objects.delete(layout.imported_track(name))

    async def _claim_name(self, name: str, entry: TrackEntry) -> bool:
        """The name first, the object second: two different tracks never share a key."""
        try:
            await self._imported.create(name, entry)
        except Conflict:
            there = (await self._imported.get(name))[0]
            if there.track == entry.track:
                return False
            raise Conflict(
                f"another track {name!r} exists already, {there.length_m} m long; accepted under "
                "this name is only the same road again: choose another name"
            ) from None
        return True


def _check(name: str, data: bytes) -> None:
    if not _is_name(name):
        raise InvalidInput(
            f"track name {name!r}; accepted: {TRACK_PATTERN} without .. or a dot at the end"
        )
    if name in built_in_names():
        raise Conflict(f"{name!r} is the name of a built-in track; choose another name")
    if len(data) > MAX_TRACK_BYTES:
        raise TooLarge(f"the track has {len(data):,} bytes; accepted: up to {MAX_TRACK_BYTES:,}")


def _is_name(name: str) -> bool:
    # Dots separate words on the bus, which are never empty.
    fits = re.fullmatch(TRACK_PATTERN, name) is not None
    return fits and ".." not in name and not name.endswith(".")


def _read(name: str, data: bytes, width_m: float | None, uri: str) -> tuple[TrackEntry, bytes]:
    """The entry of a file, and the six columns that are stored."""
    file = read_npy(name, data, width_m)
    road = file.track.to_npy()
    source = ObjectRef(uri=uri, sha256=hashlib.sha256(road).hexdigest(), size_bytes=len(road))
    return TrackEntry.of(file.track, source, file.notes), road


def _built_in() -> list[TrackEntry]:
    return [TrackEntry.of(load_built_in(name), None) for name in built_in_names()]
