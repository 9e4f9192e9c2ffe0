"""Past episodes as videos: from logged poses to pictures, and through real ffmpeg."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import ModelMetadata
from libs.common.deepracer.run_spec import RunSpec
from libs.common.errors import InvalidInput, NotFound
from libs.common.events import (
    EpisodeEnded,
    FilmView,
    FilmWish,
    RunQueued,
    StepColumns,
    TrackRef,
)
from libs.common.tracks import load_built_in
from services.simulator.drivers import CentreLineDriver
from services.simulator.episode_choice import EpisodeChooser
from services.simulator.episode_film import film_episode, show_step, stage
from services.simulator.pictures import Pictures
from services.simulator.shots import CHASE, shot_of
from services.simulator.verbs.film import find_episode
from tests.driven import episode

TRACK = load_built_in("oval")
ACTIONS = [{"steering_angle": angle, "speed": 1, "index": angle} for angle in (0, 1)]
SPEC = RunSpec(
    name="r1",
    track="oval",
    metadata=ModelMetadata.model_validate({"action_space": ACTIONS}),
    hyperparameters=Hyperparameters(),
    reward_function="",
)
STEPS = 20


def driven() -> tuple[EpisodeEnded, list[np.ndarray]]:
    """An episode as it is logged, and what was seen at each of its steps."""
    race, driver = stage(TRACK, SPEC), CentreLineDriver(TRACK, 1.5)
    rows, pictures = [], []
    for _ in range(STEPS):
        race.step(*driver.decide(race))
        race.finish_step(np.zeros(1))
        car = race.states[0]
        rows.append([float(car[name]) for name in ("front_x_m", "front_y_m", "heading_rad")])
        pictures.append(race.frame(0))
    x_m, y_m, heading_rad = zip(*rows, strict=True)
    zeros = (0.0,) * STEPS
    columns = StepColumns(
        x_m=x_m, y_m=y_m, heading_rad=heading_rad, speed_mps=zeros, progress_pct=zeros
    )
    return episode(0).model_copy(update={"columns": columns}), pictures


def test_a_logged_step_looks_as_it_did() -> None:
    logged, seen = driven()
    race = stage(TRACK, SPEC)
    for row in reversed(range(STEPS)):  # any one, in any order
        show_step(race, logged, row)
        np.testing.assert_allclose(race.frame(0), seen[row], atol=1)
    assert np.abs(seen[0].astype(int) - seen[-1]).max() > 50


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("view", ["camera-pip", "camera-topview"])
def test_an_episode_becomes_a_video_of_its_length(tmp_path: Path, view: FilmView) -> None:
    logged, _ = driven()
    file = tmp_path / "episode.mp4"
    wish = FilmWish(view=view, size="640x480", speed=2.0)
    assert film_episode(file, TRACK, SPEC, logged, wish) == STEPS
    command = ["ffprobe", "-v", "error", "-of", "json", "-count_frames", "-show_entries"]
    command += ["stream=codec_name,width,height,nb_read_frames,r_frame_rate", str(file)]
    (stream,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[
        "streams"
    ]
    assert stream == {
        "codec_name": "h264",
        "width": 640,
        "height": 480,
        "r_frame_rate": "30/1",
        "nb_read_frames": str(STEPS),
    }


def test_an_episode_without_poses_is_refused(tmp_path: Path) -> None:
    bare = episode(0).model_copy(update={"columns": StepColumns()})
    with pytest.raises(InvalidInput, match="has no poses"):
        film_episode(tmp_path / "x.mp4", TRACK, SPEC, bare, FilmWish())


def test_the_best_the_last_and_any_episode_are_found() -> None:
    queued = RunQueued(run_id="r1", spec=SPEC, track=TrackRef(name="oval"))
    slow, fast, short = (
        episode(number).model_copy(update={"lap_s": lap_s, "progress_pct": progress})
        for number, lap_s, progress in ((0, 12.0, 100.0), (1, 11.0, 100.0), (2, None, 40.0))
    )
    events = [queued, slow, fast, short]
    for wanted, found in (("best", fast), ("last", short), (0, slow)):
        assert find_episode(iter(events), "r1", FilmWish(episode=wanted)) == (queued, found)
    with pytest.raises(NotFound, match="no training episode 7; there are: 0 to 2"):
        find_episode(iter(events), "r1", FilmWish(episode=7))
    with pytest.raises(NotFound, match="no evaluation episode best; there are: none"):
        find_episode(iter(events), "r1", FilmWish(phase="evaluation"))


def test_a_trial_is_found_by_its_evaluation() -> None:
    one, other = (
        episode(0).model_copy(update={"phase": "evaluation", "rollout_id": name}) for name in "ab"
    )
    chooser = EpisodeChooser("r1", FilmWish(phase="evaluation", evaluation_id="a", episode=0))
    for event in (one, other):
        chooser.look_at(event)
    assert chooser.chosen() == one


def test_views_show_the_car_from_where_they_say() -> None:
    race = stage(TRACK, SPEC)
    pictures = {
        view: shot_of(view, TRACK, SPEC.world, 320, 240)(race)
        for view in ("camera-pip", "camera-45degree", "camera-topview", "camera-front")
    }
    assert {picture.shape for picture in pictures.values()} == {(240, 320, 3)}
    # The car is in the middle of what is seen from behind: without it the picture is another.
    chase = pictures["camera-45degree"]
    bare = Pictures(TRACK, SPEC.world).draw(race.states[:1], 320, 240, mount=CHASE)
    changed = np.abs(chase.astype(int) - bare).max(axis=2) > 30
    rows, columns = np.nonzero(changed)
    assert 100 < len(rows) < 0.2 * changed.size
    assert abs(columns.mean() - 160) < 8
    # The map lies in a corner of the same picture.
    inset = np.abs(pictures["camera-pip"].astype(int) - chase).max(axis=2) > 30
    assert not inset[:140].any()
    assert inset[170:, 220:].mean() > 0.5
