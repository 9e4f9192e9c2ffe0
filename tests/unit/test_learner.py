"""The learner as its simulators see it: observations and outcomes in, actions out."""

from itertools import count

import numpy as np
import pytest

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.deepracer.metadata import (
    DiscreteAction,
    ModelMetadata,
)
from libs.common.deepracer.run_spec import LimitsSpec, RunSpec
from libs.common.errors import InvalidInput, NotFound
from libs.common.events import CarStep
from services.trainer import warm_up
from services.trainer.frozen import run_frozen
from services.trainer.learner import Learner
from services.trainer.ppo import Diverged

SIZE = 36
CAMERA = "FRONT_FACING_CAMERA"
VALUE_BIAS = "main_level/agent/main/online/network_0/v_values_head_0/output/bias"
SETTINGS = {"cars": 4, "horizon": 8, "batch_size": 16, "num_epochs": 2, "updates_per_iteration": 2}


def spec_with(
    limits=None, seed=0, actions=2, network="DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", **hyperparameters
):
    space = tuple(
        DiscreteAction(steering_angle=10.0 * index, speed=1.0, index=index)
        for index in range(actions)
    )
    return RunSpec(
        name="toy",
        track="loop",
        seed=seed,
        limits=LimitsSpec(**(limits or {})),
        metadata=ModelMetadata(action_space=space, neural_network=network),
        hyperparameters=Hyperparameters(**{**SETTINGS, **hyperparameters}),
        reward_function="",
    )


def learner_with(clock=None, used_episodes=(), **settings):
    ticks = count()
    return Learner(
        spec_with(**settings),
        height_px=SIZE,
        width_px=SIZE,
        used_episodes=used_episodes,
        clock=clock or (lambda: float(next(ticks))),
    )


