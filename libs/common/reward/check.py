"""Try a reward function before a run is queued: does it load, and does it survive a lap?"""

from libs.common.reward.errors import RewardError
from libs.common.reward.limits import RewardLimits
from libs.common.reward.process import RewardProcess
from libs.common.reward.samples import sample_constants, sample_lap

CHECK_LIMITS = RewardLimits(batch_s=30.0)


def check_reward_function(
    source: str,
    filename: str = "reward_function.py",
    limits: RewardLimits = CHECK_LIMITS,
    *,
    objects: bool = False,
) -> list[str]:
    """
    The problems of a reward function; an empty list is none.

    It is loaded in a child process and called for every step of one lap, with `objects` on the road
    where the race has any: functions that avoid them look up the next one in every call. Starts a
    process and waits for it (0.1 s, with scipy or shapely 1 s; a function that hangs takes the
    limits' time): call it in a thread.
    """
    try:
        with RewardProcess(source, sample_constants(), limits=limits) as process:
            lap = sample_lap(objects)
            process.rewards(lap, cars=[0] * len(lap))
    except RewardError as error:
        return [_sentence(error, filename)]
    return []


def _sentence(error: RewardError, filename: str) -> str:
    line = f"line {error.line}: " if error.line is not None else ""
    step = f"at step {error.params['steps']:g} of a trial lap it " if error.params else ""
    accepted = "" if "accepted:" in error.reason else "; accepted: a finite number for every step"
    return f"{filename}: {line}{step}{error.reason}{accepted}"
