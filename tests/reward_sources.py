"""Reward functions for the tests, and what becomes of them."""

from typing import Any

import pytest

from libs.common.reward.errors import RewardError
from libs.common.reward.limits import RewardLimits
from libs.common.reward.process import RewardProcess
from libs.common.reward.samples import sample_constants, sample_lap

LAP = sample_lap()
STEP = LAP[0]
SHORT = RewardLimits(call_s=0.2, batch_s=0.8)
SMALL = RewardLimits(memory_bytes=400 * 2**20, call_s=30, batch_s=60)


def function(body: str, top: str = "") -> str:
    """Source of a reward function; `body` begins on line 2, `top` follows it."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"def reward_function(params):\n{lines}\n{top}\n"


def start(source: str, limits: RewardLimits | None = None) -> RewardProcess:
    return RewardProcess(source, sample_constants(), limits=limits)


def reward_of(source: str, params: dict[str, Any] = STEP) -> float:
    with start(source) as process:
        return process.rewards([params])[0]


def failure_of(source: str, limits: RewardLimits | None = None, calls: int = 1) -> RewardError:
    """The error of a step in which every car has the same params."""
    with pytest.raises(RewardError) as caught, start(source, limits) as process:
        process.rewards([STEP] * calls)
    return caught.value