class LightWorld:
    """One half of each picture is bright; the reward is for naming the half. No memory."""

    def __init__(self, cars, seed=0, episode_steps=5):
        self.cars, self.episode_steps = cars, episode_steps
        self.rng = np.random.default_rng(seed)
        self.sides = np.zeros(cars, int)
        self.age = 0

    def see(self):
        self.sides = self.rng.integers(2, size=self.cars)
        pictures = self.rng.integers(40, 90, (self.cars, SIZE, SIZE)).astype(np.uint8)
        for picture, side in zip(pictures, self.sides, strict=True):
            picture[:, side * SIZE // 2 : (side + 1) * SIZE // 2] += 120
        return {CAMERA: pictures[..., np.newaxis]}

    def step(self, actions):
        self.age += 1
        done = self.age % self.episode_steps == 0
        status = "off_track" if done else "in_progress"
        rewards = (np.asarray(actions) == self.sides).astype(float)
        return [
            CarStep(reward=reward, done=done, status=status, episode_reward=reward * 5)
            for reward in rewards
        ]


def drive(learner, world, calls):
    """Every decision of so many camera steps."""
    steps, decisions = (), []
    for _ in range(calls):
        decisions.append(learner.act(world.see(), steps))
        steps = world.step(decisions[-1].actions)
    return decisions


def test_a_toy_is_learned_in_a_few_updates():
    learner = learner_with(lr=1e-3, discount_factor=0.0, beta_entropy=0.0, num_epochs=4)
    drive(learner, LightWorld(4), 12 * 8 + 1)
    test = LightWorld(64, seed=1)
    probabilities = learner.exported_policy(test.see())
    assert learner.state.updates == 12
    assert np.mean(np.argmax(probabilities, axis=1) == test.sides) == 1.0


@pytest.mark.parametrize("cars", [1, 3])
@pytest.mark.parametrize("network", ["FAST", "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"])
def test_a_single_car_learns_as_any_number_does(network, cars):
    learner = learner_with(network=network, cars=cars, batch_size=8, lr=1e-3)
    drive(learner, LightWorld(cars), 2 * 8 + 1)
    assert learner.state.updates == 2


def test_a_learner_that_waits_for_its_run_has_learned_a_little():
    warm_up.learn_a_little()


def test_one_seed_gives_one_run_and_another_seed_another():
    runs = [
        [(d.actions, d.episodes) for d in drive(learner_with(seed=seed), LightWorld(4), 34)]
        for seed in (3, 3, 4)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_weights_of_one_seed_are_the_same_bit_by_bit_after_updates():
    learners = [learner_with(seed=3), learner_with(seed=3)]
    for learner in learners:
        drive(learner, LightWorld(4), 34)
    first, second = (learner.export_weights() for learner in learners)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_with_a_horizon_an_iteration_is_a_number_of_updates():
    decisions = drive(learner_with(), LightWorld(4), 33)
    ended = [index for index, decision in enumerate(decisions) if decision.ended]
    assert ended == [16, 32]
    report = decisions[16].ended
    assert (report.run_id, report.iteration, report.updates) == ("toy", 0, 2)
    assert report.env_steps == 64
    assert sum(report.action_counts) == 64
    assert len(report.losses) == 2
    assert decisions[16].iteration == 1


def test_without_a_horizon_an_iteration_is_a_number_of_episodes():
    learner = learner_with(horizon=None, num_episodes_between_training=8)
    decisions = drive(learner, LightWorld(4, episode_steps=5), 11)
    assert [index for index, decision in enumerate(decisions) if decision.ended] == [10]
    report = decisions[10].ended
    assert report.episodes == tuple(range(8))
    assert report.total_episodes == 8
    assert report.completion_ratio == 0.0
    assert report.updates == 1


def test_a_rollout_of_episodes_is_cut_at_the_memory_of_deepracer():
    learner = learner_with(horizon=None, cars=250, num_epochs=1, batch_size=4096)
    decisions = drive(learner, LightWorld(250, episode_steps=1000), 41)
    assert [index for index, decision in enumerate(decisions) if decision.ended] == [40]


def test_a_car_whose_episode_ended_gets_the_smallest_free_number():
    decisions = drive(learner_with(used_episodes={0, 2}), LightWorld(4, episode_steps=3), 4)
    assert [decision.episodes for decision in decisions] == [
        (1, 3, 4, 5),
        (1, 3, 4, 5),
        (1, 3, 4, 5),
        (6, 7, 8, 9),
    ]


def test_cars_that_begin_anew_keep_their_numbers_and_lose_one_step():
    learner, world = learner_with(), LightWorld(4, episode_steps=100)
    drive(learner, world, 3)
    learner.begin_rollout()
    before = learner.state.env_steps
    decision = learner.act(world.see())
    assert decision.episodes == (0, 1, 2, 3)
    assert learner.state.env_steps == before
    learner.begin_rollout([1])
    learner.act(world.see(), world.step(decision.actions))
    assert learner.state.env_steps == before + 3
    assert learner.state.episodes == 0


def test_a_rollout_that_nobody_finished_teaches_nothing():
    learner, world = learner_with(horizon=1), LightWorld(4)
    before = learner.export_weights()
    for _ in range(3):
        learner.act(world.see())
        learner.begin_rollout()
    after = learner.export_weights()
    assert learner.state.updates == 0
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_restored_learner_goes_on_where_the_checkpoint_was(tmp_path):
    learner, world = learner_with(), LightWorld(4)
    drive(learner, world, 17)
    saved = learner.save(tmp_path)
    assert (saved.name, saved.number) == ("1_Step-64.ckpt", 1)
    again = learner_with(seed=9, used_episodes=range(14))
    again.restore(tmp_path, saved.name)
    images = world.see()
    expected = learner.exported_policy(images)
    assert np.allclose(again.exported_policy(images), expected, atol=1e-5)
    assert again.state.env_steps == learner.state.env_steps == 64
    assert again.state.updates == 2
    assert again.state.episodes == 14
    assert again.act(images).episodes == (14, 15, 16, 17)


def test_the_saved_policy_is_the_one_that_is_asked_for_probabilities(tmp_path):
    learner, world = learner_with(policy_averaging=0.5, lr=1e-3), LightWorld(4)
    drive(learner, world, 17)
    images = world.see()
    frozen = run_frozen(learner.save(tmp_path).policy.read_bytes(), images)
    assert np.abs(frozen - learner.exported_policy(images)).max() <= 1e-5


def test_without_a_journal_the_checkpoint_says_which_numbers_are_used(tmp_path):
    learner = learner_with(used_episodes={1, 14})
    drive(learner, LightWorld(4), 17)
    again = learner_with()
    again.restore(tmp_path, learner.save(tmp_path).name)
    # Three rounds of four ended: 0 2 3 4, 5 6 7 8, 9 10 11 12.
    assert again.state.episodes == 14
    assert again.act(LightWorld(4).see()).episodes == (13, 15, 16, 17)


def test_a_car_that_drives_what_the_journal_knows_as_over_gets_another_number():
    learner, world = learner_with(), LightWorld(4)
    drive(learner, world, 1)
    learner.note_used_episodes({2})
    learner.begin_rollout()
    assert learner.act(world.see()).episodes == (0, 1, 4, 3)
    assert learner.state.episodes == 1


def test_a_checkpoint_without_counters_is_for_its_weights_only(tmp_path):
    saved = learner_with().save(tmp_path)
    saved.state.unlink()
    with pytest.raises(NotFound, match=r"state_0\.json is missing"):
        learner_with().restore(tmp_path, saved.name)


def test_broken_counters_are_refused(tmp_path):
    saved = learner_with().save(tmp_path)
    saved.state.write_text('{"iteration": "many"}')
    with pytest.raises(InvalidInput, match=r"state_0\.json holds no learner's counters"):
        learner_with().restore(tmp_path, saved.name)


def test_the_learner_ends_at_its_limit():
    learner = learner_with(limits={"max_env_steps": 8})
    assert learner.limit_reached() is None
    drive(learner, LightWorld(4), 3)
    assert learner.limit_reached() == "The run reached its limit of 8 camera steps (max_env_steps)."


def test_seconds_are_over_while_the_learner_waits_for_simulators_that_are_gone():
    now_s = [0.0]
    learner = learner_with(clock=lambda: now_s[0], limits={"max_seconds": 10})
    now_s[0] = 100.0  # nobody has asked yet
    assert learner.limit_reached() is None
    drive(learner, LightWorld(4), 1)
    now_s[0] = 109.0
    assert learner.limit_reached() is None
    now_s[0] = 110.0
    told = "The run reached its limit of 10 seconds of learning (max_seconds)."
    assert learner.limit_reached() == told


def test_a_better_evaluation_is_no_plateau():
    learner = learner_with(limits={"plateau_iterations": 2, "max_seconds": None})
    drive(learner, LightWorld(4), 50)  # three iterations
    assert learner.limit_reached() is not None
    learner.note_better_evaluation()
    assert learner.limit_reached() is None


def test_a_start_from_other_actions_keeps_the_trunk_and_says_what_became_of_the_head(tmp_path):
    source = learner_with(seed=1)
    saved = source.save(tmp_path)
    learner = learner_with(seed=2)
    metadata = spec_with().metadata
    other = metadata.model_copy(update={"action_space": metadata.action_space[::-1]})
    told = learner.adopt_checkpoint(tmp_path / saved.name, other)
    assert told is not None
    assert "0 from 1, 1 from 0" in told
    taken, given = learner.export_weights(), source.export_weights()
    for name in given:
        swapped = given[name][..., ::-1] if "policy_fc" in name else given[name]
        np.testing.assert_allclose(taken[name], swapped, atol=1e-6)


def test_the_time_of_an_iteration_is_booked_on_what_it_went_into():
    decisions = drive(learner_with(), LightWorld(4), 17)
    report = decisions[16].ended
    assert report.wait_s > 0
    assert report.infer_s > 0
    assert report.learn_s > 0
    assert report.elapsed_s == pytest.approx(report.wait_s + report.infer_s + report.learn_s)
    assert report.steps_per_s == pytest.approx(64 / report.elapsed_s)


def test_observations_of_another_shape_are_refused_with_the_right_one():
    with pytest.raises(InvalidInput, match=r"uint8 \(3, 36, 36, 1\): uint8 \(4, 36, 36, 1\)"):
        learner_with().act(LightWorld(3).see())


def test_a_missing_outcome_is_refused():
    learner, world = learner_with(), LightWorld(4)
    decision = learner.act(world.see())
    with pytest.raises(InvalidInput, match="3 outcomes for 4 cars"):
        learner.act(world.see(), world.step(decision.actions)[:3])


@pytest.mark.parametrize(("network", "most"), [("FAST", 39), ("DEEP_CONVOLUTIONAL_NETWORK", 11)])
def test_a_horizon_beyond_the_memory_is_refused(network, most):
    spec = spec_with(cars=256, horizon=40)
    metadata = spec.metadata.model_copy(update={"neural_network": network})
    with pytest.raises(InvalidInput, match=f"up to {most} are accepted"):
        Learner(spec.model_copy(update={"metadata": metadata}))


def test_weights_that_are_no_numbers_are_never_saved(tmp_path):
    learner = learner_with()
    learner._network.variables[VALUE_BIAS].assign([np.inf])
    with pytest.raises(Diverged, match="no longer finite"):
        learner.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
