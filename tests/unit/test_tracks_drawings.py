"""Tracks from drawings, and as drawings."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from libs.common.errors import InvalidInput
from libs.common.tracks import built_in_names, load_built_in
from libs.common.tracks.drawings import derive_track
from libs.common.tracks.exports import export
from libs.common.tracks.facts import direction_of

ROUND = 'd="M 10,50 A 40 40 0 1 1 90,50 A 40 40 0 1 1 10,50 Z"'


def drawing(body: str, style: str = "") -> bytes:
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 300">'
    return f"{head}<style>{style}</style>{body}</svg>".encode()


def dashed(path: str = ROUND, more: str = "") -> str:
    return f'<path fill="none" stroke-dasharray="3 3" {more} {path}/>'


@given(st.sampled_from(built_in_names()), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_track_survives_its_drawing(name: str, mirror: bool) -> None:
    track = load_built_in(name)
    width_m = float(np.hypot(*(track.inner[0] - track.outer[0])))
    derived = derive_track(
        name, export(track, "svg"), track.length_m, width_m, len(track.centre), mirror
    ).track
    expected = track.mirrored() if mirror else track
    assert derived.length_m == pytest.approx(track.length_m, abs=1e-9)
    assert derived.widths_m == pytest.approx(width_m, abs=0.01)
    assert derived.centre - derived.centre[0] == pytest.approx(
        expected.centre - expected.centre[0], abs=0.02
    )


def test_a_drawing_gives_the_width_that_was_asked_for_everywhere() -> None:
    body = dashed() + '<path d="M 0 0 L 5 5"/><circle r="3"/>'
    track = derive_track("ring", drawing(body), 18.45, 0.76).track
    assert track.closed
    assert len(track.centre) == 200
    assert track.length_m == pytest.approx(18.45)
    assert track.widths_m == pytest.approx(0.76, abs=1e-3)
    assert np.hypot(*(track.inner - track.outer).T) == pytest.approx(0.76, abs=1e-3)
    assert track.bounds_m[:2] == pytest.approx((0.5, 0.5))


def test_transforms_of_groups_and_paths_count() -> None:
    turned = dashed(more='transform="rotate(90)"')
    body = f'<g transform="translate(9 9) scale(3 1)">{turned}</g>'
    x_min, y_min, x_max, y_max = derive_track("oval", drawing(body), 20, 0.6).track.bounds_m
    assert (x_max - x_min - 0.6) / (y_max - y_min - 0.6) == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize(
    ("body", "style"),
    [
        (f'<path style="stroke-dasharray: 2,2" {ROUND}/>', ""),
        (f'<path class="middle" {ROUND}/>', ".middle { stroke-dasharray: 2 2 }"),
        (f'<g stroke-dasharray="2"><path {ROUND}/></g>', ""),
        ('<circle r="40" stroke-dasharray="2"/>', ""),
    ],
)
def test_however_the_dashes_are_written_they_mark_the_centre_line(body: str, style: str) -> None:
    track = derive_track("ring", drawing(body, style), 18, 0.8).track
    assert track.widths_m == pytest.approx(0.8, abs=0.002)


def test_a_drawing_runs_as_its_path_does_and_mirrored_the_other_way() -> None:
    ring = drawing(dashed())
    plain, mirrored = (derive_track("ring", ring, 18, 0.8, mirror=m).track for m in (False, True))
    assert direction_of(plain) == "clockwise"
    assert direction_of(mirrored) == "counterclockwise"


def test_an_open_path_is_an_open_track() -> None:
    track = derive_track("bow", drawing(dashed('d="M 0 0 Q 50 40 100 0"')), 10, 0.8).track
    assert not track.closed
    assert track.length_m == pytest.approx(10)


def test_a_corner_that_is_sharper_than_the_road_is_wide_folds_no_border() -> None:
    corner = dashed('d="M 0 0 L 100 0 L 100 60 L 40 50 Z"')
    track = derive_track("kite", drawing(corner), 20, 1.067).track
    assert track.widths_m.min() > 1.06


@pytest.mark.parametrize(
    ("svg", "told"),
    [
        (b"", "can't be read as SVG"),
        (b"\x89PNG", "can't be read as SVG"),
        (b"<svg", "can't be read as SVG"),
        (drawing(""), "0 of the drawing's 0 paths are dashed; exactly one must"),
        (drawing(f"<path {ROUND}/>"), "0 of the drawing's 1 paths"),
        (drawing(f'<path stroke-dasharray="none" {ROUND}/>'), "0 of the drawing's 1 paths"),
        (drawing(dashed() + dashed()), "2 of the drawing's 2 paths"),
        (drawing(dashed('d="M 0 0"')), "0 pieces"),
        (drawing(dashed('d="M 0 0 L 9 9 M 20 20 L 30 30"')), "2 pieces"),
        (drawing(dashed('d="M 0 0 L 9 9 L 0 0 Z"')), "has no room"),
        (drawing(dashed('d="M 0 0 L 100 100 L 100 0 L 0 100 Z"')), "centre line crosses itself"),
    ],
)
def test_a_drawing_of_no_track_is_refused(svg: bytes, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        derive_track("mine", svg, 18.45, 0.76)


def test_every_option_that_is_refused_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        derive_track("mine", drawing(dashed()), -5, 0, 3)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("name", built_in_names())
def test_every_built_in_track_has_a_preview_that_shows_road_and_start(name: str) -> None:
    image = Image.open(io.BytesIO(export(load_built_in(name), "png"))).convert("RGB")
    assert image.width <= 641
    colours = np.array([colour for _, colour in image.getcolors(2**24) or []])
    for wanted in ("#2f6b3f", "#3a3d42", "#f4f4f0", "#e5484d"):  # field, road, border, start
        assert np.abs(colours - ImageColor.getrgb(wanted)).sum(axis=1).min() < 40, wanted


def test_a_track_is_exported_as_numbers_with_its_lines() -> None:
    document = json.loads(export(load_built_in("loop"), "json"))
    assert document["direction"] == "counterclockwise"
    assert document["points"] == len(document["centre"]) == len(document["inner"]) == 148


def test_an_unknown_kind_of_file_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'dxf'; accepted: npy, json, svg, png"):
        export(load_built_in("loop"), "dxf")
