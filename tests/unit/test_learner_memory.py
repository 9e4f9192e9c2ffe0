"""A learner that goes on from its memory, and the optimiser in complete checkpoints."""

import numpy as np
import pytest
import tensorflow as tf

from libs.common.deepracer.hyperparameters import Hyperparameters
from libs.common.errors import InvalidInput
from services.trainer import adam
from services.trainer.architecture import VALUE
from services.trainer.checkpoint import Optimiser, read_checkpoint, write_checkpoint
from services.trainer.memory import memory_path, read_memory, write_memory
from services.trainer.network import ActorCritic
from services.trainer.ppo import Ppo
from services.trainer.slots import SCALE, SHARE, optimiser_of, read_optimiser
from tests.unit.test_learner import LightWorld, drive, learner_with
from tests.unit.test_learner_ppo import CAMERA, SHALLOW, filled_rollout

NAME = "2_Step-64.ckpt"
SETTINGS = {"policy_averaging": 0.5, "lr": 1e-3, "max_grad_norm": 1.0}
FIRST = f"{VALUE}/{CAMERA}/Conv2d_0"


def updated(learner, first, count):
    """The learner after updates by rollouts of these numbers."""
    algorithm = learner._algorithm
    for number in range(first, first + count):
        rollout = filled_rollout(np.random.default_rng(number), blueprint=learner._blueprint)
        algorithm._ppo.update(rollout, np.random.default_rng(number))
    return algorithm.memory()


@pytest.fixture
def learner():
    return learner_with(actions=3, cars=2, batch_size=8, num_epochs=1, **SETTINGS)


def another():
    return learner_with(actions=3, cars=2, batch_size=8, num_epochs=1, seed=9, **SETTINGS)


def test_a_restored_learner_goes_on_as_if_it_had_never_stopped(learner, tmp_path):
    updated(learner, 0, 2)
    saved = learner.save(tmp_path, complete=True)
    straight = updated(learner, 2, 2)
    resumed = another()
    resumed.restore(tmp_path, saved.name)
    again = updated(resumed, 2, 2)
    assert straight.keys() == again.keys()
    assert all(np.array_equal(straight[name], again[name]) for name in straight)


def test_without_its_memory_a_learner_goes_on_from_the_weights_alone(learner, tmp_path):
    updated(learner, 0, 2)
    saved = learner.save(tmp_path)
    assert saved.memory is None
    resumed = another()
    resumed.restore(tmp_path, saved.name)
    memory = resumed._algorithm.memory()
    assert memory["optimiser_steps"] == 0
    assert not memory[f"moment/{FIRST}/kernel"].any()


def test_a_learner_driven_and_restored_counts_on(tmp_path):
    learner = learner_with(policy_averaging=0.5)
    drive(learner, LightWorld(4), 17)
    saved = learner.save(tmp_path, complete=True)
    assert saved.memory == memory_path(tmp_path, saved.number)
    resumed = learner_with(policy_averaging=0.5)
    resumed.restore(tmp_path, saved.name)
    assert resumed.state.updates == learner.state.updates == 2
    before, after = learner._algorithm.memory(), resumed._algorithm.memory()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert after["optimiser_steps"] == 8


def test_a_memory_of_another_network_or_a_broken_one_is_refused(learner, tmp_path):
    like = learner._algorithm.memory()
    path = write_memory(memory_path(tmp_path, 2), {**like, "beta1_power": np.zeros(3)})
    with pytest.raises(InvalidInput, match=r"beta1_power is float64 \(3,\); accepted: float32"):
        read_memory(path, like)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InvalidInput, match=r"memory_2\.npz can't be read"):
        read_memory(path, like)


def test_a_complete_checkpoint_holds_the_moments_and_powers_of_the_optimiser(learner, tmp_path):
    memory = updated(learner, 0, 2)
    saved = learner.save(tmp_path, complete=True)
    optimiser = read_optimiser(saved.memory, SHALLOW)
    write_checkpoint(tmp_path, NAME, learner.export_weights(), complete=True, optimiser=optimiser)
    stored = tf.train.load_checkpoint(str(tmp_path / NAME))
    assert len(stored.get_variable_to_shape_map()) == 69
    online = "main_level/agent/main/online"
    assert stored.get_tensor(f"{online}/global_step") == 4  # two updates of two minibatches
    assert stored.get_tensor(f"{online}/beta1_power") == pytest.approx(adam.BETA_1**5)
    assert stored.get_tensor(f"{online}/beta2_power") == pytest.approx(adam.BETA_2**5)
    dense = f"{VALUE}/middleware_fc_embedder/Dense_0/kernel"
    for slot, kind in (("Adam", "moment"), ("Adam_1", "square")):
        tensor = stored.get_tensor(f"{online}/{dense}/{slot}")
        assert np.array_equal(tensor, memory[f"{kind}/{dense}"])
        assert tensor.any()
    weights = read_checkpoint(tmp_path / NAME, SHALLOW)
    assert all(
        np.array_equal(weights[name], each) for name, each in learner.export_weights().items()
    )


def test_first_moments_of_layers_that_read_pixels_are_those_of_deepracers_form():
    """A network that learns on bytes / 255 itself has the same gradients, by the chain rule."""
    network = ActorCritic(SHALLOW, 1)
    ppo = Ppo(network, Hyperparameters(batch_size=16, num_epochs=1))
    ppo.update(filled_rollout(np.random.default_rng(0)), np.random.default_rng(0))
    memory = {**network.memory(), **ppo.adam.memory()}
    optimiser = optimiser_of(memory, SHALLOW)
    # After one step the moments are the gradient times 0.1 and its square times 0.001.
    kernel, bias = (memory[f"moment/{FIRST}/{part}"] / 0.1 for part in ("kernel", "bias"))
    theirs = kernel / SCALE + SHARE * bias
    assert np.allclose(optimiser.moments[f"{FIRST}/kernel"], 0.1 * theirs, rtol=1e-4, atol=1e-9)
    assert np.array_equal(optimiser.moments[f"{FIRST}/bias"], memory[f"moment/{FIRST}/bias"])
    squares = optimiser.squares[f"{FIRST}/kernel"]
    assert (squares >= 0.001 * theirs**2 * (1 - 1e-3)).all()


def test_a_checkpoint_without_an_optimiser_has_one_that_has_not_made_a_step(learner, tmp_path):
    write_checkpoint(tmp_path, NAME, learner.export_weights(), complete=True)
    stored = tf.train.load_checkpoint(str(tmp_path / NAME))
    online = "main_level/agent/main/online"
    assert stored.get_tensor(f"{online}/global_step") == Optimiser().steps == 0
    assert stored.get_tensor(f"{online}/beta1_power") == np.float32(adam.BETA_1)
    assert not stored.get_tensor(f"{online}/{FIRST}/kernel/Adam").any()
