"""`slipstream tracks` without a stack: files, folders, archives and addresses."""

import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from libs.cli.output import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE
from libs.cli.track_sources import TrackSource, find_sources, source_of_file
from libs.common.errors import InvalidInput, NotFound, TooLarge, Unavailable
from libs.common.tracks import load_built_in, parse_npy
from libs.common.tracks.exports import export
from tests.servers import free_port

NOBODY = {"DR_API_URL": f"http://127.0.0.1:{free_port()}"}


def slipstream(*words: object, code: int = EXIT_OK) -> str:
    """What `slipstream tracks …` prints; the exit code is as told."""
    command = [sys.executable, "-m", "libs.cli", "tracks", *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, env=NOBODY, check=False)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr if code else ended.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tracks, one below, and what is no track."""
    inside = tmp_path / "mine"
    (inside / "more").mkdir(parents=True)
    (inside / "b loop.npy").write_bytes(load_built_in("loop").to_npy())
    (inside / "more" / "a-oval.npy").write_bytes(load_built_in("oval").to_npy())
    np.save(inside / "broken.npy", np.full((9, 6), np.nan))
    (inside / "notes.txt").write_text("no track")
    return inside


@pytest.fixture
def web(folder: Path) -> Iterator[str]:
    """The folder's address on a real server."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_folder_is_checked_whole_and_one_bad_file_is_exit_code_1(folder: Path) -> None:
    told: list[dict[str, Any]] = json.loads(
        slipstream("check", folder, "--json", code=EXIT_FAILED).splitlines()[0]
    )
    assert [(item["name"], item["outcome"]) for item in told] == [
        ("b_loop", "sound"),
        ("", "refused"),
        ("a-oval", "sound"),
    ]
    assert "row 0, column 0 is nan" in told[1]["problems"][0]
    shown = slipstream("check", folder, code=EXIT_FAILED)
    assert "broken.npy" in shown
    assert "3 files: 2 sound, 1 refused" in shown


def test_a_track_is_reversed_mirrored_exported_and_shown_without_a_stack(tmp_path: Path) -> None:
    back, mirrored, drawn = (tmp_path / f"out.{kind}" for kind in ("back.npy", "m.npy", "svg"))
    slipstream("reverse", "comb", "--out", back)
    slipstream("mirror", back, "--name", "both", "--out", mirrored)
    track = parse_npy("both", mirrored.read_bytes())
    assert track.centre == pytest.approx(load_built_in("comb").reversed().mirrored().centre)
    slipstream("export", "comb", "--out", drawn)
    assert drawn.read_bytes() == export(load_built_in("comb"), "svg")
    derived = tmp_path / "derived.npy"
    slipstream("derive", drawn, "--length", 31.65, "--width", 0.7, "--out", derived)
    assert parse_npy("derived", derived.read_bytes()).length_m == pytest.approx(31.65)
    picture = tmp_path / "back.png"
    shown = json.loads(slipstream("show", back, "--preview", picture, "--json"))
    assert shown["direction"] == "clockwise"
    assert shown["notes"] == ["it runs clockwise, as given"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_can_not_be_written_or_read_is_said(tmp_path: Path) -> None:
    assert "accepted: npy, json, svg, png" in slipstream(
        "export", "comb", "--out", tmp_path / "x.dxf", code=EXIT_FAILED
    )
    assert "can't be written" in slipstream(
        "export", "comb", "--out", tmp_path / "none" / "x.svg", code=EXIT_FAILED
    )
    assert "is no file" in slipstream("show", tmp_path / "none.npy", code=EXIT_FAILED)


def test_what_needs_the_stack_says_so_where_there_is_none(folder: Path) -> None:
    slipstream("show", "not_built_in", code=EXIT_UNREACHABLE)
    slipstream("import", folder, code=EXIT_UNREACHABLE)
    slipstream(code=EXIT_UNREACHABLE)


def test_an_archive_is_read_without_the_shadows_that_macos_adds(folder: Path) -> None:
    packed = folder / "tracks.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(folder / "b loop.npy", "deep/b loop.npy")
        archive.writestr("__MACOSX/deep/._b loop.npy", b"shadow")
        archive.writestr("huge.npy", bytes(6_000_000))
    first, second = find_sources(str(packed))
    assert first.name == "b_loop"
    assert first.read() == load_built_in("loop").to_npy()
    with pytest.raises(TooLarge, match="6,000,000 bytes; accepted: up to 5,242,880"):
        second.read()


def test_addresses_are_fetched_files_and_archives_alike(folder: Path, web: str) -> None:
    with zipfile.ZipFile(folder / "tracks.zip", "w") as archive:
        archive.write(folder / "b loop.npy", "b loop.npy")
    for address in (f"{web}/b%20loop.npy", f"{web}/tracks.zip"):
        (source,) = find_sources(address)
        assert (source.name, source.read()) == ("b_loop", load_built_in("loop").to_npy())


def test_addresses_that_lead_nowhere_are_refused_with_the_reason(web: str) -> None:
    with pytest.raises(Unavailable, match=r"none.npy answered 404"):
        find_sources(f"{web}/none.npy")
    with pytest.raises(Unavailable, match="could not be fetched"):
        find_sources(f"{NOBODY['DR_API_URL']}/x.npy")
    with pytest.raises(InvalidInput, match="http or https"):
        find_sources("ftp://example.org/x.npy")
    with pytest.raises(InvalidInput, match="is no address"):
        find_sources("http://bad:port/x.npy")


def test_places_without_tracks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no .npy file"):
        find_sources(str(tmp_path))
    with pytest.raises(NotFound, match="is no file"):
        find_sources(str(tmp_path / "none.npy"))[0].read()
    (tmp_path / "bad.zip").write_bytes(b"PK")
    with pytest.raises(InvalidInput, match="is no zip archive"):
        find_sources(str(tmp_path / "bad.zip"))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("tracks/reinvent_base.npy", "reinvent_base"),
        ("2022_reinvent_champ.npy", "2022_reinvent_champ"),
        ("Oval 2 (new).npy", "Oval_2_new"),
        ("a..b.npy", "a.b"),
        (f"{'x' * 200}.npy", "x" * 128),
    ],
)
def test_a_track_is_imported_under_its_files_name(file: str, name: str) -> None:
    assert source_of_file(Path(file)).name == name


def test_a_file_whose_name_is_no_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match="makes no name"):
        _ = TrackSource("???.npy", bytes).name
