"""Driving to look at: drivers that get round, films and plots that open, honest results."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from libs.cli.output import WrongUsage
from libs.common.deepracer.race_spec import RaceSpec
from libs.common.errors import InvalidInput, NotFound, PlatformError, Unavailable
from libs.common.tracks import built_in_names, load_built_in
from services.simulator.bodies import BODY
from services.simulator.drive import Episode, drive
from services.simulator.drivers import CentreLineDriver
from services.simulator.film import Film
from services.simulator.race import CarState, Race
from services.simulator.track_map import TrackMap
from services.simulator.verbs import app
from tests.bench.peers.turns import LeftOut, Simulator
from tests.small_policy import small_weights, write_policy

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "models" / "starter"
METADATA = "model_metadata.json"

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def filmed() -> None:
    """A test without ffmpeg is left out."""
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg is not installed")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`slipstream sim …` in this process: the JSON that it prints."""

    def run_verb(verb: str, *options: str) -> dict[str, Any]:
        result = CliRunner().invoke(app, [verb, *options, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    return run_verb


def drive_laps(track: str, laps: int = 1, cars: int = 1, **race: Any) -> list[Episode]:
    road = load_built_in(track)
    cars_at_start = Race(road, RaceSpec(**race), "5", range(cars))
    return drive(cars_at_start, CentreLineDriver(road, 1.0), laps, 120.0, lambda race: None)


def probe(film: Path) -> dict[str, Any]:
    entries = "stream=codec_name,width,height,nb_read_frames,avg_frame_rate"
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", entries, "-of", "json"]
    output = subprocess.run([*command, str(film)], capture_output=True, check=True).stdout
    stream: dict[str, Any] = json.loads(output)["streams"][0]
    return stream


def _no_picture() -> np.ndarray:
    raise TypeError("no picture")


@pytest.mark.parametrize("direction", ["counterclockwise", "clockwise"])
@pytest.mark.parametrize("track", built_in_names())
def test_the_scripted_driver_laps_every_built_in_track(track: str, direction: str) -> None:
    (episode,) = drive_laps(track, direction=direction)
    assert episode.status == "lap_complete"
    assert episode.lap_s == episode.steps / 15


def test_each_car_is_kept_up_to_its_last_lap_whatever_the_others_do() -> None:
    together = drive_laps("oval", laps=2, cars=3)
    assert [(episode.car, episode.number) for episode in together] == [
        (car, lap) for car in range(3) for lap in range(2)
    ]
    for episode in together:
        steps = episode.path["steps"]
        assert steps.tolist() == list(range(episode.steps + 1))
        assert episode.path["speed_mps"][0] == 0.0
    alone = drive_laps("oval", laps=1)
    assert np.array_equal(alone[0].path, together[0].path)


def test_slip_is_the_angle_between_where_a_car_points_and_where_it_moves() -> None:
    (episode,) = drive_laps("oval")
    sideways = Episode(0, 0, episode.path.copy())
    sideways.path["heading_rad"] += 0.1
    moving = episode.path["speed_mps"][1:] > 0.5
    more = episode.slip_rad - sideways.slip_rad
    assert more[moving] == pytest.approx(np.full(moving.sum(), 0.1))
    assert abs(math.degrees(episode.slip_rad[0])) < 10


def test_a_film_has_its_pictures_and_its_size(filmed: None, tmp_path: Path) -> None:
    file = tmp_path / "film.mp4"
    with Film(file, 64, 48, 15.0) as film:
        for grey in range(20):
            film.add(np.full((48, 64, 3), 10 * grey, np.uint8))
        assert not file.exists()
    stream = probe(file)
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", 64, 48)
    assert (stream["nb_read_frames"], stream["avg_frame_rate"]) == ("20", "15/1")
    assert list(tmp_path.iterdir()) == [file]


def test_a_film_that_fails_leaves_nothing_behind(filmed: None, tmp_path: Path) -> None:
    with (
        pytest.raises(TypeError, match="no picture"),
        Film(tmp_path / "film.mp4", 64, 48, 15.0) as film,
    ):
        film.add(_no_picture())
    with (
        pytest.raises(PlatformError, match="ffmpeg could not write it"),
        Film(tmp_path / "odd.mp4", 63, 47, 15.0) as film,
    ):
        film.add(np.zeros((47, 63, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_the_map_shows_the_cars_where_they_are() -> None:
    track = load_built_in("loop")
    pictures = []
    for distance_m in (1.0, 8.0):
        x_m, y_m = track.points_at(distance_m)[0].tolist()
        car = CarState(x_m, y_m, 0, 1, 20, 0)
        pictures.append(TrackMap(track, 400, 300).picture([car], np.zeros(0, BODY)))
    moved = (pictures[0] != pictures[1]).any(axis=2)
    assert 40 < moved.sum() < 800
    orange = [(picture == (255, 92, 57)).all(axis=2) for picture in pictures]
    places = [np.argwhere(pixels).mean(axis=0)[::-1] for pixels in orange]
    scale = min(352 / np.ptp(track.outer[:, 0]), 252 / np.ptp(track.outer[:, 1]))
    way_m = np.diff(track.points_at([1.0, 8.0]), axis=0)[0] * (1, -1)
    assert places[1] - places[0] == pytest.approx(way_m * scale, abs=3)


def test_drive_writes_a_film_a_plot_and_the_result(filmed: None, run: Run, tmp_path: Path) -> None:
    options = ["--track", "oval", "--seconds", "2", "--cars", "2", "--out", str(tmp_path)]
    document = run("drive", *options)
    assert (document["track"], document["driver"]) == ("oval", "centre line")
    assert [episode["car"] for episode in document["episodes"]] == [0, 1]
    first = document["episodes"][0]
    assert (first["status"], first["steps"], first["lap_s"]) == ("time_up", 30, None)
    assert first["top_speed_mps"] > first["mean_speed_mps"] > 0.5
    film, plot = (Path(file) for file in document["files"])
    stream = probe(film)
    assert (stream["width"], stream["height"]) == (1200, 480)
    assert stream["nb_read_frames"] == "30"
    with Image.open(plot) as picture:
        assert picture.size == (990, 990)
    assert sorted(tmp_path.iterdir()) == [film, plot]


def test_drive_films_the_world_that_is_asked_for(filmed: None, run: Run, tmp_path: Path) -> None:
    described = tmp_path / "hall.yaml"
    described.write_text("surroundings: skyline\nroad: wood\n")
    pictures = []
    for world in ([], ["--look", "championship"], ["--world", str(described)]):
        run("drive", "--seconds", "1", "--no-plot", "--out", str(tmp_path), *world)
        command = ["ffmpeg", "-loglevel", "error", "-i", str(tmp_path / "drive.mp4")]
        command += ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        picture = subprocess.run(command, capture_output=True, check=True).stdout
        pictures.append(np.frombuffer(picture, np.uint8).reshape(480, 1200, 3).astype(int))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        changes = np.abs(pictures[one] - pictures[other])
        assert changes[:, :640].mean() > 10  # what the car sees
        assert changes[:, 640:].mean() < 1  # the map


def test_drive_refuses_a_world_that_is_not_there(tmp_path: Path) -> None:
    described = tmp_path / "hall.yaml"
    described.write_text("look: plain\nroad: mud\n")
    for options, error, complaint in (
        (["--look", "nice"], InvalidInput, "look: got 'nice'"),
        (["--world", str(described)], InvalidInput, "hall.yaml: road: got 'mud'"),
        (["--world", str(tmp_path / "none.yaml")], NotFound, "accepted: a YAML file"),
    ):
        with pytest.raises(error, match=complaint):
            CliRunner().invoke(app, ["drive", *options], catch_exceptions=False)


def test_the_same_seed_drives_the_same_and_another_starts_elsewhere(run: Run) -> None:
    options = ["--no-video", "--no-plot", "--seconds", "3", "--speed", "3"]
    results = [run("drive", *options, "--seed", seed) for seed in ("4", "4", "9")]
    assert results[0] == results[1]
    assert results[0]["episodes"] != results[2]["episodes"]
    assert results[0]["files"] == []


def test_drive_takes_a_track_file_and_both_generations_of_dynamics(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "my loop.npy"
    file.write_bytes(load_built_in("loop").to_npy())
    options = ["--track", str(file), "--no-video", "--no-plot", "--seconds", "4"]
    lags = [run("drive", *options, "--version", version) for version in ("4", "5")]
    assert lags[0]["track"] == "my loop"
    assert lags[0]["episodes"] != lags[1]["episodes"]
    assert run("drive", *options, "--clockwise")["episodes"] != lags[1]["episodes"]


def test_a_car_that_meets_a_box_crashes_and_the_box_is_on_the_map(
    filmed: None, run: Run, tmp_path: Path
) -> None:
    options = ["--race", "object_avoidance", "--cars", "4", "--out", str(tmp_path), "--no-plot"]
    document = run("drive", *options, "--seconds", "20")
    assert "crashed" in {episode["status"] for episode in document["episodes"]}
    road = load_built_in("loop")
    race = Race(road, RaceSpec(type="object_avoidance"), "5", [0])
    above = TrackMap(road, 400, 300)
    empty = above.picture(race.poses(), race.bodies[0][:0])
    boxes = (above.picture(race.poses(), race.bodies[0]) != empty).any(axis=2)
    assert 20 < boxes.sum() < 4000


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (["--track", "nowhere"], NotFound, "'nowhere'"),
        (["--cars", "0"], InvalidInput, "got 0 cars; accepted: 1 to 4096"),
        (["--cars", "100000"], InvalidInput, "got 100000 cars"),
        (["--out", "/no/such/folder"], WrongUsage, "'/no/such/folder'; accepted: a folder"),
        (["--metadata", "model_metadata.json"], WrongUsage, "--policy"),
        (["--policy", "/no/model_1.pb"], NotFound, "no model_metadata.json at"),
    ],
)
def test_drive_refuses_what_it_cant_drive(
    options: list[str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        CliRunner().invoke(app, ["drive", *options, "--no-video"], catch_exceptions=False)


def test_a_file_that_is_no_policy_is_refused(tmp_path: Path) -> None:
    shutil.copy(STARTER / METADATA, tmp_path)
    policy = tmp_path / "model_1.pb"
    policy.write_bytes(b"rubbish")
    options = ["drive", "--no-video", "--policy", str(policy)]
    with pytest.raises(InvalidInput, match=r"'model_1.pb' \(7 bytes\)"):
        CliRunner().invoke(app, options, catch_exceptions=False)


def test_a_policy_drives_with_the_metadata_beside_it(run: Run, tmp_path: Path) -> None:
    shutil.copy(STARTER / METADATA, tmp_path)
    policy = write_policy(small_weights(actions=5), tmp_path / "model_3.pb")
    options = ["--policy", str(policy), "--seconds", "1", "--no-video", "--no-plot"]
    document = run("drive", *options)
    assert document["driver"] == str(policy)
    assert document["episodes"][0]["mean_speed_mps"] > 0.5
    for version, metadata in (("4", []), ("5", ["--metadata", str(STARTER / METADATA)])):
        again = run("drive", *options, "--version", version, *metadata)
        assert (again == document) is (version == "5")


def test_a_policy_with_another_number_of_actions_is_refused(tmp_path: Path) -> None:
    policy = write_policy(small_weights(actions=7), tmp_path / "model_3.pb")
    options = ["drive", "--policy", str(policy), "--metadata", str(STARTER / METADATA)]
    with pytest.raises(InvalidInput, match="model_3.pb has 7 actions, its metadata 5"):
        CliRunner().invoke(app, [*options, "--no-video"], catch_exceptions=False)


def test_without_ffmpeg_drive_names_it_and_still_plots(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # nor the package that brings one
    out = ["--out", str(tmp_path), "--seconds", "1"]
    with pytest.raises(Unavailable, match="apt-get install ffmpeg"):
        CliRunner().invoke(app, ["drive", *out], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []
    assert run("drive", *out, "--no-video")["files"] == [str(tmp_path / "drive.png")]


def test_drive_is_a_verb_of_its_own_too_and_its_exit_codes_are_honest() -> None:
    program = [sys.executable, "-m", "libs.cli", "drive", "--no-video", "--no-plot", "--json"]
    good = subprocess.run([*program, "--seconds", "1"], capture_output=True, check=False)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["episodes"][0]["status"] == "time_up"
    bad = subprocess.run([*program, "--track", "nowhere"], capture_output=True, check=False)
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["title"] == "Not found"


def test_bench_measures_the_batches_that_it_is_asked_for(run: Run) -> None:
    reward = str(STARTER / "reward_function.py")
    options = ["--cars", "16", "--seconds", "0.05", "--reward", reward]
    rows: Any = run("bench", *options)
    assert [(row["cars"], row["threads"]) for row in rows] == [(16, 1), (16, 2), (16, 2), (16, 1)]
    assert [row["reward"] for row in rows] == ["constant"] * 3 + ["sandbox"]
    assert rows[2]["length_m"] == pytest.approx(
        max(load_built_in(name).length_m for name in built_in_names()), abs=0.01
    )
    for row in rows:
        assert row["steps_per_s"] > 0
        assert row["memory_mb"] > 10
    with pytest.raises(InvalidInput, match="got 0 cars"):
        run("bench", "--cars", "0")


@pytest.mark.parametrize("name", ["random.gif", "random.mp4"])
def test_the_example_films_a_random_policy(filmed: None, tmp_path: Path, name: str) -> None:
    example = ROOT / "examples" / "random_policy.py"
    file = tmp_path / name
    command = [sys.executable, str(example), "--steps", "12", "--out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("12 steps, reward ")
    assert done.stdout.endswith(f": {file}\n")
    stream = probe(file)
    assert int(stream["nb_read_frames"]) == 12


def test_a_peer_that_is_not_there_is_left_out_with_its_reason() -> None:
    with pytest.raises(LeftOut, match="No module named"), Simulator("no_such_car"):
        pass


def test_simulators_that_take_turns_say_what_they_did() -> None:
    with Simulator("slipstream_cars", "oval", "8", "1") as simulator:
        assert simulator.about == "Slipstream-v1"
        wall, core = simulator.drive(0.05)
        assert wall > 0
        assert core > 0
