"""What the cars of a race see: the road, what shares it, and what is randomised."""

import numpy as np
import pytest

from libs.common.deepracer.randomisation_spec import RandomisationSpec
from libs.common.deepracer.run_spec import RaceSpec
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.tracks import load_built_in
from services.simulator.bodies import NOTHING
from services.simulator.camera import NETWORK_CAMERA, render_cars
from services.simulator.race import Race
from services.simulator.views import Look
from services.simulator.world import draw_world

LOOP = load_built_in("loop")


@pytest.mark.parametrize("kind", ["object_avoidance", "head_to_bot", "head_to_model"])
@pytest.mark.parametrize("threads", [1, 2])
def test_cars_see_what_shares_the_road_with_them(kind: str, threads: int) -> None:
    rules = RaceSpec.model_validate({"type": kind})
    count = 4 * rules.cars_in_arena
    race = Race(LOOP, rules, "5", range(count), evaluating=True, threads=threads)
    bare = np.zeros_like(race.observations)
    render_cars(race.states.copy(), draw_world(LOOP), NETWORK_CAMERA, bare)
    expected, together = bare.copy(), rules.cars_in_arena
    for car in range(count):
        others = race.bodies[car // together : car // together + 1].copy()
        if kind == "head_to_model":
            others["kind"][0, car % together] = NOTHING
        picture, one = expected[car : car + 1], race.states[car : car + 1].copy()
        arena, own = np.zeros(1, np.int64), np.full(1, -1)
        render_cars(one, draw_world(LOOP), NETWORK_CAMERA, picture, others, arena, own)
    assert np.array_equal(race.observations, expected)
    assert not np.array_equal(race.observations, bare)


def test_a_race_looks_as_it_is_told_and_anew_with_every_episode() -> None:
    ranges = RandomisationSpec(brightness=(0.5, 1.5))
    look = Look(WorldSpec(surroundings="walls"), ranges)
    rules = RaceSpec(change_start_position=False)
    race, again = (Race(LOOP, rules, "5", (0, 1, 0), look=look) for _ in range(2))
    assert np.array_equal(race.observations, again.observations)
    assert np.array_equal(race.observations[0], race.observations[2])
    assert not np.array_equal(race.observations[0], race.observations[1])
    before = race.observations.copy()
    race.restart([0])
    race.look()
    assert not np.array_equal(race.observations[0], before[0])
    assert np.array_equal(race.observations[1:], before[1:])


def test_pictures_for_people_are_in_colour_and_not_randomised() -> None:
    look = Look(randomisation=RandomisationSpec(brightness=(0.2, 0.3)))
    race = Race(LOOP, RaceSpec(), "5", (0,), look=look)
    plain = Race(LOOP, RaceSpec(), "5", (0,))
    assert np.array_equal(race.frame(0), plain.frame(0))
    assert race.observations.mean() < plain.observations.mean() / 2
    parts = race.frame(0).astype(int)
    assert (parts[:, :, 0] - parts[:, :, 2]).max() > 100  # the dashes are orange


def test_cars_drive_by_what_their_episode_has_drawn() -> None:
    ranges = RandomisationSpec(lag=(0.5, 3.0), action_delay_s=(0, 0.1), friction=(0.3, 1.0))
    rules = RaceSpec(change_start_position=False)
    race, again = (
        Race(LOOP, rules, "5", (0, 1, 0), look=Look(randomisation=ranges)) for _ in range(2)
    )
    plain = Race(LOOP, rules, "5", (0, 1, 0))
    for each in (race, again, plain):
        for _ in range(10):
            each.step(np.full(3, 0.3), np.full(3, 2.0))
            each.finish_step(np.zeros(3))
    assert race.poses() == again.poses()
    assert race.poses()[0] == race.poses()[2]
    assert race.poses()[0] != race.poses()[1]
    assert race.poses()[0] != plain.poses()[0]
