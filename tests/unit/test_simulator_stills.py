"""Our pictures against camera stills of the official simulator."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from libs.common.errors import InvalidInput
from libs.common.tracks import load_built_in, parse_npy
from services.simulator import stills
from services.simulator.pictures import Pictures
from services.simulator.vehicle import CAR
from services.simulator.verbs import app

LARGEST_ERROR_PX = 1.5  # medians at 160×120, of the issue


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_edges_of_a_real_still_lie_on_ours(shared_data: Path, number: int) -> None:
    still = np.array(Image.open(shared_data / f"stills/dr-demo-{number}.png").convert("RGB"))
    name = "reinvent_base"
    track = parse_npy(name, (shared_data / f"tracks/{name}.npy").read_bytes())
    fit = stills.fit_still(still, {name: track})
    assert fit.border_error_px is not None
    assert fit.border_error_px <= LARGEST_ERROR_PX
    assert fit.dash_error_px is not None
    assert fit.dash_error_px <= LARGEST_ERROR_PX


def test_a_picture_without_a_road_is_refused() -> None:
    with pytest.raises(InvalidInput, match="shows no road"):
        stills.fit_still(np.zeros((480, 640, 3), np.uint8), {"oval": load_built_in("oval")})


@pytest.mark.parametrize("size", [None, (100, 100)])
def test_the_verb_refuses_what_is_no_still(tmp_path: Path, size: tuple[int, int] | None) -> None:
    file = tmp_path / "still.png"
    if size is None:
        file.write_bytes(b"no picture")
    else:
        Image.new("RGB", size).save(file)
    result = CliRunner().invoke(app, ["still", str(file), "--track", "oval", "--json"])
    assert isinstance(result.exception, InvalidInput)
    assert "still.png" in str(result.exception)


def test_the_verb_finds_the_pose_of_our_own_picture_again(tmp_path: Path) -> None:
    track = load_built_in("loop")
    (x_m, y_m), heading_rad = track.points_at(2.0)[0], track.headings_at(2.0)[0]
    car = np.zeros(1, CAR)
    car["x_m"], car["y_m"], car["heading_rad"] = x_m, y_m, heading_rad
    file, pair = tmp_path / "still.png", tmp_path / "pair.png"
    Image.fromarray(
        Pictures(track, stills.LOOK).draw(car, 640, 480, mount=stills.STILL_MOUNT)
    ).save(file)
    arguments = ["still", str(file), "--track", "loop", "--json", "--output", str(pair)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["track"] == "loop"
    assert document["error_px"] <= 0.5
    assert np.hypot(document["x_m"] - x_m, document["y_m"] - y_m) < 0.05
    with Image.open(pair) as picture:
        assert picture.size == (1920, 480)
