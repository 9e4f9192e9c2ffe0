"""Where track files come from: a file, a folder, an archive, an address."""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import httpx

from libs.common.errors import InvalidInput, NotFound, TooLarge, Unavailable

MAX_TRACK_BYTES = 5 * 2**20
"""The trainer accepts no more either; the longest track of the community has 30 KB."""

MAX_DOWNLOAD_BYTES = 100 * 2**20
MAX_TRACKS = 2_000
DOWNLOAD_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
NAME_LENGTH = 128


@dataclass(frozen=True)
class TrackSource:
    """One `.npy` file, which may turn out to be unreadable once it is read."""

    origin: str
    read: Callable[[], bytes]

    @property
    def name(self) -> str:
        """
        The name under which it is imported: `Oval 2 (new).npy` as `Oval_2_new`.

        Raises:
            InvalidInput: nothing of the file's name is left.
        """
        file = PurePosixPath(self.origin).name
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", file.removesuffix(".npy"))
        name = re.sub(r"\.{2,}", ".", plain)[:NAME_LENGTH].strip("._-")
        if not name:
            raise InvalidInput(f"{file!r} makes no name for a track; rename it, as oval.npy")
        return name


def find_sources(where: str) -> list[TrackSource]:
    """
    The track files that a path or an http(s) address means, in the order of their names.

    Raises:
        NotFound: there is no such file or folder, or no `.npy` file in it.
        InvalidInput, TooLarge, Unavailable: the address or the archive can't be read.
    """
    if "://" in where:
        sources = _in_download(where)
    elif (path := Path(where)).is_dir():
        sources = [source_of_file(file) for file in sorted(path.rglob("*.npy"))]
    elif path.suffix == ".zip" and path.is_file():
        sources = _in_archive(where, path.read_bytes())
    else:
        sources = [source_of_file(path)]
    if not sources:
        raise NotFound(f"{where} holds no .npy file")
    if len(sources) > MAX_TRACKS:
        raise TooLarge(f"{where} holds {len(sources)} .npy files; accepted: up to {MAX_TRACKS}")
    return sources


def source_of_file(path: Path) -> TrackSource:
    """A file of this machine."""
    return TrackSource(path.as_posix(), partial(_read_file, path))


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise NotFound(f"{path} is no file; a track is named, or is a .npy file of waypoints")
    _refuse_size(str(path), path.stat().st_size)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} can't be read: {error.strerror}") from error


def _in_download(url: str) -> list[TrackSource]:
    data = _download(url)
    if zipfile.is_zipfile(io.BytesIO(data)):
        return _in_archive(url, data)
    path = httpx.URL(url).path
    return [TrackSource(path if PurePosixPath(path).name else url, lambda: data)]


def _download(url: str) -> bytes:
    """What an address answers, as far as it is not too large."""
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"{url!r} is no address that tracks are fetched from: http or https")
    data = bytearray()
    try:
        with httpx.stream("GET", url, timeout=DOWNLOAD_TIMEOUT, follow_redirects=True) as answer:
            if not answer.is_success:
                raise Unavailable(f"{url} answered {answer.status_code} {answer.reason_phrase}")
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > MAX_DOWNLOAD_BYTES:
                    raise TooLarge(f"{url} has over {MAX_DOWNLOAD_BYTES:,} bytes")
    except httpx.InvalidURL as error:
        raise InvalidInput(f"{url!r} is no address: {error}") from error
    except httpx.HTTPError as error:
        raise Unavailable(f"{url} could not be fetched: {error or type(error).__name__}") from error
    return bytes(data)


def _in_archive(where: str, data: bytes) -> list[TrackSource]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise InvalidInput(f"{where} is no zip archive: {error}") from error
    entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
    # Archives from macOS carry a shadow of each file.
    chosen = [e for e in entries if e.filename.endswith(".npy") and "__MACOSX" not in e.filename]
    return [TrackSource(entry.filename, partial(_read_entry, archive, entry)) for entry in chosen]


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    _refuse_size(entry.filename, entry.file_size)
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise InvalidInput(f"{entry.filename} can't be unpacked: {error}") from error


def _refuse_size(name: str, size_bytes: int) -> None:
    if size_bytes > MAX_TRACK_BYTES:
        raise TooLarge(f"{name} has {size_bytes:,} bytes; accepted: up to {MAX_TRACK_BYTES:,}")
