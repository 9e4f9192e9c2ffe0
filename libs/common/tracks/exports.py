"""A track as a file: DeepRacer's table, JSON, a drawing, a picture."""

import json
from collections.abc import Callable
from dataclasses import asdict
from xml.sax.saxutils import escape

import numpy as np

from libs.common.errors import InvalidInput
from libs.common.tracks.facts import find_facts
from libs.common.tracks.preview import render_preview
from libs.common.tracks.track import FloatArray, Track

UNITS_PER_M = 100.0  # a drawing's unit is a centimetre


def export(track: Track, kind: str) -> bytes:
    """
    The bytes of a file of the kind `npy`, `json`, `svg` or `png`.

    Raises:
        InvalidInput: another kind.
    """
    write = KINDS.get(kind)
    if write is None:
        raise InvalidInput(f"a track can't be written as {kind!r}; accepted: {', '.join(KINDS)}")
    return write(track)


def as_document(track: Track) -> dict[str, object]:
    """Its numbers and its lines as [x, y] in metres; a closed one does not repeat its first."""
    lines = {line: getattr(track, line).round(4).tolist() for line in ("centre", "inner", "outer")}
    return {**asdict(find_facts(track)), **lines}


def _as_json(track: Track) -> bytes:
    return json.dumps(as_document(track)).encode()


def _as_svg(track: Track) -> bytes:
    """Borders as lines, the centre line dashed: what `derive_track` reads."""
    x_min, y_min, x_max, y_max = np.array(track.bounds_m) * UNITS_PER_M
    paths = [
        f'<path id="{line}" fill="none" stroke="{colour}" stroke-width="4"{dashes} '
        f'd="{_path(getattr(track, line), track.closed)}"/>'
        for line, colour, dashes in (
            ("inner", "black", ""),
            ("outer", "black", ""),
            ("centre", "orange", ' stroke-dasharray="20 20"'),
        )
    ]
    view = f"{x_min - 10:.2f} {-y_max - 10:.2f} {x_max - x_min + 20:.2f} {y_max - y_min + 20:.2f}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}">',
        f"<title>{escape(track.name)}: {track.length_m:.3f} m</title>",
        *paths,
        "</svg>\n",
    ]
    return "\n".join(lines).encode()


def _path(line: FloatArray, closed: bool) -> str:
    points = line * (UNITS_PER_M, -UNITS_PER_M)
    return "M" + " ".join(f"{x:.3f},{y:.3f}" for x, y in points) + (" Z" if closed else "")


KINDS: dict[str, Callable[[Track], bytes]] = {
    "npy": Track.to_npy,
    "json": _as_json,
    "svg": _as_svg,
    "png": render_preview,
}
"""How each kind of file is written."""
