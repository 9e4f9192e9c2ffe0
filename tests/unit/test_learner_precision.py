"""Learning in bfloat16: what it changes, what it leaves, and where it is refused."""

import numpy as np
import pytest

from libs.common.deepracer.hyperparameters import Hyperparameters, parse_hyperparameters
from libs.common.errors import InvalidInput
from services.trainer.frozen import freeze_policy, run_frozen
from services.trainer.network import ActorCritic
from services.trainer.ppo import Ppo
from services.trainer.precision import check_bfloat16
from tests.unit.test_learner import LightWorld, drive, learner_with
from tests.unit.test_learner_ppo import SHALLOW, filled_rollout, pictures

TOLERANCE = 2e-2
"""Of probabilities: eight bits of a number after the other, through five layers."""


def ppo_in(precision):
    network = ActorCritic(SHALLOW, 1, precision=precision)
    rng = np.random.default_rng(1)
    # Larger than a new policy's, so that its probabilities are not all alike.
    head = network.variables[f"{SHALLOW.policy_head}/kernel"]
    head.assign(rng.normal(size=head.shape) * 0.1)
    return network, Ppo(network, Hyperparameters(batch_size=16, num_epochs=2, precision=precision))


def test_the_policy_that_acts_is_within_its_tolerance_of_the_one_that_is_exported():
    network, ppo = ppo_in("bfloat16")
    seen = pictures(np.random.default_rng(0), 32)
    live = network.distribution.greedy(ppo.policy(seen))
    exported = network.distribution.greedy(ppo.exported_policy(seen))
    assert 1e-6 < np.abs(live - exported).max() <= TOLERANCE
    assert np.ptp(exported) > 0.2


def test_what_is_exported_is_float32_to_the_digit():
    network, ppo = ppo_in("bfloat16")
    ppo.update(filled_rollout(np.random.default_rng(0)), np.random.default_rng(0))
    seen = pictures(np.random.default_rng(0), 8)
    weights = network.export_weights()
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    exported = network.distribution.greedy(ppo.exported_policy(seen))
    assert np.abs(run_frozen(freeze_policy(weights, SHALLOW), seen) - exported).max() <= 1e-5


def test_an_update_is_nearly_that_of_float32():
    (_, exact), (_, rounded) = ppo_in("fp32"), ppo_in("bfloat16")
    reports = [
        ppo.update(filled_rollout(np.random.default_rng(0)), np.random.default_rng(0))
        for ppo in (exact, rounded)
    ]
    theirs, ours = (report.losses[0] for report in reports)
    assert ours.value_loss == pytest.approx(theirs.value_loss, rel=0.05)
    assert ours.surrogate_loss == pytest.approx(theirs.surrogate_loss, abs=0.02)
    assert reports[1].gradient_norm == pytest.approx(reports[0].gradient_norm, rel=0.05)


def test_a_toy_is_learned_in_bfloat16_too():
    settings = {"lr": 1e-3, "discount_factor": 0.0, "beta_entropy": 0.0, "num_epochs": 4}
    try:
        check_bfloat16()
    except InvalidInput:
        pytest.skip("this processor has no bfloat16")
    learner = learner_with(precision="bfloat16", **settings)
    drive(learner, LightWorld(4), 12 * 8 + 1)
    test = LightWorld(64, seed=1)
    assert np.mean(np.argmax(learner.exported_policy(test.see()), axis=1) == test.sides) == 1.0


@pytest.mark.parametrize(
    "told",
    [
        "processor : 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n",
        "flags : fpu amx_bf16\n",
        "Features\t: fp asimd bf16\n",
    ],
)
def test_a_processor_with_the_instructions_is_accepted(tmp_path, told):
    file = tmp_path / "cpuinfo"
    file.write_text(told)
    check_bfloat16(file)


def test_a_processor_without_them_is_refused_with_what_is_accepted(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("model name : bf16\nflags : fpu avx512f avx2\n")
    with pytest.raises(InvalidInput, match="none of amx_bf16.*'fp32' is accepted"):
        check_bfloat16(file)
    with pytest.raises(InvalidInput, match="does not tell what the processor has"):
        check_bfloat16(tmp_path / "absent")


def test_another_precision_is_refused_with_those_that_are_accepted():
    with pytest.raises(InvalidInput, match="precision: got 'half'; accepted: 'fp32' or 'bfloat16'"):
        parse_hyperparameters(b'{"precision": "half"}')
